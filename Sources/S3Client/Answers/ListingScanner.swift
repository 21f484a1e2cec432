/// Reads a page of ListObjectsV2 in one pass over its bytes.
///
/// A reconciliation of a million files reads a thousand pages, and a general parser that builds a tree took most of its time.
/// This one knows elements, attributes to skip, and character references; to all else (CDATA, comments, prefixed names, a document
/// type, a fault) it says nil, and the general parser decides.
struct ListingScanner {
  private let bytes: [UInt8]
  private var position = 0

  private enum Tag {
    case open(Range<Int>)
    case empty(Range<Int>)
    case close(Range<Int>)
  }

  /// A listed object whose text is still in place: only the whole answer tells whether its key is encoded.
  private struct RawObject {
    var key: Range<Int>?
    var size: Range<Int>?
    var etag: Range<Int>?
    var lastModified: Range<Int>?
  }

  /// The document is none that this scanner reads.
  private struct Unknown: Error {}

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// The page without the server's date; nil when the general parser must read it.
  static func page(_ bytes: [UInt8]) -> ListObjectsV2.Output? {
    var scanner = ListingScanner(bytes)
    do { return try scanner.document() } catch { return nil }
  }

  // MARK: The document

  private mutating func document() throws(Unknown) -> ListObjectsV2.Output {
    skipDeclaration()
    guard case .open(let root) = try tag(), isEqual(root, "ListBucketResult") else { throw Unknown() }
    var objects: [RawObject] = []
    objects.reserveCapacity(1_000)
    var prefixes: [Range<Int>] = []
    var isEncoded = false
    var output = ListObjectsV2.Output(
      objects: [], commonPrefixes: [], unreadableKeys: [], nextContinuationToken: nil, isTruncated: false,
      serverDate: nil)
    children: while true {
      switch try tag() {
      case .close(let name):
        guard isEqual(name, "ListBucketResult") else { throw Unknown() }
        break children
      case .empty: continue
      case .open(let name):
        if isEqual(name, "Contents") {
          objects.append(try object())
        } else if isEqual(name, "CommonPrefixes") {
          prefixes += try prefixesOfGroup()
        } else if isEqual(name, "NextContinuationToken") {
          let token = try text(try leaf(name))
          output.nextContinuationToken = token.isEmpty ? nil : token
        } else if isEqual(name, "IsTruncated") {
          output.isTruncated = isEqual(trimmed(try leaf(name)), "true")
        } else if isEqual(name, "EncodingType") {
          isEncoded = isEqual(try leaf(name), "url")
        } else {
          try skip(name)
        }
      }
    }
    output.objects.reserveCapacity(objects.count)
    for object in objects { try add(object, isEncoded: isEncoded, to: &output) }
    for prefix in prefixes {
      let written = try text(prefix)
      if let key = isEncoded ? decodedKey(written) : written {
        output.commonPrefixes.append(key)
      } else {
        output.unreadableKeys.append(written)
      }
    }
    return output
  }

  private mutating func object() throws(Unknown) -> RawObject {
    var object = RawObject()
    while true {
      switch try tag() {
      case .close(let name):
        guard isEqual(name, "Contents") else { throw Unknown() }
        return object
      case .empty: continue
      case .open(let name):
        if isEqual(name, "Key") {
          object.key = try leaf(name)
        } else if isEqual(name, "Size") {
          object.size = try leaf(name)
        } else if isEqual(name, "ETag") {
          object.etag = try leaf(name)
        } else if isEqual(name, "LastModified") {
          object.lastModified = try leaf(name)
        } else {
          try skip(name)
        }
      }
    }
  }

  private mutating func prefixesOfGroup() throws(Unknown) -> [Range<Int>] {
    var prefixes: [Range<Int>] = []
    while true {
      switch try tag() {
      case .close(let name):
        guard isEqual(name, "CommonPrefixes") else { throw Unknown() }
        return prefixes
      case .empty: continue
      case .open(let name):
        if isEqual(name, "Prefix") { prefixes.append(try leaf(name)) } else { try skip(name) }
      }
    }
  }

  private func add(_ object: RawObject, isEncoded: Bool, to output: inout ListObjectsV2.Output)
    throws(Unknown)
  {
    // What lacks a key or a size is the general parser's to complain about.
    guard let rawKey = object.key, let size = object.size.flatMap({ number(trimmed($0)) }) else {
      throw Unknown()
    }
    let key: String
    if isEncoded, !hasEscape(rawKey) {
      key = try text(rawKey)
    } else {
      let written = try text(rawKey)
      guard let decoded = isEncoded ? decodedKey(written) : written else {
        output.unreadableKeys.append(written)
        return
      }
      key = decoded
    }
    let date = object.lastModified.flatMap { S3Date.nanoseconds(iso8601: bytes, in: $0) }
    output.objects.append(
      ListedObject(key: key, byteCount: size, etag: try etag(object.etag), lastModified: date))
  }

  private func etag(_ range: Range<Int>?) throws(Unknown) -> String {
    guard var range else { return "" }
    for quote in ["&quot;", "&#34;", "\""] {
      let count = quote.utf8.count
      if range.count >= 2 * count, isEqual(range.lowerBound..<(range.lowerBound + count), quote),
        isEqual((range.upperBound - count)..<range.upperBound, quote)
      {
        range = (range.lowerBound + count)..<(range.upperBound - count)
        break
      }
    }
    return isPlain(etag: range) ? try text(range) : ETag.bare(try text(range))
  }

  /// Letters, digits and hyphens, as nearly all tags are.
  private func isPlain(etag range: Range<Int>) -> Bool {
    for index in range {
      let byte = bytes[index]
      guard (byte | 0x20) >= 0x61 || (0x30...0x39).contains(byte) || byte == 0x2D else { return false }
    }
    return true
  }

