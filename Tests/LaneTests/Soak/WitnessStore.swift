import MirrorModel
import S3Client
import Synchronization
import TestSupport

/// Looks at every object as it comes into being. It stands below the retries, so that it sees what an attempt left behind
/// whose answer was lost.
final class WitnessStore: ObjectStore {
  struct Sighting: Sendable, Hashable, CustomStringConvertible {
    var key: String
    var etag: String
    /// Nil for a marker, which does not describe itself.
    var verdict: SelfDescribingContent.Verdict?
    /// When it had been made, by the clock of `NameJournal`.
    var nanoseconds: UInt64
    var way = Way.sent
    /// The mirror never heard of it, so it has no record of it.
    var isAnswerLost = false

    var source: Source? {
      if case .copied(let source) = way { source } else { nil }
    }

    var description: String {
      "\(key) (\(etag)): \(verdict?.description ?? "a marker"), \(way)"
    }
  }

  enum Way: Sendable, Hashable {
    case sent
    case copied(Source)
  }

  /// What a copy was made of, as the mirror named it.
  struct Source: Sendable, Hashable {
    var key: String
    var etag: String?
  }

  /// A request that changes the bucket, and what came of it.
  struct Request: Sendable, CustomStringConvertible {
    var operation: String
    var keys: [String]
    /// By the clock of `NameJournal`.
    var began: UInt64
    var ended: UInt64
    var outcome: String

    var description: String {
      "\(NameJournal.milliseconds(of: began)) to \(NameJournal.milliseconds(of: ended)): \(operation) of \(keys): \(outcome)"
    }
  }

  private struct State {
    var requests: [Request] = []
    var sightings: [Sighting] = []
  }

  private let base: any ObjectStore
  /// For its own looks, which nothing that befalls the mirror's requests may spoil.
  private let patient: RetryingStore
  private let prefix: String
  private let state = Mutex(State())
  /// An element after each request that may have changed the bucket, or one for several.
  let changes: AsyncStream<Void>
  private let changed: AsyncStream<Void>.Continuation

  /// - Parameter prefix: of the keys that hold self-describing content; markers do not.
  init(_ base: any ObjectStore, prefix: String) {
    self.base = base
    self.prefix = prefix
    patient = RetryingStore(patientlyTo: base)
    (changes, changed) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  /// Ends `changes`.
  func endChanges() { changed.finish() }

  var bucket: String { base.bucket }
  var executors: [any TaskExecutor] { base.executors }

  /// Every version that came into being, in the order of the answers.
  var sightings: [Sighting] { state.withLock { $0.sightings } }
  /// Objects that held a file's bytes in the middle of a change.
  var unfinished: [Sighting] {
    sightings.filter { sighting in
      switch sighting.verdict {
      case .unfinished, .overwriting: true
      case .empty, .whole, .torn, nil: false
      }
    }
  }
  /// Objects that held what no file ever held.
  var torn: [Sighting] {
    sightings.filter { sighting in
      if case .torn = sighting.verdict { true } else { false }
    }
  }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let output: Operation.Output
    do {
      output = try await recording(operation)
    } catch let error as S3Error where error.isRetryable {
      if let key = Self.keyPublished(by: operation) {
        try await look(at: key, after: operation, isAnswerLost: true)
      }
      throw error
    }
    if let put = operation as? PutObject, let answer = output as? PutObject.Output {
      note(put.objectKey, answer.etag, try put.body.bytes(from: 0, limit: Int(put.body.byteCount)))
    } else if let key = Self.keyPublished(by: operation) {
      try await look(at: key, after: operation)
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
    let began = NameJournal.nanoseconds
    func note(_ outcome: String) {
      let request = Request(
        operation: Operation.name, keys: keys, began: began, ended: NameJournal.nanoseconds,
        outcome: outcome)
      state.withLock { $0.requests.append(request) }
      changed.yield()
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

  private static func keyPublished(by operation: some S3Operation) -> String? {
    operation is PutObject || operation is CompleteMultipartUpload || operation is CopyObject
      ? operation.key : nil
  }

  private func look(
    at key: String, after operation: some S3Operation, isAnswerLost: Bool = false
  ) async throws {
    let copy = operation as? CopyObject
    let way = copy.map { Way.copied(.init(key: $0.source.key, etag: $0.source.ifMatch)) } ?? .sent
    do {
      let object = try await patient.send(GetObject(key: key))
      note(key, object.head.etag, object.body, way, isAnswerLost: isAnswerLost)
    } catch let error as S3Error where error.isNotFound {
      // Deleted already, by a later pass; or it never came to be.
    }
  }

  private func note(
    _ key: String, _ etag: String, _ bytes: [UInt8], _ way: Way = .sent, isAnswerLost: Bool = false
  ) {
    guard key.utf8.starts(with: prefix.utf8) else { return }
    let verdict = MarkerReader.isSelfDescribing(key) ? SelfDescribingContent.verdict(on: bytes) : nil
    let sighting = Sighting(
      key: key, etag: etag, verdict: verdict, nanoseconds: NameJournal.nanoseconds, way: way,
      isAnswerLost: isAnswerLost)
    state.withLock { $0.sightings.append(sighting) }
  }
}

extension RetryingStore {
  /// For what a test asks itself. An answer such as 404 returns no retry tokens, so this budget is large.
  convenience init(patientlyTo service: any ObjectStore) {
    let policy = RetryPolicy(maxAttempts: 20, baseSeconds: 0.01)
    self.init(service, policy: policy, budget: RetryBudget(tokens: 1_000_000_000))
  }
}

extension ObjectStore {
  /// Every object under a prefix, by key without it.
  func contents(under prefix: String) async throws -> [RelativePath: [UInt8]] {
    var all: [RelativePath: [UInt8]] = [:]
    for try await page in listing(prefix: prefix) {
      for object in page.objects {
        let path = RelativePath(String(object.key.dropFirst(prefix.count)))
        all[path] = try await send(GetObject(key: object.key)).body
      }
    }
    return all
  }
}
