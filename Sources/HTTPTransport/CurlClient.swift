// HTTPTransport: HTTP/1.1 requests over libcurl.
//
// Glossary
//
// transfer     one request with its one response
// easy handle  libcurl's object for a transfer; reused for the next one, with its buffers
// multi handle libcurl's object that drives many easy handles on one thread and owns the connections
// stale        said of a kept connection that the server closed while it was idle; noticed only at the next
//                use
// sink         receives a response's body in place of memory
// silence      the time in which no byte of a transfer moves, as far as checks now and then show it
// quantum      20 ms of a rate limit: the smallest amount for which a paused transfer is resumed

import CCurl
import DequeModule
import LoopThread
import Synchronization

/// HTTP/1.1 over libcurl's multi interface, on one thread.
///
/// Only HTTP/1.1, because S3 supports nothing later. Many connections also fill a fast link better than the
/// single connection of HTTP/2, whose one congestion window limits it. Redirects are not followed, because a
/// signature is valid for one host. Cookies, netrc and compression are off. If a reused connection closed
/// before the first byte of a response and libcurl notices this in time, libcurl itself repeats the request
/// on a new connection (RFC 9112 §9.3.1).
///
/// A client must be closed; until then its thread keeps it alive.
package actor CurlClient: HTTPClient {
  private let configuration: Configuration
  private nonisolated let loop: LoopThread
  package nonisolated let executors: [any TaskExecutor]
  /// Nil after `close()`.
  private var multi: CurlMulti?
  /// The transfers that libcurl drives, at most `maxConnections`. This limits the buffers of the easy
  /// handles.
  private var running: [Transfer.ID: Transfer] = [:]
  /// In order of arrival. The number of tasks that call `send` limits it.
  private var waiting: Deque<Transfer> = []
  private var idleHandles: [EasyHandle] = []
  private let sessions: TLSSessions
  private let inbox = Mutex(Inbox())
  private var paused: PausedTransfers
  /// The longest silence of a server for all requests, in seconds; nil if each request's own limit applies.
  private var longestSilence: Int?
  /// When the transfers are next checked for silence.
  private var nextLook = ContinuousClock.now

  /// Requests and cancellations from other threads since the last turn. A call of an actor method and its
  /// return would need two jobs on the loop; the inbox needs none.
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

  /// Counts of all transfers that have ended.
  package private(set) var statistics = Statistics()

  /// How many transfers a rate limit pauses now. For tests and status.
  package var pausedCount: Int { paused.count }

  /// Whether the caller runs on the loop's thread, as tasks on `executors` do.
  nonisolated var isCurrent: Bool { loop.isCurrent }

  package nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  package init(_ configuration: Configuration = Configuration()) throws {
    try configuration.validate()
    let multi = try CurlMulti(maxConnections: configuration.maxConnections)
    let sessions = try TLSSessions()
    self.configuration = configuration
    self.multi = multi
    self.sessions = sessions
    self.paused = PausedTransfers(configuration)
    // Created here, so that an option that libcurl rejects is an error now and not at the first request.
    self.idleHandles = [try EasyHandle(configuration, sessions)]
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
          // A cancellation before this line withdrew a transfer that had not arrived yet.
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

  /// Limits how long a server may be silent from now on, including requests in flight.
  package func limitSilence(seconds: Int) {
    longestSilence = seconds
    for transfer in running.values { transfer.easy?.limitSilence(seconds: seconds) }
  }

  /// Returns once the loop has answered. A stuck loop never answers.
  package func answer() {}

  /// Fails all requests in flight with `.closed`, ends the thread and closes the connections. A second call
  /// has no effect.
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

  /// Runs after the loop's thread has been joined, so no thread polls or wakes the multi handle any more.
  private func release() {
    idleHandles = []
    multi = nil
  }

  private static let closedError = TransportError(.closed, "the HTTP client is closed")
}

extension CurlClient {
  /// One turn of the loop: handles results of libcurl and cancelled tasks, and then starts waiting transfers.
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
      if easy.wantsDirectory(outcome) { startAgain(transfer, easy) } else { end(transfer, easy, outcome) }
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

  /// Ends the transfers that have been silent for longer than their limit.
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
        // The transfer ends in the middle, so libcurl also closes its connection.
        end(transfer, easy, .failure(CancellationError()))
      } else if let index = waiting.firstIndex(where: { $0.id == id }) {
        waiting.remove(at: index).continuation.resume(throwing: CancellationError())
      }
    }
  }

  /// A newly added handle has a timer that is due, so the next wait returns at once.
  private func startWaiting(on multi: CurlMulti) {
    while running.count < configuration.maxConnections, let transfer = waiting.popFirst() {
      do {
        let easy = try idleHandles.popLast() ?? EasyHandle(configuration, sessions)
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

  private func startAgain(_ transfer: Transfer, _ easy: EasyHandle) {
    detach(transfer, easy)
    statistics.requestsSent -= 1
    waiting.prepend(transfer)
  }

  private func detach(_ transfer: Transfer, _ easy: EasyHandle) {
    running[transfer.id] = nil
    paused.remove(transfer.id)
    transfer.easy = nil
    statistics.add(easy)
    multi?.remove(easy)
    easy.clear()
  }

  private func end(_ transfer: Transfer, _ easy: EasyHandle, _ outcome: Result<HTTPResponse, any Error>) {
    detach(transfer, easy)
    // A handle whose transfer failed is not reused: after a name that could not be resolved, libcurl 7.88
    // keeps the receive buffer and refuses ever to change its size. The connections belong to the multi
    // handle and stay.
    if case .success = outcome { idleHandles.append(easy) }
    transfer.continuation.resume(with: outcome)
  }
}

/// A request and the continuation of the task that waits for its response.
///
/// Unchecked: the sending task creates it, and from its arrival on only the client uses it.
private final class Transfer: @unchecked Sendable {
  typealias ID = UInt

  let id: ID
  let request: HTTPRequest
  let continuation: CheckedContinuation<HTTPResponse, any Error>
  /// Nil while the transfer waits for its start.
  var easy: EasyHandle?

  init(id: ID, request: HTTPRequest, continuation: CheckedContinuation<HTTPResponse, any Error>) {
    self.id = id
    self.request = request
    self.continuation = continuation
  }
}
