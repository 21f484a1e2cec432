import S3Client
import Synchronization

/// Counts sent requests by S3 operation.
final class RequestTally: Sendable {
  private let sent = Mutex<[String: Int]>([:])

  var counts: [String: Int] { sent.withLock { $0 } }

  func note(_ operation: String) {
    sent.withLock { $0[operation, default: 0] += 1 }
  }
}

/// Counts every request that passes through. It is placed below the retries, so every repeated request
/// counts.
struct CountingStore: ObjectStore {
  let tally: RequestTally
  private let base: any ObjectStore

  init(_ base: any ObjectStore, tally: RequestTally = RequestTally()) {
    self.base = base
    self.tally = tally
  }

  var bucket: String { base.bucket }
  var executors: [any TaskExecutor] { base.executors }
  var signsBodies: Bool { base.signsBodies }
  var takesTrailers: Bool { base.takesTrailers }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    tally.note(Operation.name)
    return try await base.send(operation)
  }
}

extension [String: Int] {
  /// The increase since `earlier`, without zeros.
  func subtracting(_ earlier: [String: Int]) -> [String: Int] {
    var difference: [String: Int] = [:]
    for (name, count) in self where count > earlier[name, default: 0] {
      difference[name] = count - earlier[name, default: 0]
    }
    return difference
  }
}
