// Glossary
//
// transfer     one request on its way to one response
// easy handle  libcurl's object for a transfer; used again for the next one, with its buffers
// multi handle libcurl's object that drives many easy handles on one thread and owns the connections
// stale        a kept connection that the server closed while it was idle, noticed only when it is used again
// sink         where a response's body goes when not into memory

import CCurl
import DequeModule
import LoopThread
import Synchronization

/// HTTP/1.1 over libcurl's multi interface, on one thread.
///
/// HTTP/1.1 only: S3 offers nothing later, and many connections fill a fast link where one connection, which
/// HTTP/2 would share, is held back by its single congestion window. Redirects are not followed (a signature is
/// good for one host), cookies, netrc and compression are off. libcurl itself sends a request again, on a new
/// connection, if a reused one closed before the first byte of a response and it noticed in time (RFC 9112 §9.3.1).
///
/// A client that is made must be closed: until then its thread holds it.
package actor CurlClient: HTTPClient {
  private let configuration: Configuration
  private nonisolated let loop: LoopThread
  package nonisolated let executors: [any TaskExecutor]
  /// Nil after `close()`.
  private var multi: CurlMulti?
  /// Transfers that libcurl drives; at most `maxConnections`, which bounds the buffers of the easy handles.
  private var running: [Transfer.ID: Transfer] = [:]
  /// First come, first served. Bounded by the tasks that call `send`.
  private var waiting: Deque<Transfer> = []
  private var idleHandles: [EasyHandle] = []
  private let inbox = Mutex(Inbox())
  private var paused: PausedTransfers
  /// The longest silence that a server is given, in seconds, whatever a request says; nil: as long as that says.
  private var longestSilence: Int?
  /// When the transfers are looked at for silence again.
  private var nextLook = ContinuousClock.now

  /// What came from other threads since the last turn. It spares a request the two jobs on the loop that calls of an
  /// actor's method and back would be.
  private struct Inbox {
    var lastID: Transfer.ID = 0
    var arrived: [Transfer] = []
    /// Transfers whose tasks were cancelled.
    var withdrawn: [Transfer.ID] = []
    var isClosed = false

    mutating func takeAll() -> (arrived: [Transfer], withdrawn: [Transfer.ID]) {
      defer { (arrived, withdrawn) = ([], []) }
      return (arrived, withdrawn)
    }
  }

  /// What was sent and received by transfers that have ended.
  package private(set) var statistics = Statistics()

  /// Transfers that a rate limit holds up now; for tests and status.
  package var pausedCount: Int { paused.count }

  /// Whether the caller runs on the loop's thread, as what is on `executors` does.
  nonisolated var isCurrent: Bool { loop.isCurrent }

  package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  package init(_ configuration: Configuration = Configuration()) throws {
    try configuration.validate()
    let multi = try CurlMulti(maxConnections: configuration.maxConnections)
    self.configuration = configuration
    self.multi = multi
    self.paused = PausedTransfers(configuration)
    // Made here, so that an option that libcurl refuses is an error now, not at the first request.
    self.idleHandles = [try EasyHandle(configuration)]
    self.loop = LoopThread(name: "s3mirror-http", priority: configuration.priority)
    executors = [LoopTasks(on: loop)]
    try loop.start(
      turn: { self.assumeIsolated { $0.turn() } }, wait: { multi.wait() }, wake: { multi.wake() })
  }

  package nonisolated func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    let id = inbox.withLock { inbox in
      inbox.lastID += 1
      return inbox.lastID
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isOpen = inbox.withLock { inbox in
          guard !inbox.isClosed else { return false }
          inbox.arrived.append(Transfer(id: id, request: request, continuation: continuation))
          // Whoever cancelled before this line withdrew what had not arrived.
          if Task.isCancelled { inbox.withdrawn.append(id) }
          return true
        }
        if isOpen { loop.wakeUp() } else { continuation.resume(throwing: Self.closedError) }
      }
    } onCancel: {
      inbox.withLock { $0.withdrawn.append(id) }
      loop.wakeUp()
    }
  }

  /// Bounds how long a server may be silent from now on, in requests under way too.
  package func limitSilence(seconds: Int) {
    longestSilence = seconds
    for transfer in running.values { transfer.easy?.limitSilence(seconds: seconds) }
  }

  /// Returns when the loop has come round: a loop that is stuck never answers.
  package func answer() {}

  /// Fails what is in flight with `.closed`, ends the thread and closes the connections. Safe to call twice.
  package nonisolated func close() async {
    await failAll()
    loop.stop()
    await release()
  }

  private func failAll() {
    waiting += inbox.withLock { inbox in
      inbox.isClosed = true
      return inbox.takeAll().arrived
    }
    failRunning(Self.closedError)
    for transfer in waiting { transfer.continuation.resume(throwing: Self.closedError) }
    waiting = []
  }

  /// Runs when the loop's thread has been joined, so nothing polls or wakes the multi handle any more.
  private func release() {
    idleHandles = []
    multi = nil
  }

  private static let closedError = TransportError(.closed, "the HTTP client is closed")
}

