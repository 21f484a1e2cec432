import LoopThread
import MirrorModel
import Synchronization
import Transfers

/// The publications of one pass. A few tasks take the paths that the plan lets begin, and report each result
/// to the plan.
///
/// There is one task for each place, not one for each file: each task takes the next path itself. For a file
/// of a few KiB a task would cost as much as the file.
///
/// A long publication does not block others: while paths wait to begin, one more place is made for each long
/// publication. The same holds for a publication whose bytes are on the server and that waits for its unit.
final class PassWork: Sendable {
  /// - Parameter whenStaged: nil if the path does not have to wait for a unit.
  typealias Publish =
    @Sendable (RelativePath, DirtyEntry?, _ whenStaged: Uploader.WhenStaged?) async -> FilePublisher.Outcome
  /// Publishes the version of a marker that was read when the pass began.
  typealias PublishHeld = @Sendable (RelativePath) async -> FilePublisher.Outcome

  /// How many publications may be under way at one time, not counting long ones. The number may change
  /// during the pass.
  typealias Width = @Sendable () -> Int

  private struct Publication {
    var path: RelativePath
    var start: Instant
  }

  /// The path that a place works on.
  private typealias Job = (path: RelativePath, entry: DirtyEntry?, isStaged: Bool)
  private typealias Idle = (place: Int, continuation: CheckedContinuation<Job?, Never>)
  private typealias Woken = (continuation: CheckedContinuation<Job?, Never>, job: Job?)

  private struct State {
    var plan: PassPlan
    var outcome: PassOutcome
    /// Publications under way, by place.
    var underWay: [Int: Publication] = [:]
    var places: [Int: Task<Void, Never>] = [:]
    var lastPlace = 0
    /// Publications whose bytes are on the server, and which wait for their unit.
    var staged: [RelativePath: CheckedContinuation<Void, any Error>] = [:]
    /// Places whose tasks wait for a path.
    var idle: [Idle] = []
    var isCancelled = false
    /// The pass has ended, and its running publications go on without it. Kept beside `planOfPass`, because a look at
    /// whether there is such a plan would copy it.
    var isDetached = false
    /// The plan as it was when the pass ended. Paths of units that begin later do not count for the pass.
    var planOfPass: PassPlan?
    /// Whether the pass must be woken when everything has begun. A wake-up for each file would cost as much
    /// as publishing a small file.
    var isAwaitingBeginnings = false
    /// Waits until everything is published, if the pass's task is cancelled.
    var waiter: CheckedContinuation<Void, Never>?

    // Functions that are called for each file may change the state, because the compiler copies a whole state of which
    // it only reads a property.
    mutating func isPublished() -> Bool { isDetached || plan.isPublished }

    /// After the pass has ended, only the remaining paths of units begin.
    mutating func begin(at now: Instant, in place: Int) -> Job? {
      guard plan.hasReady, case .publish(let path) = plan.next() else { return nil }
      underWay[place] = Publication(path: path, start: now)
      return (path, plan.entry(of: path), plan.isStaged(path))
    }

    /// Gives ready paths to idle places.
    mutating func wake(at now: Instant) -> [Woken] {
      var woken: [Woken] = []
      while let place = idle.last, let job = begin(at: now, in: place.place) {
        idle.removeLast()
        woken.append((place.continuation, job))
      }
      return woken
    }

    /// Places that work or wait for a path.
    var activePlaces: Int { places.count - staged.count }

    /// How many places to make if paths are ready and too few places are active. A publication that waits for
    /// its unit occupies its place, and the idle places of a pass that has ended are gone.
    mutating func missingPlaces(of width: Int) -> Int {
      plan.hasReady ? max(0, width - activePlaces) : 0
    }

    /// How many places more than the width there may be, because long publications occupy some.
    func furtherPlaces(at now: Instant) -> Int {
      let long = underWay.values.count {
        now - $0.start >= PassWork.longPublication && staged[$0.path] == nil
      }
      return min(long, PassWork.mostFurtherPlaces)
    }

    /// Whether there are more places than needed. The width may have become smaller.
    ///
    /// After the pass has ended, places that only have to end count as active, so none is spare then: the last one
    /// may have to publish the rest of a unit.
    func hasSparePlace(of width: Int, at now: Instant) -> Bool {
      !isDetached && activePlaces > width && activePlaces > width + furtherPlaces(at: now)
    }

    /// Takes the publications whose unit may appear now.
    mutating func takeOpened() -> [CheckedContinuation<Void, any Error>] {
      guard !staged.isEmpty else { return [] }
      let opened = staged.keys.filter { plan.mayAppear($0) }
      return opened.compactMap { staged.removeValue(forKey: $0) }
    }

