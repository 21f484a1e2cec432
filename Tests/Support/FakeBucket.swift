import Digests
import HTTPTransport
import S3Client

/// The objects and multipart uploads of a fake bucket, and what each request does to them, with S3's own answers.
package struct FakeBucket: Sendable {
  package enum ListingOrder: Sendable {
    /// S3's: by UTF-8 bytes.
    case bytes
    /// SeaweedFS's: a directory's contents right after its name (`a`, `a/b`, `a-b`).
    case tree
  }

  package enum Checksums: Sendable {
    case verified
    /// As servers that do not know the header: neither compared nor answered.
    case unknown
    /// As servers that refuse the header's presence.
    case refused
  }

  /// In what a server may differ from AWS.
  package struct Behaviour: Sendable {
    package var order: ListingOrder
    package var checksums: Checksums
    /// Listed objects, parts or uploads a page.
    package var pageLimit: Int
    /// Smallest part but the last. AWS: 5 MiB; a small number makes quick tests.
    package var minimumPartByteCount: Int
    /// Whether listings leave out what lies below the name of an object, as MinIO's do.
    package var hidesBelowObjects: Bool
    /// What becomes of parts with their checksum behind them.
    package var trailers = Trailers.notOffered

    package enum Trailers: Sendable {
      /// As over plain HTTP: none may be sent.
      case notOffered
      case understood
      /// As servers that do not know the format: the chunks' frames are stored too.
      case stored
      /// The same, and the answer has the checksum of what was stored.
      case storedAndEchoed
      case refused
    }

    /// Whether conditions of writes are carried out. Some servers (JuiceFS, rclone) ignore them.
    package var conditions = Conditions.carriedOut

    package enum Conditions: Sendable {
      case carriedOut
      case ignored
      /// As Swift answers If-Match.
      case refused
    }

    package init(
      order: ListingOrder = .bytes, checksums: Checksums = .verified, pageLimit: Int = 1_000,
      minimumPartByteCount: Int = 5 << 20, hidesBelowObjects: Bool = false
    ) {
      self.order = order
      self.checksums = checksums
      self.pageLimit = pageLimit
      self.minimumPartByteCount = minimumPartByteCount
      self.hidesBelowObjects = hidesBelowObjects
    }
  }

  /// Keys are bytes: a dictionary of strings would take NFC and NFD for one.
  package typealias Key = [UInt8]

  package struct Object: Sendable {
    package var bytes: [UInt8]
    package var etag: String
    /// Nanoseconds since 1970-01-01 UTC.
    package var lastModified: Int64
    package var metadata: [String: String]
    package var contentType: String?
    /// Full object.
    package var checksumCRC32: CRC32?
    /// Every header field that the object was made with.
    package var headers: HTTPHeaders
    /// Of its parts' CRC-32s, with `-` and their number.
    package var compositeCRC32: String?
    /// Sizes of the parts of a multipart object.
    package var partSizes: [Int] = []
  }

  struct Part: Sendable {
    var bytes: [UInt8]
    var etag: String
    var checksumCRC32: CRC32?
    var lastModified: Int64
  }

  struct Upload: Sendable {
    var key: Key
    var initiated: Int64
    var headers: HTTPHeaders
    var wantsChecksum: Bool
    var parts: [Int: Part] = [:]
  }

  let name: String
  let behaviour: Behaviour
  let clock: @Sendable () -> Int64
  package var objects: [Key: Object] = [:]
  var uploads: [String: Upload] = [:]
  /// What repeated completions are answered with, as AWS does.
  var completed: [String: HTTPResponse] = [:]
  private var requests = 0

  init(name: String, behaviour: Behaviour, clock: @escaping @Sendable () -> Int64) {
    self.name = name
    self.behaviour = behaviour
    self.clock = clock
  }

  mutating func answer(to request: S3Request, operation: String) throws -> HTTPResponse {
    requests += 1
    let key = Array((request.key ?? "").utf8)
    var response: HTTPResponse
    do {
      response = try perform(operation, key, request)
    } catch let refusal as Refusal {
      response = refusal.response(to: request.method)
    }
    response.headers["x-amz-request-id"] = "FAKE\(requests)"
    response.headers["Date"] = S3Date.httpDate(nanoseconds: clock())
    return response
  }

  /// R2's words for a field that it does not implement.
  private func refuseChecksums(_ request: S3Request) throws {
    let fields = ["x-amz-checksum-algorithm", "x-amz-checksum-crc32"]
    guard behaviour.checksums == .refused, let field = fields.first(where: { request.headers[$0] != nil })
    else { return }
    throw Refusal(501, "NotImplemented", "Header '\(field)' not implemented")
  }

  private mutating func perform(_ operation: String, _ key: Key, _ request: S3Request) throws -> HTTPResponse
  {
    try refuseChecksums(request)
    return switch operation {
    case PutObject.name: try put(key, request)
    case HeadObject.name: try get(key, request, isHead: true)
    case GetObject.name: try get(key, request, isHead: false)
    case DeleteObject.name: try delete(key, request)
    case DeleteObjects.name: try deleteMany(request)
    case CopyObject.name: try copy(key, request)
    case ListObjectsV2.name: try list(request)
    case HeadBucket.name: HTTPResponse(status: 200, headers: ["x-amz-bucket-region": "us-east-1"])
    case CreateMultipartUpload.name: createUpload(key, request)
    case UploadPart.name: try uploadPart(key, request)
    case UploadPartCopy.name: try uploadPartCopy(key, request)
    case CompleteMultipartUpload.name: try complete(key, request)
    case AbortMultipartUpload.name: try abort(key, request)
    case ListParts.name: try listParts(key, request)
    case ListMultipartUploads.name: listUploads(request)
    default: throw Refusal(501, "NotImplemented", "the fake does not know \(operation)")
    }
  }

  mutating func place(_ key: Key, _ bytes: [UInt8], metadata: [String: String], lastModified: Int64?) {
    var headers = HTTPHeaders()
    for (name, value) in metadata { headers.add("x-amz-meta-\(name)", value) }
    store(key, bytes, etag: hexadecimal(md5(bytes)), headers: headers, crc: nil, lastModified: lastModified)
  }

  mutating func store(
    _ key: Key, _ bytes: [UInt8], etag: String, headers: HTTPHeaders, crc: CRC32?, lastModified: Int64? = nil
  ) {
    var metadata: [String: String] = [:]
    for field in headers.fields where field.name.lowercased().hasPrefix("x-amz-meta-") {
      metadata[String(field.name.lowercased().dropFirst("x-amz-meta-".count))] = field.value
    }
    objects[key] = Object(
      bytes: bytes, etag: etag, lastModified: lastModified ?? clock(), metadata: metadata,
      contentType: headers["Content-Type"], checksumCRC32: crc, headers: headers)
  }
}

