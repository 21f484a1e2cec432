/// Header fields in the order in which they are sent. Names compare without case (RFC 9110 §5.1).
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

  /// The first field of this name. Setting a value replaces all fields of this name; setting nil removes
  /// them.
  package subscript(name: String) -> String? {
    get { fields.first { Self.sameName($0.name, name) }?.value }
    set {
      if self[name] != nil { fields.removeAll { Self.sameName($0.name, name) } }
      if let newValue { add(name, newValue) }
    }
  }

  package mutating func add(_ name: String, _ value: String) {
    // Heads of S3 have about a dozen fields. This needs one allocation in place of four.
    if fields.isEmpty { fields.reserveCapacity(12) }
    fields.append(Field(name: name, value: value))
  }

  private static func sameName(_ left: String, _ right: String) -> Bool {
    left.utf8.count == right.utf8.count && name(left, beginsWith: right)
  }

  /// Upper and lower case are the same in names (RFC 9110 §5.1).
  package static func name(_ name: String, beginsWith prefix: String) -> Bool {
    guard name.utf8.count >= prefix.utf8.count else { return false }
    let (bytes, wanted) = (name.utf8.span, prefix.utf8.span)
    return wanted.indices.allSatisfy { bytes[$0] | 0x20 == wanted[$0] | 0x20 }
  }
}

/// The body of a request. It is read on the loop's thread by offset, so that a retry or a rewind can start
/// anywhere.
package protocol RequestBody: Sendable {
  var byteCount: Int64 { get }

  /// Copies bytes from `offset` on into `buffer` and returns their number (0 only at the end). Must not
  /// block.
  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int

  /// All bytes, if they stay unchanged at one place in memory while the body lives; otherwise nil. A small
  /// body of this kind is sent in one packet with its request's head.
  var stableBytes: UnsafeRawBufferPointer? { get }
}

extension RequestBody {
  package var stableBytes: UnsafeRawBufferPointer? { nil }

  /// Copies a piece of the body: at most `limit` bytes from `offset` on; empty only at the end.
  package func bytes(from offset: Int64, limit: Int) throws -> [UInt8] {
    let count = max(0, min(Int64(limit), byteCount - offset))
    var piece = [UInt8](repeating: 0, count: Int(count))
    // SAFETY: the pointer is used only in this synchronous call.
    let filled = try piece.withUnsafeMutableBytes { try copyBytes(from: offset, into: $0) }
    piece.removeLast(piece.count - filled)
    return piece
  }
}

/// Receives the body of a successful (2xx) response in place of memory. Called on the loop's thread, in
/// order.
package protocol ResponseSink: Sendable {
  /// Called before the first byte of the body. An error ends the transfer with that error.
  func begin(_ head: HTTPResponse) throws
  /// Receives the next bytes, which are valid only during the call. An error ends the transfer with that
  /// error.
  func receive(_ bytes: UnsafeRawBufferPointer) throws
}

package enum HTTPMethod: String, Sendable {
  case get = "GET"
  case head = "HEAD"
  case put = "PUT"
  case post = "POST"
  case delete = "DELETE"
}

/// A complete request. The transport adds no header that is part of the signature.
package struct HTTPRequest: Sendable {
  package var method: HTTPMethod
  /// Absolute and percent-encoded. It is sent unchanged (without removal of dot segments).
  package var url: String
  package var headers: HTTPHeaders
  package var body: (any RequestBody)?
  /// Nil collects the body in `HTTPResponse.body`. Bodies of other than 2xx responses are always collected.
  package var sink: (any ResponseSink)?
  /// How long the transfer may be silent, in seconds; nil takes the client's limit. CompleteMultipartUpload
  /// and copies may take minutes to answer (their API pages).
  package var silenceSeconds: Int?
  package var connection = Connection.pooled

  /// The connection for a request.
  package enum Connection: Sendable, Hashable {
    /// An idle connection, if there is one.
    case pooled
    /// A new connection. Idle ones may have died together with the connection of the last attempt.
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
  /// How long the server took: from the time at which the connection was ready to the first byte of the response. Nil if it
  /// is not known.
  package var wait: Duration?

  package init(status: Int, headers: HTTPHeaders = [:], body: [UInt8] = []) {
    self.status = status
    self.headers = headers
    self.body = body
  }
}

/// A small body that is already in memory.
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

/// A client for HTTP requests. All network access goes through it.
package protocol HTTPClient: Sendable {
  /// Sends the request and returns the response, whatever its status is. A cancellation of the task ends the
  /// transfer.
  ///
  /// - Throws: `TransportError` if there is no complete response; errors of a body or a sink unchanged;
  ///   `CancellationError`.
  func send(_ request: HTTPRequest) async throws -> HTTPResponse

  /// Executors for tasks that send many small requests. Tasks that are spread over these executors share
  /// threads with their requests, so no thread has to wake another. Their work there must not block. Empty if
  /// the client has none.
  var executors: [any TaskExecutor] { get }
}

extension HTTPClient {
  package var executors: [any TaskExecutor] { [] }
}
