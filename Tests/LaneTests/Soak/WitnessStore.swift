import S3Client
import Synchronization
import TestSupport

/// Looks at every object as it comes into being, and keeps what was no version at rest.
final class WitnessStore: ObjectStore {
  struct Sighting: Sendable, Hashable {
    var key: String
    var etag: String
    var verdict: SelfDescribingContent.Verdict
  }

  private struct State {
    var looked = 0
    var unfinished: [Sighting] = []
    var torn: [Sighting] = []
  }

  private let base: any ObjectStore
  private let prefix: String
  private let state = Mutex(State())

  /// - Parameter prefix: of the keys that hold self-describing content; markers do not.
  init(_ base: any ObjectStore, prefix: String) {
    self.base = base
    self.prefix = prefix
  }

  var bucket: String { base.bucket }

  /// Objects that were looked at.
  var looked: Int { state.withLock { $0.looked } }
  /// Objects that held a file's bytes in the middle of a change.
  var unfinished: [Sighting] { state.withLock { $0.unfinished } }
  /// Objects that held what no file ever held.
  var torn: [Sighting] { state.withLock { $0.torn } }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let output = try await base.send(operation)
    if let put = operation as? PutObject, let answer = output as? PutObject.Output {
      note(put.objectKey, answer.etag, try put.body.bytes(from: 0, limit: Int(put.body.byteCount)))
    } else if operation is CompleteMultipartUpload || operation is CopyObject, let key = operation.key {
      try await look(at: key)
    }
    return output
  }

  private func look(at key: String) async throws {
    do {
      let object = try await base.send(GetObject(key: key))
      note(key, object.head.etag, object.body)
    } catch let error as S3Error where error.isNotFound {
      // Deleted already, by a later pass.
    }
  }

  private func note(_ key: String, _ etag: String, _ bytes: [UInt8]) {
    guard key.utf8.starts(with: prefix.utf8), !key.hasSuffix("/DONE"), !key.hasSuffix("/latest") else {
      return
    }
    let verdict = SelfDescribingContent.verdict(on: bytes)
    let sighting = Sighting(key: key, etag: etag, verdict: verdict)
    state.withLock { state in
      state.looked += 1
      switch verdict {
      case .empty, .whole: break
      case .unfinished, .overwriting: state.unfinished.append(sighting)
      case .torn: state.torn.append(sighting)
      }
    }
  }
}

extension ObjectStore {
  /// Every object under a prefix, by key without it.
  func contents(under prefix: String) async throws -> [String: [UInt8]] {
    var all: [String: [UInt8]] = [:]
    for try await page in listing(prefix: prefix) {
      for object in page.objects {
        all[String(object.key.dropFirst(prefix.count))] = try await send(GetObject(key: object.key)).body
      }
    }
    return all
  }
}
