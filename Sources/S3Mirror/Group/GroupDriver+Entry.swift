import Glibc
import MirrorModel
import S3Client

/// The entry of a member: the check of the server, and the claim.
extension GroupDriver {
  /// How often a request of the entry is repeated, beyond the store's own retries.
  private static let mostFailures = 5

  /// Claims the member's slot.
  ///
  /// - Parameters:
  ///   - tree: names the mirrored directory. An attempt on the same directory continues what the earlier one
  ///     left.
  ///   - attempt: a random number.
  /// - Throws: `MirrorError` if the server knows no conditional writes, if a slot is damaged, or if a later
  ///   attempt holds the slot; `S3Error`.
  func enter(tree: String, attempt: UInt64 = .random(in: .min ... .max)) async throws {
    try await slots.checkConditions()
    let server = try await readClock()
    let member = GroupMember(memberSettings, attempt: attempt, order: order(at: server), tree: tree)
    state.withLock { $0.member = member }
    var failures = 0
    while true {
      let action = state.withLock { state -> GroupMember.Action? in
        guard let member = state.member, !member.hasClaim else { return nil }
        let now = now(state)
        return state.member?.next(at: now)
      }
      switch action {
      case nil: return sayClaim()
      case .read?:
        do {
          try await read()
        } catch {
          failures += 1
          if failures >= Self.mostFailures || error is MirrorError { throw error }
        }
      case .write(let slot, let version)?:
        do {
          try await write(slot, over: version)
        } catch {
          failures += 1
          if failures >= Self.mostFailures || (error as? S3Error)?.isRetryable != true { throw error }
        }
      case .leave(.fenced(let claim))?:
        state.withLock { $0.fence = claim }
        throw MirrorError(
          .configuration,
          "a later attempt holds the slot of \(name): attempt \(claim.attemptText), generation \(claim.generation); end this one, or give each host its own --member"
        )
      case .pass?, .look?, .publish?, .rest?, .leave(.ended)?: return
      }
    }
  }

  private var memberSettings: GroupMember.Settings {
    let takeover = group.takeover.wholeNanoseconds
    // A claim over this attempt must find the lease ended. Without a takeover time the launcher ends the attempt.
    let longest = takeover > 0 ? max(takeover / 2, 1_000_000_000) : .max
    let lease = min(group.pace.lease.wholeNanoseconds, longest)
    var member = GroupMember.Settings(
      index: group.member, count: group.members,
      uncertainty: ServerClock.uncertainty, lease: lease,
      validity: max(0, takeover - lease - 2 * ServerClock.uncertainty),
      readInterval: group.pace.watch.wholeNanoseconds, restInterval: group.pace.rest.wholeNanoseconds,
      attention: group.pace.attention.wholeNanoseconds, timeout: group.timeout.wholeNanoseconds)
    member.takeover = takeover
    member.succession = min(takeover, group.pace.succession.wholeNanoseconds)
    return member
  }

  /// The launcher's restart count comes first. Two attempts of one start of the job are ordered by the server's
  /// clock, in seconds.
  private func order(at server: ServerTime) -> Int64 {
    Int64(group.restarts) << 33 + server / 1_000_000_000
  }

  /// - Throws: `MirrorError` if the server sends no date, or if its answers take too long.
  private func readClock() async throws -> ServerTime {
    for _ in 0..<Self.mostFailures {
      let sent = steady
      if let date = try await slots.read().date { note(date: date, sent: sent) }
      if let server = serverTime { return server }
    }
    throw MirrorError(
      .configuration,
      "the server's clock cannot be read: its answers have no date, or take longer than \(ServerClock.uncertainty / 500_000_000) s; the members of a group compare their times by it"
    )
  }

  func note(date: Int64, sent: Int64) {
    let received = steady
    state.withLock { $0.clock.note(date: date, sent: sent, received: received) }
  }

  private func sayClaim() {
    let steady = steady
    let wait = state.withLock { state in
      state.member?.wakeTime(at: GroupMember.Now(steady: steady, server: 0)).map { $0 - steady } ?? 0
    }
    guard isSettling, let earlier = slots.known(of: group.member) else { return }
    let host = earlier.origin.host.isEmpty ? "" : " on host \(earlier.origin.host)"
    notice(
      "\(name) takes over from an attempt\(host) that did not end; a last change of that attempt may still arrive, so nothing is published for \(wait / 1_000_000_000 + 1) s (--group-takeover)"
    )
  }
}
