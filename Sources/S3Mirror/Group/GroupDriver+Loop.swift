import LoopThread
import MirrorModel
import S3Client

/// The loop: asks the member for its next action, and carries it out.
extension GroupDriver {
  private enum Turn {
    case read
    case write(GroupSlot, over: SlotVersion?)
    case flush
    case publish(RelativePath)
    case wait(until: Int64?)
    case leave
  }

  /// The longest pause after requests or passes that failed.
  private static let longestPause: Int64 = 30_000_000_000
  /// So many failed requests in a row end the end: the service is silent.
  private static let mostFailuresAtEnd = 3

  /// Runs until the member has given up its slot, has lost it, or `stop` is called.
  func run() async {
    while true {
      let turn = state.withLock { nextTurn(&$0) }
      switch turn {
      case .read:
        do {
          try await read()
          succeeded()
        } catch {
          failed(error)
        }
      case .write(let slot, let version):
        do {
          try await write(slot, over: version)
          succeeded()
        } catch {
          failed(error)
        }
      case .flush: beginFlush()
      case .publish(let path): beginPublication(of: path)
      case .wait(let until): await clock.wait(for: bell, until: until.map(instant))
      case .leave: return leave()
      }
      releaseWaiters()
      sayHopeless()
    }
  }

  private func nextTurn(_ state: inout State) -> Turn {
    guard !state.isStopped else { return .leave }
    let now = now(state)
    if let step = state.step, step.end < now.steady { endSlice(step, &state, at: now) }
    if state.requestsNotBefore > now.steady { return .wait(until: state.requestsNotBefore) }
    guard var next = state.member else { return .leave }
    let action = next.next(at: now)
    switch action {
    case .pass, .publish:
      if state.work == nil { return .wait(until: nil) }
      if state.passesNotBefore > now.steady { return .wait(until: state.passesNotBefore) }
    default: break
    }
    state.member = next
    switch action {
    case .read: return .read
    case .write(let slot, let over): return .write(signed(slot), over: over)
    case .pass(let until):
      state.step = Step(kind: .pass, start: now.steady, end: until)
      return .flush
    case .publish(let path, let until):
      state.step = Step(kind: .publication(path), start: now.steady, end: until)
      return .publish(path)
    case .look:
      // S3 shows at once what was published (AWS, "Amazon S3 data consistency model").
      state.member?.note(visible: true)
      return .wait(until: now.steady)
    case .rest:
      let wake = next.wakeTime(at: now)
      return .wait(until: [wake, state.step.map { $0.end + 1 }].compactMap { $0 }.min())
    case .leave(.fenced(let claim)):
      state.fence = claim
      return .leave
    case .leave(.ended):
      state.hasEnded = true
      return .leave
    }
  }

  /// Lets the claim be confirmed while a long pass goes on. The pass counts as unfinished for the member; the
  /// lane goes on with it, and its changes wait for the confirmation.
  private func endSlice(_ step: Step, _ state: inout State, at now: GroupMember.Now) {
    state.step = nil
    switch step.kind {
    case .pass: state.member?.note(pass: .unfinished, at: now)
    case .publication:
      state.member?.note(publication: .unfinished, at: now)
      state.member?.noteChange()
    }
  }

  private func leave() {
    let (work, fence) = state.withLock { ($0.work, $0.fence) }
    if fence != nil, let error = fenceError {
      notice("\(error.message)")
      work?.fenced()
    }
    stop()
  }

  // MARK: Requests

  func read() async throws {
    let sent = steady
    do {
      let (slots, date) = try await slots.read()
      if let date { note(date: date, sent: sent) }
      update { $0.note(slots: slots, at: $1) }
    } catch {
      update { $0.note(slots: nil, at: $1) }
      throw error
    }
  }

  func write(_ slot: GroupSlot, over version: SlotVersion?) async throws {
    do {
      let answer = try await slots.write(signed(slot), of: group.member, over: version)
      update { $0.note(write: answer, at: $1) }
    } catch {
      update { $0.note(write: .missing, at: $1) }
      throw error
    }
  }

  /// The slot with the name of this host and process.
  private func signed(_ slot: GroupSlot) -> GroupSlot {
    var slot = slot
    slot.origin = .init(host: hostName, pid: processID)
    return slot
  }

  private func succeeded() {
    state.withLock { state in
      (state.failedRequests, state.requestsNotBefore, state.fault) = (0, 0, nil)
    }
  }

  private func failed(_ error: any Error) {
    let (waiters, isFirst) = state.withLock { state in
      state.failedRequests += 1
      state.fault = error
      state.requestsNotBefore = steady + Self.pause(after: state.failedRequests)
      if state.isEnding, state.failedRequests >= Self.mostFailuresAtEnd { state.isStopped = true }
      defer { state.waiters = [:] }
      return (state.waiters.values, state.failedRequests == 1)
    }
    for waiter in waiters { waiter.resume(throwing: error) }
    if isFirst { notice("\(name): its slot cannot be read or written, so nothing is published: \(error)") }
  }

  private static func pause(after failures: Int) -> Int64 {
    min(longestPause, 1_000_000_000 << min(max(failures, 1) - 1, 10))
  }

  // MARK: Publications

  /// Has the lane publish everything that is closed. If an earlier flush still runs, the member waits for it and
  /// then for another one, because the earlier one began before the member's pass.
  private func beginFlush() {
    let work = state.withLock { state -> Work? in
      guard state.flushStart == nil, let work = state.work else { return nil }
      state.flushStart = steady
      return work
    }
    guard let work else { return }
    Task(executorPreference: TaskThreads.current) {
      let answer = await work.flush()
      self.flushEnded(answer)
    }
  }

  private func flushEnded(_ answer: GroupMember.PassAnswer) {
    let isStale = state.withLock { state -> Bool in
      let start = state.flushStart ?? 0
      state.flushStart = nil
      // Between two slices the member does not wait for a pass.
      guard let step = state.step, step.kind == .pass else { return false }
      guard start >= step.start else { return true }
      state.step = nil
      let now = now(state)
      state.member?.note(pass: answer, at: now)
      noteEnd(of: answer, in: &state)
      // Nobody publishes later what the end could not publish.
      if state.isEnding, answer != .published { state.isStopped = true }
      return false
    }
    if isStale { beginFlush() }
    bell.ring()
  }

  private func noteEnd(of answer: GroupMember.PassAnswer, in state: inout State) {
    state.failedPasses = answer == .published ? 0 : state.failedPasses + 1
    state.passesNotBefore = answer == .published ? 0 : steady + Self.pause(after: state.failedPasses)
  }

  private func beginPublication(of path: RelativePath) {
    let work = state.withLock { state -> Work? in
      // The publication that an earlier slice began still runs.
      guard state.publishing == nil, let work = state.work else { return nil }
      state.publishing = path
      return work
    }
    guard let work else { return }
    Task(executorPreference: TaskThreads.current) {
      let answer = await work.publish(path)
      self.publicationEnded(answer, of: path)
    }
  }

  private func publicationEnded(_ answer: GroupMember.PassAnswer, of path: RelativePath) {
    let next = state.withLock { state -> RelativePath? in
      state.publishing = nil
      guard case .publication(let wanted)? = state.step?.kind else { return nil }
      guard wanted == path else { return wanted }
      state.step = nil
      let now = now(state)
      state.member?.note(publication: answer, at: now)
      noteEnd(of: answer, in: &state)
      return nil
    }
    if let next { beginPublication(of: next) }
    bell.ring()
  }
}
