import LoopThread
import S3Mirror
import Synchronization

/// One mirror that another program drives. It reads requests, answers each one once, and ends the mirror in
/// the same way, whatever happens to the other program.
final class Session: Sendable {
  private enum Phase {
    case new
    case entering(MirrorScope, Task<Void, any Error>)
    case running(MirrorScope)
    /// The scope is nil if none was entered.
    case ending(MirrorScope?)
  }

  private struct State {
    var phase = Phase.new
    var underWay: Set<Int64> = []
    /// The signal that ended the session at once.
    var signal: Int32?
    var progress: Task<Void, Never>?
  }

  /// How many requests may run at one time. Further requests are refused.
  static let mostUnderWay = 1024
  /// How many lines of a listing one part has.
  static let linesInPart = 1000

  private let channel: SessionChannel
  private let state = Mutex(State())

  init(_ channel: SessionChannel) {
    self.channel = channel
  }

  /// Serves until the mirror is over.
  ///
  /// The first signal is left to the other program, whose last checkpoint may still come. The second signal
  /// ends the session at once.
  func serve(under supervisor: Supervisor) async -> ExitStatus {
    let channel = channel
    supervisor.react { arrival in
      channel.sendEvent(
        EventLine(
          event: "notice",
          text: "signal \(arrival.number): the session ends with its parent; a second signal leaves at once"))
    }
    supervisor.reactToSecond { arrival in
      channel.giveUp()
      channel.note(.cut(arrival.number))
    }
    channel.send(SessionHello())
    for await arrival in channel.arrivals {
      switch arrival {
      case .line(let line):
        take(line)
        channel.askForNext()
      case .tooLong:
        refuse(.init(message: "the line is longer than \(SessionChannel.longestLine) bytes"))
        channel.askForNext()
      case .ended: end(.threw, answering: nil)
      case .cut(let signal):
        state.withLock { $0.signal = $0.signal ?? signal }
        abandon()
        end(.threw, answering: nil)
      case .over(let status):
        await channel.drain()
        return state.withLock { $0.signal }.map(ExitStatus.signal) ?? status
      }
    }
    preconditionFailure("the channel ends with the mirror only")
  }

  // MARK: Requests

  private func take(_ line: [UInt8]) {
    let request: SessionRequest
    do {
      request = try SessionRequest(line)
    } catch {
      return refuse(error)
    }
    switch request.content {
    // These requests are accepted whatever else is running.
    case .end(let body): return end(body, answering: request.id)
    case .abandon:
      abandon()
      return channel.send(SessionAnswer(id: request.id, result: .init()))
    default: break
    }
    if let error = begin(request) { channel.send(SessionAnswer(id: request.id, error: error)) }
  }

  private func refuse(_ fault: SessionRequest.Fault) {
    channel.send(
      SessionAnswer(id: fault.id, error: SessionError(.protocol, fault.message, request: fault.request)))
  }

  /// Starts a request in a task of its own.
  ///
  /// - Returns: why it was not started.
  private func begin(_ request: SessionRequest) -> SessionError? {
    let name = request.kind.rawValue
    return state.withLock { state in
      if state.underWay.contains(request.id) {
        return SessionError(.protocol, "a request of the id \(request.id) is under way", request: name)
      }
      guard state.underWay.count < Self.mostUnderWay else {
        return SessionError(
          .busy, "\(Self.mostUnderWay) requests are under way; wait for an answer", request: name)
      }
      switch (request.content, state.phase) {
      case (.enter(let entry), .new): return enter(entry, request, &state)
      case (.enter, _): return SessionError(.protocol, "the session has been entered already", request: name)
      case (_, .new): return SessionError(.protocol, "the session is to be entered first", request: name)
      case (.status, .ending(let scope?)), (_, .entering(let scope, _)), (_, .running(let scope)):
        state.underWay.insert(request.id)
        Task(executorPreference: TaskThreads.current) { await self.answer(request, in: scope) }
        return nil
      case (_, .ending): return SessionError(.interrupted, "the session is ending", request: name)
      }
    }
  }

  private func answer(_ request: SessionRequest, in scope: MirrorScope) async {
    var answer = SessionAnswer(id: request.id)
    do {
      answer.result = try await result(of: request, in: scope)
    } catch {
      answer.error = SessionError(error, request: request.kind)
    }
    state.withLock { _ = $0.underWay.remove(request.id) }
    channel.send(answer)
  }

  private func result(of request: SessionRequest, in scope: MirrorScope) async throws -> SessionAnswer.Result
  {
    switch request.content {
    case .paths: return .init(paths: scope.paths.mapValues(\.string))
    case .flush(let upload): return .init(flushed: try await scope.flush(upload).sorted())
    case .status: return .init(status: scope.mirrorState)
    case .report: return .init(report: SessionReport(scope.reportSoFar))
    case .add(let spec): return .init(path: try await scope.add(spec.spec, name: spec.name).string)
    case .ls(let remote, let depth):
      try await list(remote, depth, in: scope, id: request.id)
      return .init()
    case .restore(let spec, let unit, let extent):
      return .init(
        restored: RestoredLine(
          try await scope.restore(spec, unit: unit, name: "restore", extent: extent)))
    case .enter, .end, .abandon: preconditionFailure("these have ways of their own")
    }
  }

