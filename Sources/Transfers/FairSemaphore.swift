import DequeModule
import MirrorModel
import Synchronization

/// A counted resource that tasks wait for in order of arrival: request slots, or bytes of memory.
///
/// Smaller requests of the same use never overtake a large request, so a large request cannot starve.
///
/// A share is kept for first attempts of whole requests. Neither the parts of large files nor retries can
/// take this share, so they cannot block a small file.
package final class FairSemaphore: Sendable {
  /// What a permit is for.
  package enum Use: Sendable, CaseIterable {
    /// The first attempt of a request for a whole file.
    case whole
    /// One of many requests for one file, or a request whose answer may take minutes.
    case part
    /// A retry after a failure.
    case retry
  }

  /// How whole requests of this task count. A path that failed in an earlier pass counts as a retry.
  @TaskLocal package static var firstUse = Use.whole

  private struct Waiter {
    let id: UInt64
    let amount: Int64
    let use: Use
    let continuation: CheckedContinuation<Bool, Never>
  }

  /// One value for each use.
  private struct ByUse<Value> {
    var whole: Value
    var part: Value
    var retry: Value

    init(_ value: Value) { (whole, part, retry) = (value, value, value) }

    subscript(use: Use) -> Value {
      get {
        switch use {
        case .whole: whole
        case .part: part
        case .retry: retry
        }
      }
      _modify {
        switch use {
        case .whole: yield &whole
        case .part: yield &part
        case .retry: yield &retry
        }
      }
    }
  }

  private struct State {
    var held = ByUse<Int64>(0)
    var limit: ConcurrencyTuner
    /// Whether somebody carries a rise of the limit on.
    var isClimbing = false
    /// In order of arrival.
    var waiters = ByUse<Deque<Waiter>>([])
    var waiterCount = 0
    var nextID: UInt64 = 0
    /// Waiters that were cancelled before their wait began.
    var cancelled: Set<UInt64> = []

    var heldInAll: Int64 { held.whole + held.part + held.retry }

    var current: Int64 { Int64(limit.limit) }

    /// The share of whole requests: a fifth of the current limit, at least one; zero if the limit is one.
    var share: Int64 { current > 1 ? max(1, current / 5) : 0 }

    /// An amount above the current limit is granted only when nothing else is held.
    func hasRoom(for amount: Int64, _ use: Use) -> Bool {
      let all = heldInAll
      guard all == 0 || all + amount <= current else { return false }
      if use == .whole { return true }
      if use == .part, held.part > 0, held.part + amount > Int64(limit.mostParts) { return false }
      let others = held.part + held.retry
      guard others == 0 || others + amount <= current - share else { return false }
      let retries = held.retry
      return use == .part || retries == 0 || retries + amount <= current / 2
    }

    /// Takes an amount if it is available without waiting.
    mutating func take(_ amount: Int64, _ use: Use) -> Bool {
      guard waiters[use].isEmpty, hasRoom(for: amount, use) else { return false }
      held[use] += amount
      return true
    }

    mutating func takeReady() -> [Waiter] {
      var ready: [Waiter] = []
      while waiterCount > 0, let next = nextReady() {
        held[next.use] += next.amount
        waiters[next.use].removeFirst()
        waiterCount -= 1
        ready.append(next)
      }
      return ready
    }

    /// The earliest waiter for which there is room.
    private func nextReady() -> Waiter? {
      var next: Waiter?
      for use in Use.allCases {
        guard let first = waiters[use].first, hasRoom(for: first.amount, use) else { continue }
        if let known = next, known.id < first.id { continue }
        next = first
      }
      return next
    }

    mutating func wait(_ waiter: Waiter) {
      waiters[waiter.use].append(waiter)
      waiterCount += 1
    }

    mutating func leave(_ id: UInt64, _ use: Use) -> Waiter? {
      guard let index = waiters[use].firstIndex(where: { $0.id == id }) else { return nil }
      waiterCount -= 1
      return waiters[use].remove(at: index)
    }
  }

  /// What happens to a permit while its holder pauses before a retry.
  package enum Pauses: Sendable {
    /// The holder keeps the permit, as for memory that stays filled.
    case holding
    /// Others may use the permit, as for a request slot while no request is sent.
    case yielding
  }

  package let capacity: Int64
  private let pauses: Pauses
  private let state: Mutex<State>

  /// How the current limit is found.
  package enum Limit: Sendable {
    /// It is the capacity, unless a server asks for fewer requests.
    case fixed
    /// By measuring what each number brings.
    case measured
  }

  package init(capacity: Int64, pauses: Pauses = .holding, limit: Limit = .fixed) {
    self.capacity = max(1, capacity)
    self.pauses = pauses
    state = Mutex(State(limit: ConcurrencyTuner(most: Int(max(1, capacity)), isFixed: limit == .fixed)))
  }

  /// The amount that is not held now. For tests and status.
  package var available: Int64 { state.withLock { capacity - $0.heldInAll } }

  /// The current limit; less than the capacity after `slowDown`, or if it is measured.
  package var limit: Int64 { state.withLock { $0.current } }

  /// How many parts of one file should be under way: some more than may be in flight, so that one always waits.
  package var partsUnderWay: Int {
    state.withLock { min(Int(capacity), $0.limit.mostParts + $0.limit.mostParts / 4) }
  }

  /// Why the limit is as it is.
  package var reasonOfLimit: ConcurrencyTuner.Reason { state.withLock { $0.limit.reason } }

  /// How many tasks wait now. For tests and status.
  package var waiterCount: Int { state.withLock { $0.waiterCount } }

  /// Runs `body` while holding `amount` (at most the capacity).
  ///
  /// - Throws: `CancellationError` if cancelled during the wait; the errors of `body`.
  package func withPermit<Result: Sendable>(
    _ amount: Int64 = 1, for use: Use = .whole, _ body: () async throws -> Result
  ) async throws -> Result {
    let use = use == .whole ? Self.firstUse : use
    let taken = min(max(amount, 0), capacity)
    try Task.checkCancellation()
    if !state.withLock({ $0.take(taken, use) }) { try await acquire(taken, use) }
    let permit = Permit(of: self, amount: taken, for: use)
    defer { permit.giveBack() }
    if pauses == .holding { return try await body() }
    return try await Permit.$current.withValue(permit) { try await body() }
  }

  /// The amount that a task holds.
  private final class Permit: Sendable {
    /// The permit of the innermost `withPermit` around the task, for a semaphore with `yielding` pauses.
    @TaskLocal static var current: Permit?

    private let semaphore: FairSemaphore
    private let amount: Int64
    private let isHeld = Atomic<Bool>(true)
    private let isRetry: Atomic<Bool>
    private let firstUse: Use

    init(of semaphore: FairSemaphore, amount: Int64, for use: Use) {
      self.semaphore = semaphore
      self.amount = amount
      firstUse = use
      isRetry = Atomic(use == .retry)
    }

    /// - Returns: whether there was an amount to give back. If several tasks pause under one permit, only the
    ///   first gives it back.
    @discardableResult
    func giveBack() -> Bool {
      guard isHeld.exchange(false, ordering: .relaxed) else { return false }
      let use = isRetry.load(ordering: .relaxed) ? .retry : firstUse
      semaphore.change { $0.held[use] -= amount }
      return true
    }

    func takeAgain() async throws {
      let isTaken = semaphore.state.withLock { $0.take(amount, .retry) }
      if !isTaken { try await semaphore.acquire(amount, .retry) }
      isRetry.store(true, ordering: .relaxed)
      isHeld.store(true, ordering: .relaxed)
    }
  }

  /// Gives the caller's permit to others during a pause, and takes it again afterwards as a retry.
  ///
  /// - Throws: the errors of `pause`; `CancellationError` if cancelled while waiting for the permit.
  package static func yieldingPermit(_ pause: () async throws -> Void) async throws {
    guard let permit = Permit.current, permit.giveBack() else { return try await pause() }
    try await pause()
    try await permit.takeAgain()
  }

  // MARK: Pressure

  /// Records that a request is about to be sent. The clock is read only if no other request is in flight.
  ///
  /// - Parameter hasPayload: whether the request counts for what a measured limit brings.
  /// - Returns: how often the limit was cut so far, for `slowDown`.
  package func begin(hasPayload: Bool, at clock: () -> Int64) -> Int {
    state.withLock { state in
      if hasPayload, state.heldInAll <= 1 { state.limit.begin(at: clock()) }
      return state.limit.cuts
    }
  }

  /// Halves the limit, because the server asked for fewer requests. Amounts held now stay held.
  ///
  /// - Parameters:
  ///   - cuts: what `begin` returned for the refused request.
  ///   - now: nanoseconds of a monotonic clock.
  package func slowDown(begunAfter cuts: Int, at now: Int64) {
    change { $0.limit.slowDown(begunAfter: cuts, at: now) }
  }

  /// Records a successful request with a payload. A full round of successes raises a limit that was cut by one.
  ///
  /// - Returns: whether the limit is on its way to a larger number, and the caller has to call `climb` until it
  ///   returns false.
  package func succeed(byteCount: Int64, at now: Int64) -> Bool {
    change {
      $0.limit.succeed(
        byteCount: byteCount, isContended: $0.waiterCount > 0, inFlight: Int($0.heldInAll), at: now)
      guard $0.limit.isRising, !$0.isClimbing else { return false }
      $0.isClimbing = true
      return true
    }
  }

  /// Carries a rise of the limit on as time goes by.
  ///
  /// - Returns: whether to call again, after `ConcurrencyTuner.climbPause`.
  package func climb(at now: Int64) -> Bool {
    change {
      $0.limit.climb(inFlight: Int($0.heldInAll), at: now)
      $0.isClimbing = $0.limit.isRising
      return $0.isClimbing
    }
  }

  // MARK: Waiting

  private func acquire(_ amount: Int64, _ use: Use) async throws {
    let id = state.withLock { state in
      state.nextID += 1
      return state.nextID
    }
    let isGranted = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if state.cancelled.remove(id) != nil { return false }
          if state.take(amount, use) { return true }
          state.wait(Waiter(id: id, amount: amount, use: use, continuation: continuation))
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      let waiter: Waiter? = state.withLock { state in
        let waiter = state.leave(id, use)
        if waiter == nil { state.cancelled.insert(id) }
        return waiter
      }
      waiter?.continuation.resume(returning: false)
      // If the waiter left, a later waiter may fit now.
      change { _ in }
    }
    state.withLock { _ = $0.cancelled.remove(id) }
    guard isGranted else { throw CancellationError() }
  }

  private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
    let (result, ready) = state.withLock { state in
      let result = body(&state)
      return (result, state.takeReady())
    }
    for waiter in ready { waiter.continuation.resume(returning: true) }
    return result
  }
}
