import MirrorModel
import S3Client
import Synchronization
import Transfers

/// The progress of a mirror's transfers.
package struct TransferProgress: Sendable, Hashable, Encodable {
  /// Files that were transferred completely.
  package var files = 0
  package var sentBytes: Int64 = 0
  package var fetchedBytes: Int64 = 0
  /// Requests with a payload that are running.
  package var inFlight = 0
}

/// Counts transfers for the progress display: payload bytes when requests succeed, files when they are
/// complete.
final class TransferMeter: Sendable {
  typealias Reading = TransferProgress

  /// The operations that were sent to S3, including retries and their pauses.
  struct Operations: Sendable, Hashable {
    var underWay = 0
    var ended = 0
  }

  private let state = Mutex(Reading())
  private let asked = Mutex(Operations())
  /// Rings when the first transfer begins, so that no task has to poll.
  let bell = Doorbell()

  var reading: Reading { state.withLock { $0 } }

  var operations: Operations { asked.withLock { $0 } }

  /// Counts an operation while it runs.
  nonisolated(nonsending) func counting<Output>(_ operation: () async throws -> Output) async throws -> Output
  {
    asked.withLock { $0.underWay += 1 }
    defer {
      asked.withLock { asked in
        asked.underWay -= 1
        asked.ended += 1
      }
    }
    return try await operation()
  }

  func note(_ event: MirrorEvent) {
    guard case .transferred = event else { return }
    state.withLock { $0.files += 1 }
  }

  func began() {
    let isFirst = state.withLock { state in
      state.inFlight += 1
      return state.inFlight == 1
    }
    if isFirst { bell.ring() }
  }

  func ended(sent: Int64, fetched: Int64) {
    state.withLock { state in
      state.inFlight -= 1
      state.sentBytes = state.sentBytes.addingSaturated(sent)
      state.fetchedBytes = state.fetchedBytes.addingSaturated(fetched)
    }
  }
}

/// Reports every operation and every payload that passes through to a meter.
struct MeteredStore: ObjectStore {
  private let base: any ObjectStore
  private let meter: TransferMeter

  init(_ base: any ObjectStore, meter: TransferMeter) {
    self.base = base
    self.meter = meter
  }

  var bucket: String { base.bucket }
  var executors: [any TaskExecutor] { base.executors }
  var signsBodies: Bool { base.signsBodies }
  var takesTrailers: Bool { base.takesTrailers }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    try await meter.counting { try await metered(operation) }
  }

  private func metered<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    guard let payload = RequestPayload(of: operation) else { return try await base.send(operation) }
    meter.began()
    do {
      let output = try await base.send(operation)
      let bytes = payload.byteCount(answeredBy: output)
      if case .sent = payload {
        meter.ended(sent: bytes, fetched: 0)
      } else {
        meter.ended(sent: 0, fetched: bytes)
      }
      return output
    } catch {
      meter.ended(sent: 0, fetched: 0)
      throw error
    }
  }
}