    /// Whether the pass must be woken.
    mutating func takesRing() -> Bool {
      guard isPublished() || (isAwaitingBeginnings && !plan.hasReady) else { return false }
      isAwaitingBeginnings = false
      return true
    }
  }

  /// A publication that has lasted so long no longer counts as using a place.
  private static let longPublication: Duration = .seconds(2)
  /// The limit of places made for long publications. Each keeps a file open.
  private static let mostFurtherPlaces = 48

  private let state: Mutex<State>
  private let width: Width
  private let clock: any LaneClock
  private let executors: [any TaskExecutor]
  private let detachment: Detachment?
  private let bell: Doorbell
  private let publish: Publish
  private let publishHeld: PublishHeld

  /// - Parameters:
  ///   - executors: the executors of the tasks, used in turn; if empty, the tasks run where the caller runs.
  ///   - detachment: lets the pass end before its last publications; nil if the pass must wait for them.
  init(
    _ plan: PassPlan, after earlier: PassOutcome, width: @escaping Width, on executors: [any TaskExecutor],
    clock: any LaneClock, until detachment: Detachment?, _ publish: @escaping Publish,
    held: @escaping PublishHeld
  ) {
    state = Mutex(State(plan: plan, outcome: earlier))
    self.width = { max(1, width()) }
    self.executors = executors
    self.clock = clock
    self.detachment = detachment
    bell = detachment?.bell ?? Doorbell()
    self.publish = publish
    publishHeld = held
  }

  /// Publishes everything that the plan lets begin.
  ///
  /// - Returns: the plan and the result of the pass, without publications that end later.
  func carryOut() async -> (PassPlan, PassOutcome) {
    await withTaskCancellationHandler {
      let width = width()
      let count = state.withLock { $0.plan.isPublished ? 0 : min(width, $0.plan.pathCount) }
      addPlaces(count)
      await waitForEnd()
    } onCancel: {
      let places = state.withLock { state in
        state.isCancelled = true
        return Array(state.places.values)
      }
      for place in places { place.cancel() }
    }
    return state.withLock { ($0.planOfPass ?? $0.plan, $0.outcome) }
  }

  private func waitForEnd() async {
    var begun: Instant?
    while true {
      let (isPublished, hasReady) = state.withLock { state in
        state.isAwaitingBeginnings = state.plan.hasReady
        return (state.isPublished(), state.plan.hasReady)
      }
      if isPublished { return }
      if Task.isCancelled { return await waitUntilPublished() }
      let now = clock.now
      var look: Instant?
      if hasReady {
        begun = nil
        makeFurtherPlaces()
        look = now + Self.longPublication / 2
      } else if let detachment, detachment.flights.hasRoom {
        let since = begun ?? now
        begun = since
        let due = detachment.dueTime(sinceBeginnings: since)
        if due <= now, detach() { return }
        look = due
      }
      await clock.wait(for: bell, until: look)
    }
  }

  /// A cancelled task cannot wait for the doorbell. Its publications are cancelled too, so they end soon.
  private func waitUntilPublished() async {
    await withCheckedContinuation { continuation in
      let isPublished = state.withLock { state in
        if !state.isPublished() { state.waiter = continuation }
        return state.isPublished()
      }
      if isPublished { continuation.resume() }
    }
  }

  /// - Returns: whether the pass may end. It may not if another path has become ready.
  private func detach() -> Bool {
    guard let detachment else { return false }
    let (isDetached, idle, opened) = state.withLock {
      state -> (Bool, [Idle], [CheckedContinuation<Void, any Error>]) in
      if state.plan.hasReady { return (false, [], []) }
      let flights = state.plan.detach()
      let tasks = state.underWay.reduce(into: [RelativePath: Task<Void, Never>]()) { tasks, publication in
        tasks[publication.value.path] = state.places[publication.key]
      }
      // Under the lock: a publication that ends now must find its path in flight.
      detachment.depart(flights, tasks)
      state.planOfPass = state.plan
      state.isDetached = true
      state.outcome.departed.merge(flights) { $1 }
      defer { state.idle = [] }
      return (true, state.idle, state.takeOpened())
    }
    for publication in opened { publication.resume() }
    for place in idle { place.continuation.resume(returning: nil) }
    return isDetached
  }

  // MARK: Places

