import MirrorModel

/// The permission to begin changes, and what the user hears of the other members.
extension GroupDriver: Fence {
  /// Returns when the claim allows a change to begin. If it was not confirmed lately, it is confirmed first.
  ///
  /// - Throws: `MirrorError` if another attempt has taken the member over; the error of the slot's request if it
  ///   failed; `CancellationError`.
  func permit() async throws {
    let id = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let verdict = state.withLock { state -> Result<Void, any Error>? in
          if Task.isCancelled { return .failure(CancellationError()) }
          if let known = decision(in: state) { return known }
          // The pass for which the member confirms its claim also finds what changes meanwhile.
          state.member?.noteChange()
          state.waiters[id] = continuation
          return nil
        }
        if let verdict { continuation.resume(with: verdict) } else { bell.ring() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(throwing: CancellationError())
    }
  }

  /// Nil while the claim has to be confirmed.
  private func decision(in state: borrowing State) -> Result<Void, any Error>? {
    if let claim = state.fence { return .failure(Fenced(member: name, claim: claim)) }
    if state.hasEnded || state.isStopped { return .failure(CancellationError()) }
    guard let member = state.member, member.mayChange(at: now(state)) else { return nil }
    return .success(())
  }

  func noteDoubt() {
    update { $0.noteDoubt(at: $1) }
  }

  /// Resumes the changes that may begin now, or never.
  func releaseWaiters() {
    let (verdict, waiters, onlookers) = state.withLock {
      state -> (
        Result<Void, any Error>?, [CheckedContinuation<Void, any Error>], [CheckedContinuation<Void, Never>]
      ) in
      var waiters: [CheckedContinuation<Void, any Error>] = []
      let verdict = decision(in: state)
      if verdict != nil {
        waiters = Array(state.waiters.values)
        state.waiters = [:]
      }
      var onlookers: [CheckedContinuation<Void, Never>] = []
      if isSettled(state) { swap(&onlookers, &state.onlookers) }
      return (verdict, waiters, onlookers)
    }
    if let verdict { for waiter in waiters { waiter.resume(with: verdict) } }
    for onlooker in onlookers { onlooker.resume() }
  }

  // MARK: What is said

  /// Reports each marker once that waits longer than the timeout, or will never be published.
  func sayHopeless() {
    let hopeless = state.withLock { state -> [(RelativePath, String)] in
      let waits = state.member?.waits(at: now(state)) ?? []
      return waits.compactMap { wait in
        guard wait.isHopeless, let obstacle = wait.obstacle, state.reported.insert(wait.path).inserted else {
          return nil
        }
        return (wait.path, reason(for: obstacle, in: state))
      }
    }
    for (path, reason) in hopeless { notice("\(name): \(path) is not published: \(reason)") }
  }

  func reason(for obstacle: GroupMember.Obstacle, in state: borrowing State) -> String {
    let group = group.name
    switch obstacle {
    case .ownData: return "it waits for this host's own data"
    case .absent(let member):
      return "it waits for member \(member) of the group \(group), which has not begun"
    case .behind(let member):
      let host = state.member?.slotsOfOthers[member]?.origin.host ?? ""
      return "it waits for member \(member) of the group \(group)" + (host.isEmpty ? "" : " on host \(host)")
        + ", which has not confirmed that its data are published"
    case .lost(let member):
      return
        "member \(member) of the group \(group) began anew on another disk after it was written, so data that it names may be lost; a later version will be published"
    }
  }
}

/// A change that was not begun, because another attempt acts for the member.
struct Fenced: Error, CustomStringConvertible {
  var member: String
  var claim: GroupClaim

  var description: String {
    "another attempt has taken over as \(member): attempt \(claim.attemptText), generation \(claim.generation)"
  }
}
