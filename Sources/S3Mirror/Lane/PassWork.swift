import LoopThread
import MirrorModel
import Synchronization

/// The publications of one pass: a few tasks that take what the plan lets begin, and give it what came of each.
///
/// A task a place, not a task a file: each takes the next path itself. For a file of a few KiB a task would cost as much as the file.
///
/// A publication that lasts long keeps its place from no other: while paths wait to begin, a further place is made for each such one.
final class PassWork: Sendable {
  typealias Publish = @Sendable (RelativePath, DirtyEntry?) async -> FilePublisher.Outcome
  /// Publishes the version of a marker that was read when the pass began.
  typealias PublishHeld = @Sendable (RelativePath) async -> FilePublisher.Outcome

  private struct Publication {
    var start: Instant
    var place: Int
  }

  private struct State {
    var plan: PassPlan
    var outcome: PassOutcome
    var underWay: [RelativePath: Publication] = [:]
    var places: [Int: Task<Void, Never>] = [:]
    var lastPlace = 0
    /// Places whose task waits for a path.
    var idle: [(place: Int, continuation: CheckedContinuation<RelativePath?, Never>)] = []
    var isCancelled = false
    /// The pass has ended, and what is under way goes on without it.
    var isDetached = false
    /// Waits until everything is published, in a task that is cancelled.
    var waiter: CheckedContinuation<Void, Never>?

    var isPublished: Bool { isDetached || plan.isPublished }

    mutating func begin(at now: Instant, in place: Int) -> RelativePath? {
      guard !isDetached, plan.hasReady, case .publish(let path) = plan.next() else { return nil }
      underWay[path] = Publication(start: now, place: place)
      return path
    }
  }

  /// A publication that has lasted so long counts for no place any more.
  private static let longPublication: Duration = .seconds(2)
  /// Places made for publications that last long. Each keeps a file open.
  private static let mostFurtherPlaces = 48

  private let state: Mutex<State>
  private let width: Int
  private let executors: [any TaskExecutor]
  private let detachment: Detachment?
  private let bell: Doorbell
  private let publish: Publish
  private let publishHeld: PublishHeld

  /// - Parameters:
  ///   - width: publications under way at one time, those that last long not counted.
  ///   - executors: what the tasks run on, in turn; empty leaves them where the caller runs.
  ///   - detachment: lets the pass end before its last publications; nil where it has to wait for them.
  init(
    _ plan: PassPlan, after earlier: PassOutcome, width: Int, on executors: [any TaskExecutor],
    until detachment: Detachment?, _ publish: @escaping Publish, held: @escaping PublishHeld
  ) {
    state = Mutex(State(plan: plan, outcome: earlier))
    self.width = max(1, width)
    self.executors = executors
    self.detachment = detachment
    bell = detachment?.bell ?? Doorbell()
    self.publish = publish
    publishHeld = held
  }

  /// Publishes everything that the plan lets begin.
  ///
  /// - Returns: what the plan and the pass came to. What ends later is not in it.
  func carryOut() async -> (PassPlan, PassOutcome) {
    await withTaskCancellationHandler {
      let count = state.withLock { $0.plan.isPublished ? 0 : min(width, $0.plan.pathCount) }
      for _ in 0..<count { addPlace() }
      await waitForEnd()
    } onCancel: {
      let places = state.withLock { state in
        state.isCancelled = true
        return Array(state.places.values)
      }
      for place in places { place.cancel() }
    }
    return state.withLock { ($0.plan, $0.outcome) }
  }

  private func waitForEnd() async {
    let start = ContinuousClock.now
    var isNeeded = false
    while true {
      let (isPublished, hasReady) = state.withLock { ($0.isPublished, $0.plan.hasReady) }
      if isPublished { return }
      if Task.isCancelled { return await waitUntilPublished() }
      if hasReady { makeFurtherPlaces() }
      isNeeded = isNeeded || detachment?.isNeeded(sinceStart: start) ?? false
      if isNeeded, !hasReady, detach() { return }
      let look = hasReady ? ContinuousClock.now + Self.longPublication / 2 : nil
      let due = isNeeded ? nil : detachment?.dueTime(sinceStart: start)
      await bell.wait(until: [look, due].compactMap { $0 }.min())
    }
  }

  /// A task that is cancelled cannot wait for a bell; its publications are cancelled too, so they end soon.
  private func waitUntilPublished() async {
    await withCheckedContinuation { continuation in
      let isPublished = state.withLock { state in
        if !state.isPublished { state.waiter = continuation }
        return state.isPublished
      }
      if isPublished { continuation.resume() }
    }
  }

