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

  /// A request that changes the bucket, and what came of it.
  struct Request: Sendable, CustomStringConvertible {
    var operation: String
    var keys: [String]
    var began: Duration
    var ended: Duration
    var outcome: String

    var description: String { "\(began) to \(ended): \(operation) of \(keys): \(outcome)" }
  }

  private struct State {
    var looked = 0
    var requests: [Request] = []
    var unfinished: [Sighting] = []
    var torn: [Sighting] = []
  }

  private let base: any ObjectStore
  private let prefix: String
  private let start = ContinuousClock.now
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
    let output = try await recording(operation)
    if let put = operation as? PutObject, let answer = output as? PutObject.Output {
      note(put.objectKey, answer.etag, try put.body.bytes(from: 0, limit: Int(put.body.byteCount)))
    } else if operation is CompleteMultipartUpload || operation is CopyObject, let key = operation.key {
      try await look(at: key)
    }
    return output
  }

  /// What was asked about a key, and about keys above and below it, in the order of the answers.
  func requests(about key: String) -> [Request] {
    let all = state.withLock { $0.requests }
    return all.compactMap { request in
      var request = request
      let isAsked = request.keys.contains(key)
      request.keys = request.keys.filter { $0.hasPrefix(key + "/") || key.hasPrefix($0 + "/") }
      if request.keys.count > 3 { request.keys = Array(request.keys.prefix(3)) + ["…"] }
      if isAsked { request.keys.insert(key, at: 0) }
      return request.keys.isEmpty ? nil : request
    }
  }

  /// What was asked about markers and what they name, in the order of the answers.
  func requestsAboutMarkers() -> [Request] {
    state.withLock { $0.requests }.compactMap { request in
      var request = request
      request.keys = request.keys.filter { $0.hasPrefix(prefix + "runs/") }
      return request.keys.isEmpty ? nil : request
    }
  }

  private func recording<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let keys = Self.keysChanged(by: operation)
    guard !keys.isEmpty else { return try await base.send(operation) }
    let began = start.duration(to: .now)
    func note(_ outcome: String) {
      let request = Request(
        operation: Operation.name, keys: keys, began: began, ended: start.duration(to: .now),
        outcome: outcome)
      state.withLock { $0.requests.append(request) }
    }
    do {
      let output = try await base.send(operation)
      note(Self.summary(of: output))
      return output
    } catch {
      note("\(error)")
      throw error
    }
  }

  private static func keysChanged(by operation: some S3Operation) -> [String] {
    if let delete = operation as? DeleteObjects { return delete.targets.map(\.key) }
    if operation is PutObject || operation is CompleteMultipartUpload || operation is CopyObject
      || operation is DeleteObject
    {
      return operation.key.map { [$0] } ?? []
    }
    return []
  }

  private static func summary(of output: some Sendable) -> String {
    if let answer = output as? PutObject.Output { return answer.etag }
    if let answer = output as? DeleteObjects.Output {
      return "\(answer.failures), request \(answer.requestID ?? "-")"
    }
    return "\(output)"
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
