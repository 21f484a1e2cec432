import LoopThread
import S3Mirror
import Synchronization

/// Decides what signals do at each moment of a run: the first one lets the run finish and publish, the second
/// one ends it at once.
final class Supervisor: Sendable {
  typealias Reaction = @Sendable (SignalStream.Arrival) -> Void

  private struct State {
    var arrivals: [SignalStream.Arrival] = []
    /// The present reaction to the first signal.
    var reaction: Reaction?
    var isFirstHandled = false
    var onSecond: Reaction?
  }

  /// The time within which a repeated signal counts as the same event. timeout(1) signals its command and
  /// then its whole process group, including the command, and some batch systems do the same. Such a pair is
  /// microseconds apart; a second signal of a user or a script comes later.
  static let echoWindow = Duration.milliseconds(500)

  private let state = Mutex(State())
  private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

  /// Begins to receive the process's signals.
  ///
  /// - Throws: `MirrorError.configuration` if the system has no pipe or no thread available.
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

  /// The signal that ended the run at once; nil if there was at most one signal.
  var secondSignal: Int32? { state.withLock { $0.arrivals.count > 1 ? $0.arrivals[1].number : nil } }

  /// The first signal, if there was one.
  var firstSignal: Int32? { state.withLock { $0.arrivals.first?.number } }

  /// Sets the reaction to the first signal. If that signal has come and had no reaction yet, the reaction
  /// runs at once.
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

  /// Sets the reaction to the second and every further signal.
  func reactToSecond(_ reaction: @escaping Reaction) {
    state.withLock { $0.onSecond = reaction }
  }

  /// Waits for the first signal, or for another event.
  ///
  /// - Parameter register: receives what the other event has to call.
  func firstArrival(or register: (@escaping @Sendable () -> Void) -> Void) async {
    await withCheckedContinuation { continuation in
      let waiting = Mutex<CheckedContinuation<Void, Never>?>(continuation)
      let arrived: @Sendable () -> Void = {
        let waiter = waiting.withLock { waiting in
          defer { waiting = nil }
          return waiting
        }
        waiter?.resume()
      }
      react { _ in arrived() }
      register(arrived)
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

  /// Two key presses are two signals however close they are, because the kernel sends each one once.
  private static func isEcho(_ arrival: SignalStream.Arrival, of first: SignalStream.Arrival) -> Bool {
    arrival.number == first.number && !arrival.isFromTerminal && !first.isFromTerminal
      && arrival.instant - first.instant < echoWindow
  }
}

extension MirrorScope {
  /// The effect of the first signal during the entry. The second signal always ends the entry.
  enum EntrySignal: Sendable {
    /// The entry ends, and so does the program, because its main work has not begun.
    case leave
    /// The entry is part of the work and is finished.
    case finish
  }

  /// Enters the scope, unless a signal ends the entry first.
  ///
  /// - Throws: `ExitStatus.signal`; the errors of `enter`.
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
    // A signal after the next line is left to later reactions. A cancellation of an entry that is already
    // over would lose it.
    supervisor.suspendReaction()
    let signal = onFirst == .leave ? supervisor.firstSignal : supervisor.secondSignal
    guard fault != nil || signal != nil else { return }
    _ = await exit(.threw)
    if let signal { throw ExitStatus.signal(signal) }
    if let fault { throw fault }
  }
}