  /// - Returns: whether the pass may end; not while too much is in flight.
  private func detach() -> Bool {
    guard let detachment, detachment.flights.hasRoom else { return false }
    let idle = state.withLock { state in
      let flights = state.plan.detach()
      let tasks = flights.keys.reduce(into: [RelativePath: Task<Void, Never>]()) { tasks, path in
        tasks[path] = state.underWay[path].flatMap { state.places[$0.place] }
      }
      // Under the lock: a publication that ends now has to find itself in flight.
      detachment.depart(flights, tasks)
      state.isDetached = true
      state.outcome.departed.merge(flights) { $1 }
      defer { state.idle = [] }
      return state.idle
    }
    for place in idle { place.continuation.resume(returning: nil) }
    return true
  }

  // MARK: Places

  private func addPlace() {
    state.withLock { state in
      state.lastPlace += 1
      let number = state.lastPlace
      let work: @Sendable () async -> Void = { await self.serve(number) }
      let executor: (any TaskExecutor)? =
        executors.isEmpty ? TaskThreads.current : executors[number % executors.count]
      // Without a preference the task would run on the runtime's pool.
      let task = Task(executorPreference: executor, operation: work)
      if state.isCancelled { task.cancel() }
      state.places[number] = task
    }
  }

  private func serve(_ place: Int) async {
    var count = 0
    while let path = await nextPath(in: place) {
      guard await publish(path) else { break }
      count += 1
      // Bodies that never wait are not to keep the thread from everybody else who runs on it.
      if count % 16 == 0 { await Task.yield() }
    }
    state.withLock { $0.places[place] = nil }
  }

  /// Makes places for publications that last long and keep theirs from others.
  private func makeFurtherPlaces() {
    let now = ContinuousClock.now
    let count = state.withLock { state in
      let long = state.underWay.values.count { now - $0.start >= Self.longPublication }
      return min(long, Self.mostFurtherPlaces) + width - state.places.count
    }
    for _ in 0..<max(0, count) { addPlace() }
  }

  /// The next path; nil when the place is not needed any more.
  private func nextPath(in place: Int) async -> RelativePath? {
    let now = ContinuousClock.now
    let (path, isOver) = state.withLock { state -> (RelativePath?, Bool) in
      if let path = state.begin(at: now, in: place) { return (path, false) }
      return (nil, state.isPublished)
    }
    if path != nil || isOver { return path }
    return await withCheckedContinuation { continuation in
      let (path, isOver) = state.withLock { state -> (RelativePath?, Bool) in
        if let path = state.begin(at: now, in: place) { return (path, false) }
        if !state.isPublished { state.idle.append((place, continuation)) }
        return (nil, state.isPublished)
      }
      if path != nil || isOver { continuation.resume(returning: path) }
    }
  }

  /// - Returns: whether the place goes on.
  private func publish(_ path: RelativePath) async -> Bool {
    let entry = state.withLock { $0.plan.entry(of: path) }
    var publication = await publish(path, entry)
    var verdict = note(publication, of: path)
    if verdict == .publishHeldVersion {
      publication = await publishHeld(path)
      verdict = note(publication, of: path)
    }
    guard verdict == .late, let entry, let detachment else { return true }
    await detachment.land(path, entry, publication)
    return false
  }

  private enum Verdict {
    case taken
    case publishHeldVersion
    /// The pass has ended without it.
    case late
  }

  private func note(_ publication: FilePublisher.Outcome, of path: RelativePath) -> Verdict {
    let now = ContinuousClock.now
    var woken: [(continuation: CheckedContinuation<RelativePath?, Never>, path: RelativePath?)] = []
    var waiter: CheckedContinuation<Void, Never>?
    var isToRing = false
    let verdict = state.withLock { state -> Verdict in
      if state.isDetached { return .late }
      if state.plan.note(publication.fact, of: path) == .publishHeldVersion { return .publishHeldVersion }
      state.underWay[path] = nil
      state.outcome.note(publication, of: path)
      while let idle = state.idle.last, let path = state.begin(at: now, in: idle.place) {
        state.idle.removeLast()
        woken.append((idle.continuation, path))
      }
      isToRing = !state.plan.hasReady
      guard state.isPublished else { return .taken }
      woken += state.idle.map { ($0.continuation, nil) }
      state.idle = []
      waiter = state.waiter
      state.waiter = nil
      return .taken
    }
    for place in woken { place.continuation.resume(returning: place.path) }
    waiter?.resume()
    if isToRing { bell.ring() }
    return verdict
  }
}
