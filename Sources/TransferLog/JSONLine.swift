/// Writes one record as one line of JSON (RFC 8259), including the newline.
///
/// JSONEncoder is not used, because it cannot keep the order of the keys.
struct JSONLine {
  private(set) var bytes: [UInt8] = []

  init(_ record: TransferRecord) {
    // Typical lines are about 400 bytes.
    bytes.reserveCapacity(512)
    bytes.append(UInt8(ascii: "{"))
    add("time", record.time.description)
    add("mirror", record.mirror)
    add("operation", record.operation.rawValue)
    add("path", record.path)
    add("url", record.url)
    add("bytes", record.bytes)
    add("parts", record.parts)
    add("partsReused", record.partsReused)
    add("bytesCopied", record.bytesCopied)
    add("attempts", record.attempts)
    add("seconds", seconds: record.seconds)
    add("checksum", record.checksum)
    add("proof", record.proof)
    add("etag", record.etag)
    add("requestID", record.requestID)
    add("files", record.files)
    add("deleted", record.deleted)
    add("requests", record.requests)
    add("outcome", record.outcome.rawValue)
    add("error", record.error)
    bytes.append(UInt8(ascii: "}"))
    bytes.append(UInt8(ascii: "\n"))
  }

  private mutating func addKey(_ key: StaticString) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    bytes.append(UInt8(ascii: "\""))
    key.withUTF8Buffer { bytes.append(contentsOf: $0) }
    bytes.append(UInt8(ascii: "\""))
    bytes.append(UInt8(ascii: ":"))
  }

  private mutating func add(_ key: StaticString, _ value: String?) {
    guard let value else { return }
    addKey(key)
    bytes.append(UInt8(ascii: "\""))
    addEscaped(value)
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func add(_ key: StaticString, _ value: (some BinaryInteger)?) {
    guard let value else { return }
    addKey(key)
    bytes.append(contentsOf: String(value).utf8)
  }

  /// Adds counts by name, sorted by name.
  private mutating func add(_ key: StaticString, _ counts: [String: Int]?) {
    guard let counts else { return }
    addKey(key)
    bytes.append(UInt8(ascii: "{"))
    for (index, (name, count)) in counts.sorted(by: { $0.key < $1.key }).enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes.append(UInt8(ascii: "\""))
      addEscaped(name)
      bytes.append(contentsOf: "\":\(count)".utf8)
    }
    bytes.append(UInt8(ascii: "}"))
  }

  /// Adds seconds as a decimal fraction with milliseconds. Infinities are left out, because JSON has none.
  private mutating func add(_ key: StaticString, seconds: Double?) {
    // Up to 1e12 s the milliseconds fit into Int64 and into a Double's 53 exact bits.
    guard let seconds, seconds.magnitude < 1e12 else { return }
    let milliseconds = Int64((seconds * 1000).rounded())
    let fraction = String(milliseconds.magnitude % 1000)
    addKey(key)
    if milliseconds < 0 { bytes.append(UInt8(ascii: "-")) }
    bytes.append(contentsOf: String(milliseconds.magnitude / 1000).utf8)
    if milliseconds % 1000 != 0 {
      bytes.append(UInt8(ascii: "."))
      bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 3 - fraction.utf8.count))
      bytes.append(contentsOf: fraction.utf8)
    }
  }

  private mutating func addEscaped(_ text: String) {
    var text = text
    let isPlain = text.withUTF8 { $0.allSatisfy { (0x20..<0x7F).contains($0) && $0 != 0x22 && $0 != 0x5C } }
    if isPlain {
      text.withUTF8 { bytes.append(contentsOf: $0) }
    } else {
      for scalar in text.unicodeScalars { addEscaped(scalar) }
    }
  }

  /// Escapes the characters that JSON requires, and also those that control a terminal or end a line for some
  /// readers.
  ///
  /// A file name may hold any of these: C1 controls control terminals as ESC does; U+0085, U+2028 and U+2029
  /// end a line for Python's `splitlines` and for JavaScript; bidirectional controls reorder the displayed
  /// text.
  private mutating func addEscaped(_ scalar: Unicode.Scalar) {
    switch scalar.value {
    case 0x22, 0x5C:
      bytes.append(UInt8(ascii: "\\"))
      bytes.append(UInt8(scalar.value))
    case 0x0A: bytes.append(contentsOf: "\\n".utf8)
    case 0x0D: bytes.append(contentsOf: "\\r".utf8)
    case 0x09: bytes.append(contentsOf: "\\t".utf8)
    case 0..<0x20, 0x7F...0x9F, 0x2028...0x202E, 0x061C, 0x200E, 0x200F, 0x2066...0x2069:
      let hex = String(scalar.value, radix: 16)
      bytes.append(contentsOf: "\\u".utf8)
      bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - hex.utf8.count))
      bytes.append(contentsOf: hex.utf8)
    case 0x20..<0x7F: bytes.append(UInt8(scalar.value))
    default: bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }
  }
}

extension TransferRecord {
  /// The record's log line without the newline, for `s3mirror log --json`.
  package var jsonLine: String {
    String(decoding: JSONLine(self).bytes.dropLast(), as: UTF8.self)
  }
}