extension CurlClient {
  /// The loop's turn: what libcurl and cancelled tasks have for us, then free places are filled.
  private func turn() {
    guard let multi else { return }
    let news = inbox.withLock { $0.takeAll() }
    waiting += news.arrived
    withdraw(news.withdrawn)
    for id in paused.takeReady() { running[id]?.easy?.goOn() }
    do {
      try multi.perform()
    } catch {
      failRunning(error)
    }
    while let finished = multi.nextFinished() {
      guard let transfer = running[finished.id], let easy = transfer.easy else { continue }
      let outcome = easy.outcome(of: finished.result)
      end(transfer, easy, outcome)
    }
    endSilent(on: multi)
    startWaiting(on: multi)
    if paused.isLimiting {
      for (id, transfer) in running {
        if let direction = transfer.easy?.pausedDirection { paused.add(id, direction) }
      }
    }
    guard !running.isEmpty else { return multi.limitWait(milliseconds: nil) }
    let period = SilenceClock.periodMilliseconds
    multi.limitWait(
      milliseconds: paused.isLimiting ? min(paused.millisecondsUntilReady ?? period, period) : period)
  }

  /// Ends the transfers in which nothing has moved for as long as they may be silent.
  private func endSilent(on multi: CurlMulti) {
    let now = ContinuousClock.now
    guard now >= nextLook, !running.isEmpty else { return }
    nextLook = now + SilenceClock.period
    let unacknowledged = multi.unacknowledgedBytes()
    for transfer in running.values {
      guard let easy = transfer.easy else { continue }
      switch easy.lookForMovement(at: now, bytesUnacknowledged: unacknowledged[transfer.id] ?? 0) {
      case .moves, .silent: break
      case .movesLate: configuration.onLateMovement?()
      case .suspicious: easy.noteSuspicion()
      case .over:
        easy.noteSuspicion()
        end(transfer, easy, .failure(easy.silenceError))
      }
    }
  }

  private func withdraw(_ cancelled: [Transfer.ID]) {
    for id in cancelled {
      if let transfer = running[id], let easy = transfer.easy {
        // Ends in the middle, so libcurl closes the connection with it.
        end(transfer, easy, .failure(CancellationError()))
      } else if let index = waiting.firstIndex(where: { $0.id == id }) {
        waiting.remove(at: index).continuation.resume(throwing: CancellationError())
      }
    }
  }

  /// Newly added handles have a timer that is due, so the wait that follows returns at once.
  private func startWaiting(on multi: CurlMulti) {
    while running.count < configuration.maxConnections, let transfer = waiting.popFirst() {
      do {
        let easy = try idleHandles.popLast() ?? EasyHandle(configuration)
        do {
          try easy.prepare(transfer.request, id: transfer.id)
          if let longestSilence { easy.limitSilence(seconds: longestSilence) }
          try multi.add(easy)
        } catch {
          easy.clear()
          throw error
        }
        transfer.easy = easy
        running[transfer.id] = transfer
        statistics.requestsSent += 1
      } catch {
        transfer.continuation.resume(throwing: error)
      }
    }
  }

  private func failRunning(_ error: any Error) {
    for transfer in running.values {
      if let easy = transfer.easy { end(transfer, easy, .failure(error)) }
    }
  }

  private func end(_ transfer: Transfer, _ easy: EasyHandle, _ outcome: Result<HTTPResponse, any Error>) {
    running[transfer.id] = nil
    paused.remove(transfer.id)
    transfer.easy = nil
    statistics.add(easy)
    multi?.remove(easy)
    easy.clear()
    // A handle whose transfer failed is not used again: after a name that could not be resolved, libcurl 7.88 keeps the
    // receive buffer and refuses to set its size for good. The connections are the multi handle's, and stay.
    if case .success = outcome { idleHandles.append(easy) }
    transfer.continuation.resume(with: outcome)
  }
}

/// A request and whoever waits for its response.
///
/// Unchecked: made by the task that sends it, and from its arrival on confined to the client.
private final class Transfer: @unchecked Sendable {
  typealias ID = UInt

  let id: ID
  let request: HTTPRequest
  let continuation: CheckedContinuation<HTTPResponse, any Error>
  /// Nil while it waits for a place.
  var easy: EasyHandle?

  init(id: ID, request: HTTPRequest, continuation: CheckedContinuation<HTTPResponse, any Error>) {
    self.id = id
    self.request = request
    self.continuation = continuation
  }
}