/// How another client's multipart upload is checked.
package enum ForeignChecksum: Sendable, Hashable {
  /// The ETag alone tells: the MD5 of the parts' MD5s.
  case none
  /// A CRC-32 of the parts' CRC-32s, and an ETag that is no digest, as under SSE-KMS.
  case compositeCRC32
}

extension FakeBucket {
  /// An object as another client's multipart upload leaves it.
  mutating func place(_ key: Key, _ bytes: [UInt8], partSizes: [Int], checksum: ForeignChecksum) {
    var digests: [UInt8] = []
    var sums: [UInt8] = []
    var offset = 0
    for size in partSizes {
      let part = Array(bytes[offset..<offset + size])
      digests += md5(part)
      sums += decodeBase64(CRC32(part).base64) ?? []
      offset += size
    }
    let digest = checksum == .none ? digests : digests + [0]
    store(
      key, bytes, etag: "\(hexadecimal(md5(digest)))-\(partSizes.count)", headers: HTTPHeaders(), crc: nil)
    objects[key]?.partSizes = partSizes
    if checksum == .compositeCRC32 {
      objects[key]?.compositeCRC32 = "\(CRC32(sums).base64)-\(partSizes.count)"
    }
  }
}

/// S3 says no.
struct Refusal: Error {
  var status: Int
  var code: String
  var message: String

  init(_ status: Int, _ code: String, _ message: String = "") {
    self.status = status
    self.code = code
    self.message = message
  }

  func response(to method: HTTPMethod) -> HTTPResponse {
    if method == .head { return HTTPResponse(status: status) }
    var document = RequestDocument(root: "Error")
    document.element("Code", code)
    document.element("Message", message)
    document.close("Error")
    return HTTPResponse(status: status, headers: ["Content-Type": "application/xml"], body: document.bytes)
  }
}

extension S3Request {
  func parameter(_ name: String) -> String? {
    query.first { $0.name == name }.map { $0.value ?? "" }
  }

  var hasTrailer: Bool { headers["x-amz-trailer"] != nil }

  /// The content of an aws-chunked body, and the CRC-32 behind it.
  func chunkedContent() throws -> (bytes: [UInt8], checksum: String) {
    var rest = try bodyBytes()[...]
    var bytes: [UInt8] = []
    func line() throws -> String {
      guard let end = rest.firstRange(of: Array("\r\n".utf8)) else { throw Refusal(400, "IncompleteBody") }
      defer { rest = rest[end.upperBound...] }
      return String(decoding: rest[..<end.lowerBound], as: UTF8.self)
    }
    while let length = Int(try line(), radix: 16), length > 0 {
      bytes += rest.prefix(length)
      rest = rest.dropFirst(length)
      guard try line().isEmpty else { throw Refusal(400, "MalformedTrailerError") }
    }
    let name = "x-amz-checksum-crc32:"
    let trailer = try line()
    guard trailer.hasPrefix(name), try line().isEmpty, rest.isEmpty,
      headers["x-amz-decoded-content-length"] == String(bytes.count),
      headers["Content-Encoding"] == "aws-chunked"
    else { throw Refusal(400, "MalformedTrailerError") }
    return (bytes, String(trailer.dropFirst(name.count)))
  }

  func bodyBytes() throws -> [UInt8] {
    guard let body else { return [] }
    var bytes: [UInt8] = []
    while bytes.count < body.byteCount {
      let piece = try body.bytes(from: Int64(bytes.count), limit: Int(body.byteCount) - bytes.count)
      if piece.isEmpty { throw Refusal(400, "IncompleteBody", "the body ended early") }
      bytes += piece
    }
    return bytes
  }
}
