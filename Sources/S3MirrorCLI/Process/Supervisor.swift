import LoopThread
import S3Mirror
import Synchronization

/// What signals mean at each moment of a run: the first lets it finish and publish, the second cuts it short.
final class Supervisor: Sendable {
  typealias Reaction = @Sendable (SignalStream.Arrival) -> Void

  private struct State {
    var arrivals: [SignalStream.Arrival] = []
    /// What the first signal does now.
    var reaction: Reaction?
    var isFirstHandled = false
    var onSecond: Reaction?
  }

  /// One event, told twice: timeout(1) signals its command and then its whole process group, the command included, and
  /// batch systems do the like. Such a pair is microseconds apart, a person's or a script's second thought is not.
  static let echoWindow = Duration.milliseconds(500)

  private let state = Mutex(State())
  private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

  /// Begins to listen to the process's signals.
  ///
  /// - Throws: `MirrorError.configuration` where the system has no pipe or no thread to give.
  convenience init() throws {
    do {
      self.init(to: try SignalStream.arrivals())
    } catch {
      throw MirrorError(.configuration, "signals cannot be listened to: \(error)")
    }
  }

  init(to arrivals: AsyncStream<SignalStream.Arrival>) {
    task.withLock { task in
      task = Task(executorPreference: TaskThreads.current) { [weak self] in
        for await arrival in arrivals { self?.note(arrival) }
      }
    }
  }

  /// The signal that cut the run short; nil while there was one at most.
  var secondSignal: Int32? { state.withLock { $0.arrivals.count > 1 ? $0.arrivals[1].number : nil } }

  /// The first signal, if there was one.
  var firstSignal: Int32? { state.withLock { $0.arrivals.first?.number } }

  /// From now on the first signal does this; if it has come and nothing has answered it yet, at once.
  func react(_ reaction: @escaping Reaction) {
    let waiting: SignalStream.Arrival? = state.withLock { state in
      state.reaction = reaction
      guard let first = state.arrivals.first, !state.isFirstHandled else { return nil }
      state.isFirstHandled = true
      return first
    }
    if let waiting { reaction(waiting) }
  }

  /// From now on the first signal waits for the next reaction.
  func suspendReaction() {
    state.withLock { $0.reaction = nil }
  }

  /// From now on the second signal, and every further one, does this.
  func reactToSecond(_ reaction: @escaping Reaction) {
    state.withLock { $0.onSecond = reaction }
  }

  /// Waits for the first signal.
  func firstArrival() async {
    await withCheckedContinuation { continuation in
      react { _ in continuation.resume() }
    }
  }

  private func note(_ arrival: SignalStream.Arrival) {
    let reaction: Reaction? = state.withLock { state in
      if let first = state.arrivals.first, Self.isEcho(arrival, of: first) { return nil }
      state.arrivals.append(arrival)
      if state.arrivals.count > 1 { return state.onSecond }
      guard let reaction = state.reaction else { return nil }
      state.isFirstHandled = true
      return reaction
    }
    reaction?(arrival)
  }

  /// A key pressed twice is two signals, however fast: the kernel tells each once.
  private static func isEcho(_ arrival: SignalStream.Arrival, of first: SignalStream.Arrival) -> Bool {
    arrival.number == first.number && !arrival.isFromTerminal && !first.isFromTerminal
      && arrival.instant - first.instant < echoWindow
  }
}

extension MirrorScope {
  /// What the first signal does during the entry. The second always ends it.
  enum EntrySignal: Sendable {
    /// The entry ends, and the program with it: what was to come after it will not begin.
    case leave
    /// The entry is part of the work, and is finished.
    case finish
  }

  /// Enters, unless a signal ends that first.
  ///
  /// - Throws: `ExitStatus.signal`; what `enter` throws.
  func enter(
    under supervisor: Supervisor, onFirst: EntrySignal, _ enter: @escaping @Sendable () async throws -> Void
  ) async throws {
    let entry = Task(executorPreference: TaskThreads.current) { try await enter() }
    if onFirst == .leave { supervisor.react { _ in entry.cancel() } }
    supervisor.reactToSecond { _ in
      entry.cancel()
      self.abandon()
    }
    var fault: (any Error)?
    do {
      try await entry.value
    } catch {
      fault = error
    }
    // A signal that comes after the look below is for whoever comes next: to cancel an entry that is over would lose it.
    supervisor.suspendReaction()
    let signal = onFirst == .leave ? supervisor.firstSignal : supervisor.secondSignal
    guard fault != nil || signal != nil else { return }
    _ = await exit(.threw)
    if let signal { throw ExitStatus.signal(signal) }
    if let fault { throw fault }
  }
}
