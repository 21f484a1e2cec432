/// Builds a response from the header lines and body bytes of libcurl, and feeds the sink.
struct ResponseReader {
  /// The largest body that is held in memory. S3's largest, a page of 1,000 keys of 1,024 bytes with each
  /// byte percent-encoded, is smaller than 4 MiB (ListObjectsV2).
  static let maxBodyByteCount = 16 << 20
  /// Far above S3's heads, whose metadata are limited to 2 KiB. libcurl limits a line but, before 8.3, not
  /// their sum (CVE-2023-38039).
  static let maxHeadByteCount = 256 << 10

  private enum Stage {
    case statusLine, fields, body
  }

  private let sink: (any ResponseSink)?
  private var stage = Stage.statusLine
  private var response = HTTPResponse(status: 0)
  private var headByteCount = 0
  /// All received bytes, including interim responses. 0 proves that the server sent nothing.
  private(set) var bytesReceived: Int64 = 0

  init(sink: (any ResponseSink)? = nil) {
    self.sink = sink
  }

  /// The final response with the body so far; nil while its head is incomplete.
  var head: HTTPResponse? { stage == .body ? response : nil }

  /// Reads one line with its line break, from CURLOPT_HEADERFUNCTION(3). Trailers come here too.
  mutating func readHeaderLine(_ bytes: UnsafeRawBufferPointer) throws {
    bytesReceived += Int64(bytes.count)
    headByteCount += bytes.count
    guard headByteCount <= Self.maxHeadByteCount else {
      throw TransportError(.garbled, "a response's head exceeds \(Self.maxHeadByteCount >> 10) KiB")
    }
    let line = bytes.prefix { $0 != 10 && $0 != 13 }
    // A status line may also follow a complete response: libcurl repeats a request without Expect after a
    // 417.
    if stage != .fields, line.starts(with: "HTTP/".utf8) {
      response = HTTPResponse(status: Self.status(in: line))
      stage = .fields
    } else if stage == .fields {
      if line.isEmpty { try endHead() } else { readField(line) }
    }
  }

  mutating func readBody(_ bytes: UnsafeRawBufferPointer) throws {
    bytesReceived += Int64(bytes.count)
    if let sink, isSuccess {
      try sink.receive(bytes)
    } else {
      guard response.body.count + bytes.count <= Self.maxBodyByteCount else {
        let limit = "\(Self.maxBodyByteCount >> 20) MiB"
        throw TransportError(.garbled, "a response's body exceeds the \(limit) that are held in memory")
      }
      response.body.append(contentsOf: bytes)
    }
  }

  private var isSuccess: Bool { 200..<300 ~= response.status }

  /// Ends a head. Interim responses (RFC 9110 §15.2) are skipped.
  private mutating func endHead() throws {
    guard response.status >= 200 else {
      stage = .statusLine
      return
    }
    stage = .body
    if let sink, isSuccess { try sink.begin(response) }
  }

  private mutating func readField(_ line: Slice<UnsafeRawBufferPointer>) {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return }
    let isSpace: (UInt8) -> Bool = { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
    var value = line[(colon + 1)...].drop(while: isSpace)
    while let last = value.last, isSpace(last) { value.removeLast() }
    response.headers.add(
      String(decoding: line[..<colon], as: UTF8.self), String(decoding: value, as: UTF8.self))
  }

  /// The three digits after the first space (RFC 9112 §4). libcurl has checked them.
  private static func status(in line: Slice<UnsafeRawBufferPointer>) -> Int {
    let digits = line.drop { $0 != UInt8(ascii: " ") }.dropFirst().prefix(3)
    return Int(String(decoding: digits, as: UTF8.self)) ?? 0
  }
}
