/// Header fields in the order they are sent; names compare without case (RFC 9110 §5.1).
package struct HTTPHeaders: Sendable, Hashable, ExpressibleByDictionaryLiteral {
  package struct Field: Sendable, Hashable {
    package var name: String
    package var value: String
  }

  package private(set) var fields: [Field] = []

  package init() {}

  package init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { add(name, value) }
  }

  /// The first field of that name; setting replaces every one, setting nil removes them.
  package subscript(name: String) -> String? {
    get { fields.first { Self.sameName($0.name, name) }?.value }
    set {
      if self[name] != nil { fields.removeAll { Self.sameName($0.name, name) } }
      if let newValue { add(name, newValue) }
    }
  }

  package mutating func add(_ name: String, _ value: String) {
    // Heads of S3 have about a dozen fields: one allocation instead of the four that growing to there takes.
    if fields.isEmpty { fields.reserveCapacity(12) }
    fields.append(Field(name: name, value: value))
  }

  private static func sameName(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count
      && left.utf8.elementsEqual(right.utf8) { ($0 | 0x20) == ($1 | 0x20) }
  }
}

/// The bytes a request carries. Read on the loop's thread, by offset, so that a retry or a rewind starts anywhere.
package protocol RequestBody: Sendable {
  var byteCount: Int64 { get }

  /// Copies bytes from `offset` on into `buffer` and returns how many (0 only at the end). Must not block.
  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int

  /// All bytes, where they lie unchanged at one place in memory for as long as the body lives; else nil. A small body goes
  /// in one packet with its request's head then.
  var stableBytes: UnsafeRawBufferPointer? { get }
}

extension RequestBody {
  package var stableBytes: UnsafeRawBufferPointer? { nil }

  /// A piece of the body, copied: at most `limit` bytes from `offset` on, empty only at the end.
  package func bytes(from offset: Int64, limit: Int) throws -> [UInt8] {
    let count = max(0, min(Int64(limit), byteCount - offset))
    var piece = [UInt8](repeating: 0, count: Int(count))
    // SAFETY: the pointer lives for the one synchronous call that fills it.
    let filled = try piece.withUnsafeMutableBytes { try copyBytes(from: offset, into: $0) }
    piece.removeLast(piece.count - filled)
    return piece
  }
}

/// Where a successful (2xx) response's body goes instead of into memory. Called on the loop's thread, in order.
package protocol ResponseSink: Sendable {
  /// Before the first byte of the body. Throwing ends the transfer with that error.
  func begin(_ head: HTTPResponse) throws
  /// The next bytes, valid during the call only. Throwing ends the transfer with that error.
  func receive(_ bytes: UnsafeRawBufferPointer) throws
}

package enum HTTPMethod: String, Sendable {
  case get = "GET"
  case head = "HEAD"
  case put = "PUT"
  case post = "POST"
  case delete = "DELETE"
}

/// One request, complete: the transport adds nothing that is signed.
package struct HTTPRequest: Sendable {
  package var method: HTTPMethod
  /// Absolute and percent-encoded; sent as it is (no dot-segment removal).
  package var url: String
  package var headers: HTTPHeaders
  package var body: (any RequestBody)?
  /// Nil collects the body in `HTTPResponse.body`. Bodies of non-2xx responses are always collected.
  package var sink: (any ResponseSink)?
  /// How long the transfer may be silent, if not as long as the client says. CompleteMultipartUpload and
  /// copies may take minutes to answer (their API pages).
  package var silenceSeconds: Int?
  package var connection = Connection.pooled

  /// What a request goes over.
  package enum Connection: Sendable, Hashable {
    /// One that is idle, if there is one.
    case pooled
    /// A new one: those that are idle may have died with the one that the last attempt went over.
    case fresh
  }

  package init(
    method: HTTPMethod, url: String, headers: HTTPHeaders = [:], body: (any RequestBody)? = nil,
    sink: (any ResponseSink)? = nil
  ) {
    self.method = method
    self.url = url
    self.headers = headers
    self.body = body
    self.sink = sink
  }
}

package struct HTTPResponse: Sendable {
  package var status: Int
  package var headers: HTTPHeaders
  package var body: [UInt8]

  package init(status: Int, headers: HTTPHeaders = [:], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}

/// A body that is already in memory and small.
package struct BytesBody: RequestBody {
  private let bytes: [UInt8]

  package init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  package var byteCount: Int64 { Int64(bytes.count) }

  package func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let rest = bytes.dropFirst(Int(offset)).prefix(buffer.count)
    buffer.copyBytes(from: rest)
    return rest.count
  }
}

/// The one door to the network.
package protocol HTTPClient: Sendable {
  /// Sends the request and returns the response, whatever its status. Cancelling the task ends the transfer.
  ///
  /// - Throws: `TransportError` when there is no complete response; what a body or a sink threw, as it is;
  ///   `CancellationError`.
  func send(_ request: HTTPRequest) async throws -> HTTPResponse

  /// For tasks that send many small requests: spread over these, they share a thread with their requests, and no thread has
  /// to wake another. What they do there must not block. Empty where there are none.
  var executors: [any TaskExecutor] { get }
}

extension HTTPClient {
  package var executors: [any TaskExecutor] { [] }
}
