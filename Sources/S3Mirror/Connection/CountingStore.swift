import S3Client
import Synchronization

/// Counts the operations that pass through it, by name.
///
/// It stands below the retries of its lane where `Connections` puts it, so that every request counts.
final class CountingStore: ObjectStore {
  private let base: any ObjectStore
  private let tally = Mutex<[String: Int]>([:])

  init(_ base: any ObjectStore) {
    self.base = base
  }

  var bucket: String { base.bucket }

  var counts: [String: Int] { tally.withLock { $0 } }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    tally.withLock { $0[Operation.name, default: 0] += 1 }
    return try await base.send(operation)
  }
}

extension [String: Int] {
  /// What was added since `earlier`, without the zeros.
  func subtracting(_ earlier: [String: Int]) -> [String: Int] {
    var difference: [String: Int] = [:]
    for (name, count) in self where count > earlier[name, default: 0] {
      difference[name] = count - earlier[name, default: 0]
    }
    return difference
  }
}