  private func list(
    _ remote: String, _ depth: MirrorSession.Depth, in scope: MirrorScope, id: Int64
  ) async throws {
    var lines: [JSONText.Listed] = []
    try await scope.list(remote, depth: depth) { line in
      lines.append(.init(line))
      guard lines.count == Self.linesInPart else { return }
      channel.send(SessionAnswer(id: id, part: .init(lines: lines)))
      lines = []
    }
    if !lines.isEmpty { channel.send(SessionAnswer(id: id, part: .init(lines: lines))) }
  }

  // MARK: Entry

  private func enter(_ entry: SessionRequest.Entry, _ request: SessionRequest, _ state: inout State)
    -> SessionError?
  {
    var options = entry.options
    let (channel, wanted) = (channel, entry.events)
    options.observer = { event in
      for line in EventLine.lines(of: event) where wanted.contains(line.event) && line.event != "ended" {
        channel.sendEvent(line)
      }
    }
    let scope: MirrorScope
    do {
      scope = try MirrorScope(options: options)
    } catch {
      return SessionError(error, request: .enter)
    }
    let specs = entry.specs.map { (name: $0.name, spec: $0.spec) }
    let work = Task(executorPreference: TaskThreads.current) { try await scope.enter(specs) }
    state.phase = .entering(scope, work)
    state.underWay.insert(request.id)
    state.progress = entry.progress.map { interval in
      Task(executorPreference: TaskThreads.current) {
        await scope.followProgress(every: interval) { channel.sendEvent(ProgressEvent($0)) }
      }
    }
    Task(executorPreference: TaskThreads.current) { await self.finishEntry(scope, work, request.id) }
    return nil
  }

  private struct ProgressEvent: Encodable {
    var event = "progress"
    var progress: TransferProgress

    init(_ progress: TransferProgress) {
      self.progress = progress
    }
  }

  private func finishEntry(_ scope: MirrorScope, _ work: Task<Void, any Error>, _ id: Int64) async {
    let outcome = await work.result
    let isEnding = state.withLock { state in
      state.underWay.remove(id)
      guard case .entering = state.phase else { return true }
      if case .success = outcome { state.phase = .running(scope) }
      return false
    }
    switch outcome {
    case .success where isEnding:
      channel.send(
        SessionAnswer(id: id, error: SessionError(.interrupted, "the session is ending", request: "enter")))
    case .success:
      channel.send(SessionAnswer(id: id, result: .init(paths: scope.paths.mapValues(\.string))))
    case .failure(let error):
      channel.send(SessionAnswer(id: id, error: SessionError(error, request: .enter)))
      let status = (error as? MirrorError).map(ExitStatus.init) ?? .failure
      if !isEnding { end(.threw, answering: nil, failed: status) }
    }
  }

  // MARK: The end

  /// Interrupts the running work. A mirror that is ending is over soon after.
  private func abandon() {
    switch state.withLock({ $0.phase }) {
    case .new, .ending(nil): break
    case .entering(let scope, let entry):
      entry.cancel()
      scope.abandon()
    case .running(let scope), .ending(let scope?): scope.abandon()
    }
  }

  /// Ends the mirror once.
  ///
  /// - Parameters:
  ///   - id: the ID of the request; nil without a request.
  ///   - failed: the status of a failed entry.
  private func end(_ body: MirrorScope.BodyEnd, answering id: Int64?, failed: ExitStatus? = nil) {
    let phase: Phase? = state.withLock { state in
      if case .ending = state.phase { return nil }
      defer {
        state.phase =
          switch state.phase {
          case .entering(let scope, _), .running(let scope), .ending(let scope?): .ending(scope)
          case .new, .ending(nil): .ending(nil)
          }
      }
      return state.phase
    }
    guard let phase else {
      if let id {
        let error = SessionError(.interrupted, "the session is ending already", request: "end")
        channel.send(SessionAnswer(id: id, error: error))
      }
      return
    }
    Task(executorPreference: TaskThreads.current) {
      let report = await self.finish(phase, body)
      if let id {
        self.channel.send(SessionAnswer(id: id, result: .init(report: SessionReport(report))))
      }
      self.channel.note(.over(failed ?? ExitStatus(report)))
    }
  }

  private func finish(_ phase: Phase, _ body: MirrorScope.BodyEnd) async -> MirrorReport {
    let report: MirrorReport
    switch phase {
    case .new, .ending: report = MirrorReport()
    case .entering(let scope, let entry):
      entry.cancel()
      _ = await entry.result
      // Without an answer to the entry, the other program cannot have begun its body.
      report = await scope.exit(.threw)
    case .running(let scope): report = await scope.exit(body)
    }
    let progress = state.withLock { $0.progress }
    progress?.cancel()
    await progress?.value
    return report
  }
}
