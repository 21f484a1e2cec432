// What tests of several rooms share.
//
//   FakeObjectStore  S3 in memory, an `ObjectStore`: operations' own requests go in, and their own reading of the answers comes out
//   FakeBucket       its objects and uploads, and what each request does to them
//   fault            an error that a test has an operation end with, before or after it took effect
//   gate             where a test holds operations up

import Glibc
import HTTPTransport
import S3Client

/// S3 in memory. Requests and answers pass through the operations' own code, so what they write and read is tested by every test.
package actor FakeObjectStore: ObjectStore {
  /// One operation that arrived.
  package struct Call: Sendable, Hashable {
    package var operation: String
    package var key: String?
    /// 1 for the first operation of that name.
    package var ordinal: Int

    /// An answer that tells of a failure and is not tried again.
    package func refusal(status: Int = 500, code: String = "InternalError") -> S3Error {
      S3Error(operation: operation, bucket: "bucket", key: key, status: status, code: code, message: "")
    }
  }

  package struct SentRequest: Sendable {
    package var operation: String
    package var key: String?
    package var headers: HTTPHeaders
  }

  package enum Moment: Sendable, Hashable {
    /// The operation has no effect.
    case beforeEffect
    /// The operation has happened and its answer is lost.
    case afterEffect
  }

  /// An error to end the operation with, or nil. Anything may be thrown: an `S3Error`, a `CancellationError`.
  package typealias Fault = @Sendable (Call, Moment) -> (any Error)?
  /// Waited for before an operation takes effect; others go on meanwhile.
  package typealias Gate = @Sendable (Call) async throws -> Void

  package nonisolated let bucket: String
  package nonisolated let takesTrailers: Bool
  private var contents: FakeBucket
  private var fault: Fault?
  private var gate: Gate?
  private var inFlight = 0

  /// Every operation that arrived, in order, failed ones too.
  package private(set) var calls: [Call] = []
  /// Every request as its operation wrote it, in order.
  package private(set) var requests: [SentRequest] = []
  /// The most operations that were under way at once.
  package private(set) var maxInFlight = 0

  package init(
    bucket: String = "bucket", behaviour: FakeBucket.Behaviour = FakeBucket.Behaviour(),
    clock: @escaping @Sendable () -> Int64 = FakeClock.system
  ) {
    self.bucket = bucket
    takesTrailers = behaviour.trailers != .notOffered
    self.contents = FakeBucket(name: bucket, behaviour: behaviour, clock: clock)
  }

  package func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let name = Operation.name
    let call = Call(operation: name, key: operation.key, ordinal: count(of: name) + 1)
    calls.append(call)
    inFlight += 1
    maxInFlight = max(maxInFlight, inFlight)
    defer { inFlight -= 1 }
    try await gate?(call)
    try Task.checkCancellation()
    if let error = fault?(call, .beforeEffect) { throw error }
    let request = try operation.request()
    requests.append(SentRequest(operation: name, key: operation.key, headers: request.headers))
    var http = try contents.answer(to: request, operation: name)
    if let error = fault?(call, .afterEffect) { throw error }
    if (200..<300).contains(http.status), let sink = request.sink {
      try sink.begin(HTTPResponse(status: http.status, headers: http.headers))
      try http.body.withUnsafeBytes { bytes in
        // In pieces, as a network delivers.
        for start in stride(from: 0, to: bytes.count, by: 64 << 10) {
          let end = min(start + (64 << 10), bytes.count)
          try sink.receive(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        }
      }
      http.body = []
    }
    let answer = S3Response(bucket: bucket, key: operation.key, http: http)
    guard (200..<300).contains(http.status) else { throw S3Error(answer: answer, operation: name) }
    return try operation.output(from: answer)
  }

  /// From now on; nil ends it.
  package func inject(_ fault: Fault?) { self.fault = fault }

  package func hold(_ gate: Gate?) { self.gate = gate }

  package func count(of operation: String) -> Int { calls.count { $0.operation == operation } }

  package func forgetCalls() { calls = [] }
}

extension FakeObjectStore {
  /// Keys in byte order.
  package var keys: [String] { contents.objects.keys.sorted { $0.lexicographicallyPrecedes($1) }.map(text) }

  package func object(_ key: String) -> FakeBucket.Object? { contents.objects[Array(key.utf8)] }

  package func bytes(_ key: String) -> [UInt8]? { object(key)?.bytes }

  /// Upload IDs of the multipart uploads that are neither completed nor aborted, by key.
  package var openUploads: [(key: String, uploadID: String)] {
    contents.uploads.map { (text($0.value.key), $0.key) }.sorted { $0.1 < $1.1 }
  }

  /// Puts an object there, as another client would.
  package func place(
    _ key: String, _ bytes: [UInt8], metadata: [String: String] = [:], lastModified: Int64? = nil
  ) {
    contents.place(Array(key.utf8), bytes, metadata: metadata, lastModified: lastModified)
  }

  /// Puts an object there, as another client's multipart upload.
  ///
  /// - Returns: its ETag.
  @discardableResult
  package func place(_ key: String, _ bytes: [UInt8], partSizes: [Int], checksum: ForeignChecksum) -> String {
    contents.place(Array(key.utf8), bytes, partSizes: partSizes, checksum: checksum)
    return object(key)?.etag ?? ""
  }

  /// Makes an object one of which the server keeps no checksum.
  package func forgetChecksum(of key: String) {
    contents.objects[Array(key.utf8)]?.checksumCRC32 = nil
    contents.objects[Array(key.utf8)]?.compositeCRC32 = nil
  }

  /// Takes an object away, as another client would.
  package func remove(_ key: String) { contents.objects[Array(key.utf8)] = nil }

  /// Makes an upload look begun at another time (nanoseconds since 1970-01-01 UTC).
  package func backdate(uploadID: String, to nanoseconds: Int64) {
    contents.uploads[uploadID]?.initiated = nanoseconds
    for number in contents.uploads[uploadID]?.parts.keys.map(\.self) ?? [] {
      contents.uploads[uploadID]?.parts[number]?.lastModified = nanoseconds
    }
  }

  private nonisolated func text(_ key: [UInt8]) -> String { String(decoding: key, as: UTF8.self) }
}

/// Clocks for the fake: nanoseconds since 1970-01-01 UTC.
package enum FakeClock {
  package static let system: @Sendable () -> Int64 = {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
  }
}