  private func addPlaces(_ count: Int) {
    for _ in 0..<max(0, count) { addPlace() }
  }

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
    while let job = await nextJob(in: place) {
      await carryOut(job, in: place)
      count += 1
      // Publications that never wait must not keep the thread from other tasks.
      if count % 16 == 0 { await Task.yield() }
    }
    state.withLock { $0.places[place] = nil }
  }

  /// Makes more places, because long publications occupy the existing ones.
  private func makeFurtherPlaces() {
    let (now, width) = (clock.now, width())
    let count = state.withLock { $0.furtherPlaces(at: now) + width - $0.activePlaces }
    addPlaces(count)
  }

  /// Nil if the place is no longer needed.
  private func nextJob(in place: Int) async -> Job? {
    let now = clock.now
    let width = width()
    let (job, isOver, isToRing, departed) = state.withLock {
      state -> (Job?, Bool, Bool, (RelativePath, Task<Void, Never>)?) in
      if state.hasSparePlace(of: width, at: now) {
        state.places[place] = nil
        return (nil, true, false, nil)
      }
      let job = state.begin(at: now, in: place)
      let departed =
        state.isDetached ? job.flatMap { job in state.places[place].map { (job.path, $0) } } : nil
      return (job, state.isPublished(), job != nil && state.takesRing(), departed)
    }
    if isToRing { bell.ring() }
    if let (path, task) = departed { detachment?.flights.add([path: task]) }
    if job != nil || isOver { return job }
    return await withCheckedContinuation { continuation in
      let (job, isOver) = state.withLock { state -> (Job?, Bool) in
        if let job = state.begin(at: now, in: place) { return (job, false) }
        if !state.isPublished() { state.idle.append((place, continuation)) }
        return (nil, state.isPublished())
      }
      if job != nil || isOver { continuation.resume(returning: job) }
    }
  }

  private func carryOut(_ job: Job, in place: Int) async {
    let (path, entry, isStaged) = job
    var whenStaged: Uploader.WhenStaged?
    if isStaged { whenStaged = { try await self.stage(path) } }
    var publication = await publish(path, entry, whenStaged)
    var verdict = note(publication, of: path, in: place)
    if verdict == .publishHeldVersion {
      publication = await publishHeld(path)
      verdict = note(publication, of: path, in: place)
    }
    guard verdict == .late, let entry, let detachment else { return }
    await detachment.land(path, entry, publication)
  }

  // MARK: Units

  /// Waits until the unit of a file may appear. All bytes of the file are on the server.
  ///
  /// - Throws: `CancellationError`.
  private func stage(_ path: RelativePath) async throws {
    let (now, width) = (clock.now, width())
    let (woken, opened, missing) = state.withLock {
      state -> ([Woken], [CheckedContinuation<Void, any Error>], Int) in
      state.plan.note(staged: path)
      return (state.wake(at: now), state.takeOpened(), state.missingPlaces(of: width))
    }
    resume(woken, opened, adding: missing)
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let missing = state.withLock { state -> Int? in
          // If the task was cancelled earlier, the handler has run already and found no continuation.
          guard !Task.isCancelled, !state.plan.mayAppear(path) else { return nil }
          state.staged[path] = continuation
          return state.missingPlaces(of: width)
        }
        if let missing { return addPlaces(missing) }
        continuation.resume(with: Task.isCancelled ? .failure(CancellationError()) : .success(()))
      }
    } onCancel: {
      state.withLock { $0.staged.removeValue(forKey: path) }?.resume(throwing: CancellationError())
    }
  }

  private func resume(
    _ woken: [Woken], _ opened: [CheckedContinuation<Void, any Error>], adding missing: Int
  ) {
    for place in woken { place.continuation.resume(returning: place.job) }
    for publication in opened { publication.resume() }
    addPlaces(missing)
  }

  private enum Verdict {
    case taken
    case publishHeldVersion
    /// The pass has ended before this publication.
    case late
  }

  private func note(_ publication: FilePublisher.Outcome, of path: RelativePath, in place: Int) -> Verdict {
    let (now, width) = (clock.now, width())
    var woken: [Woken] = []
    var waiter: CheckedContinuation<Void, Never>?
    var isToRing = false
    var opened: [CheckedContinuation<Void, any Error>] = []
    var missing = 0
    let verdict = state.withLock { state -> Verdict in
      defer {
        opened = state.takeOpened()
        missing = state.missingPlaces(of: width)
      }
      if state.isDetached {
        state.underWay[place] = nil
        state.plan.noteEnded(path)
        return .late
      }
      if state.plan.note(publication.fact, of: path, at: now) == .publishHeldVersion {
        return .publishHeldVersion
      }
      state.underWay[place] = nil
      state.outcome.note(publication, of: path)
      woken = state.wake(at: now)
      isToRing = state.takesRing()
      guard state.isPublished() else { return .taken }
      woken += state.idle.map { ($0.continuation, nil) }
      state.idle = []
      waiter = state.waiter
      state.waiter = nil
      return .taken
    }
    resume(woken, opened, adding: missing)
    waiter?.resume()
    if isToRing { bell.ring() }
    return verdict
  }
}
