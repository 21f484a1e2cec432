// Words of a group's driver (MirrorModel's GroupSlot.swift explains group, member, slot, claim, lease, question):
//
//   permit    the permission to begin one change: the member's claim stands, and was confirmed lately
//   slice     the part of a long pass that one confirmation of the claim covers
//   flush     a pass of the lane over everything that is closed

import Glibc
import LoopThread
import MirrorModel
import Synchronization

/// Carries out what `GroupMember` decides: reads and writes slots, has the lane publish, and answers whether a
/// change may begin.
///
/// One task runs the loop. The lane's publications run beside it and wait in `permit` while the claim has to be
/// confirmed.
final class GroupDriver: Sendable {
  /// What the lane does for the group.
  struct Work: Sendable {
    /// Publishes everything that is closed, except markers.
    var flush: @Sendable () async -> GroupMember.PassAnswer
    /// Publishes a marker in the version that was noted.
    var publish: @Sendable (RelativePath) async -> GroupMember.PassAnswer
    /// Another attempt has taken the member over.
    var fenced: @Sendable () -> Void
  }

  /// A pass or a publication that the member waits for.
  struct Step {
    enum Kind: Hashable {
      case pass
      case publication(RelativePath)
    }

    var kind: Kind
    var start: Int64
    /// Until when changes may begin.
    var end: Int64
  }

  struct State {
    var member: GroupMember?
    var clock = ServerClock()
    var work: Work?
    var waiters: [Int: CheckedContinuation<Void, any Error>] = [:]
    var lastWaiter = 0
    /// What the member waits for.
    var step: Step?
    /// When the running flush of the lane began.
    var flushStart: Int64?
    /// The marker that the lane is publishing.
    var publishing: RelativePath?
    /// No request is sent before this moment, because the last ones failed.
    var requestsNotBefore: Int64 = 0
    /// No pass and no publication begins before this moment, because the last one left something.
    var passesNotBefore: Int64 = 0
    var failedRequests = 0
    var failedPasses = 0
    var fault: (any Error)?
    var fence: GroupClaim?
    var isEnding = false
    var isStopped = false
    var hasEnded = false
    /// Hopeless markers that were reported.
    var reported: Set<RelativePath> = []
    /// Waits for the markers.
    var onlookers: [CheckedContinuation<Void, Never>] = []
  }

  let group: Options.Group
  let slots: SlotStore
  let clock: any LaneClock
  let origin: Instant
  let bell = Doorbell()
  let notice: @Sendable (String) -> Void
  let state = Mutex(State())

  /// - Parameter notice: receives what the user should know.
  init(
    _ group: Options.Group, slots: SlotStore, clock: any LaneClock = SystemClock(),
    notice: @escaping @Sendable (String) -> Void
  ) {
    self.group = group
    self.slots = slots
    self.clock = clock
    self.notice = notice
    origin = clock.now
  }

  // MARK: Time

  /// The steady clock in nanoseconds.
  var steady: Int64 { (clock.now - origin).wholeNanoseconds }

  func instant(_ steady: Int64) -> Instant { origin + .nanoseconds(steady) }

  func now(_ state: borrowing State) -> GroupMember.Now {
    let steady = steady
    return GroupMember.Now(steady: steady, server: state.clock.server(at: steady) ?? 0)
  }

  /// The name in messages.
  var name: String { "member \(group.member) of the group \(group.name)" }

  /// The member's slot below the remote.
  var ownSlot: RelativePath { group.place.path(of: group.member) }

  /// What the member writes of each checkpoint.
  var part: UnitPart { UnitPart(place: group.place, member: group.member) }

  /// Gives the member a fact.
  func update(_ note: (inout GroupMember, GroupMember.Now) -> Void) {
    state.withLock { state in
      let now = now(state)
      guard var member = state.member else { return }
      note(&member, now)
      state.member = member
    }
  }

  // MARK: What the lane notes and asks

  /// The server's clock now; nil before the entry.
  var serverTime: ServerTime? {
    let steady = steady
    return state.withLock { $0.clock.server(at: steady) }
  }

  /// Notes that everything which a marker needs on this host is published, and that the marker waits for the
  /// group.
  ///
  /// - Parameter earliest: the marker was not closed before this instant.
  func note(_ path: RelativePath, closedAfter earliest: ServerTime) {
    state.withLock { state in
      let now = now(state)
      state.reported.remove(path)
      state.member?.note(
        GroupMarker(path: path, earliestClose: min(earliest, now.server), latestClose: now.server), at: now)
    }
    bell.ring()
  }

  func withdraw(_ path: RelativePath) {
    state.withLock { $0.member?.withdraw(path) }
    bell.ring()
  }

  func start(_ work: Work) {
    state.withLock { $0.work = work }
    bell.ring()
  }

  /// Whether the claim has to wait until no change of an earlier attempt can arrive.
  var isSettling: Bool {
    let steady = steady
    return state.withLock { state in
      guard let member = state.member, member.hasClaim, !member.isActive else { return false }
      return member.wakeTime(at: GroupMember.Now(steady: steady, server: 0)).map { $0 > steady } ?? false
    }
  }

  /// Why this attempt may change nothing any more; nil while it may.
  var fenceError: MirrorError? {
    state.withLock(\.fence).map { claim in
      let host = slots.known(of: group.member)?.origin.host ?? ""
      return MirrorError(
        .incomplete,
        "another attempt has taken over as \(name): attempt \(claim.attemptText), generation \(claim.generation)"
          + (host.isEmpty ? "" : ", on host \(host)") + "; this one publishes nothing more")
    }
  }

  // MARK: The end

  /// Returns when no marker waits any more, or each has waited for the timeout or will never be published.
  func settleMarkers() async {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        if isSettled(state) { return true }
        state.onlookers.append(continuation)
        return false
      }
      if isOver { continuation.resume() }
    }
  }

  func isSettled(_ state: borrowing State) -> Bool {
    if state.hasEnded || state.isStopped { return true }
    let waits = state.member?.waits(at: now(state)) ?? []
    guard waits.allSatisfy(\.isHopeless) else { return false }
    // Until this host's own pass is over, nothing is known of the others.
    return state.failedRequests > 2 || !waits.contains { $0.obstacle == .ownData }
  }

  /// The markers that wait, and why.
  var waitingMarkers: [(path: RelativePath, reason: String)] {
    state.withLock { state in
      (state.member?.waits(at: now(state)) ?? []).map { wait in
        (wait.path, wait.obstacle.map { reason(for: $0, in: state) } ?? "it is about to be published")
      }
    }
  }

  /// Gives the slot up: everything is published, and nothing more will be changed.
  func requestEnd() {
    state.withLock { state in
      state.isEnding = true
      state.passesNotBefore = 0
      state.member?.requestEnd()
    }
    bell.ring()
  }

  /// Ends the loop at once. The slot stays as it is, so the next attempt has to wait.
  func stop() {
    let (waiters, onlookers, fence) = state.withLock { state in
      state.isStopped = true
      defer {
        state.waiters = [:]
        state.onlookers = []
      }
      return (state.waiters.values, state.onlookers, state.fence)
    }
    let error: any Error = fence.map { Fenced(member: name, claim: $0) } ?? CancellationError()
    for waiter in waiters { waiter.resume(throwing: error) }
    for onlooker in onlookers { onlooker.resume() }
    bell.ring()
  }
}