  // MARK: Tags

  private mutating func skipDeclaration() {
    while position < bytes.count, XMLTree.isSpace(bytes[position]) { position += 1 }
    guard position + 5 < bytes.count, isEqual(position..<(position + 5), "<?xml") else { return }
    while position < bytes.count, bytes[position] != UInt8(ascii: ">") { position += 1 }
    position += 1
  }

  /// The next tag; what stands before it is passed over.
  private mutating func tag() throws(Unknown) -> Tag {
    while position < bytes.count, bytes[position] != UInt8(ascii: "<") { position += 1 }
    position += 1
    guard position < bytes.count else { throw Unknown() }
    let isClosing = bytes[position] == UInt8(ascii: "/")
    if isClosing { position += 1 }
    let start = position
    while position < bytes.count, isNameByte(bytes[position]) { position += 1 }
    let name = start..<position
    if name.isEmpty { throw Unknown() }
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: ">"):
        let isEmpty = bytes[position - 1] == UInt8(ascii: "/") && !isClosing
        position += 1
        return isClosing ? .close(name) : isEmpty ? .empty(name) : .open(name)
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        // A value may hold a `>`.
        let quote = bytes[position]
        position += 1
        while position < bytes.count, bytes[position] != quote { position += 1 }
        position += 1
      case UInt8(ascii: "<"): throw Unknown()
      case UInt8(ascii: ":") where position == name.upperBound: throw Unknown()
      default: position += 1
      }
    }
    throw Unknown()
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte)
  }

  /// The text of an element that was just opened and has no children.
  private mutating func leaf(_ name: Range<Int>) throws(Unknown) -> Range<Int> {
    let start = position
    while position < bytes.count, bytes[position] != UInt8(ascii: "<") { position += 1 }
    let text = start..<position
    guard case .close(let closed) = try tag(), isEqual(closed, name) else { throw Unknown() }
    return text
  }

  /// Passes over an element that was just opened, with all that is in it.
  private mutating func skip(_ name: Range<Int>) throws(Unknown) {
    var open = [name]
    while let innermost = open.last {
      switch try tag() {
      case .open(let child): open.append(child)
      case .empty: continue
      case .close(let closed):
        guard isEqual(closed, innermost) else { throw Unknown() }
        open.removeLast()
      }
    }
  }

  // MARK: Text

  private func isEqual(_ range: Range<Int>, _ text: String) -> Bool {
    let expected = text.utf8.span
    guard range.count == expected.count else { return false }
    for offset in 0..<range.count where bytes[range.lowerBound + offset] != expected[offset] { return false }
    return true
  }

  private func isEqual(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    guard left.count == right.count else { return false }
    for offset in 0..<left.count where bytes[left.lowerBound + offset] != bytes[right.lowerBound + offset] {
      return false
    }
    return true
  }

  private func trimmed(_ range: Range<Int>) -> Range<Int> {
    var (start, end) = (range.lowerBound, range.upperBound)
    while start < end, XMLTree.isSpace(bytes[start]) { start += 1 }
    while start < end, XMLTree.isSpace(bytes[end - 1]) { end -= 1 }
    return start..<end
  }

  private func number(_ range: Range<Int>) -> Int64? {
    guard (1...18).contains(range.count) else { return nil }
    var value: Int64 = 0
    for index in range {
      guard (0x30...0x39).contains(bytes[index]) else { return nil }
      value = value * 10 + Int64(bytes[index] - 0x30)
    }
    return value
  }

  private func hasEscape(_ range: Range<Int>) -> Bool {
    for index in range {
      let byte = bytes[index]
      if byte == UInt8(ascii: "%") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "&") { return true }
    }
    return false
  }

  /// Character references resolved. A carriage return is left to the general parser, which knows XML's rule for it.
  private func text(_ range: Range<Int>) throws(Unknown) -> String {
    var isPlain = true
    for index in range {
      if bytes[index] == UInt8(ascii: "&") { isPlain = false }
      if bytes[index] == 0x0D || bytes[index] == 0 { throw Unknown() }
    }
    let resolved = isPlain ? [] : try resolvingReferences(range)
    let text = isPlain ? textIfUTF8(bytes, in: range) : textIfUTF8(resolved, in: resolved.indices)
    guard let text else { throw Unknown() }
    return text
  }

  private func resolvingReferences(_ range: Range<Int>) throws(Unknown) -> [UInt8] {
    var resolved: [UInt8] = []
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "&") else {
        resolved.append(bytes[index])
        index += 1
        continue
      }
      guard let end = bytes[index..<range.upperBound].firstIndex(of: UInt8(ascii: ";")) else {
        throw Unknown()
      }
      guard let name = String(validating: bytes[(index + 1)..<end], as: UTF8.self),
        let scalar = Self.scalar(ofReference: name)
      else { throw Unknown() }
      resolved.append(contentsOf: String(Character(scalar)).utf8)
      index = end + 1
    }
    return resolved
  }

  private static func scalar(ofReference name: String) -> Unicode.Scalar? {
    switch name {
    case "amp": "&"
    case "lt": "<"
    case "gt": ">"
    case "quot": "\""
    case "apos": "'"
    default:
      if name.utf8.starts(with: "#x".utf8) {
        UInt32(name.dropFirst(2), radix: 16).flatMap(Unicode.Scalar.init)
      } else if name.utf8.first == UInt8(ascii: "#") {
        UInt32(name.dropFirst(1)).flatMap(Unicode.Scalar.init)
      } else {
        nil
      }
    }
  }
}
