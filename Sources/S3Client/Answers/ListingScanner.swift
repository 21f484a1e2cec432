/// Reads a page of ListObjectsV2 in one pass over its bytes.
///
/// A reconciliation of a million files reads a thousand pages, and a general parser that builds a tree took
/// most of that time. This scanner reads elements, one attribute that it ignores, and character references.
/// For everything else (CDATA, comments, prefixed names, a document type, a repeated element, a fault) it
/// returns nil, and the general parser decides. So the scanner accepts no document that the general parser
/// rejects.
struct ListingScanner {
  let bytes: [UInt8]
  private var position = 0

  private enum Tag {
    case open(Range<Int>)
    case empty(Range<Int>)
    case close(Range<Int>)
  }

  /// A listed object whose text is still in place. Only the whole answer shows whether its key is encoded.
  private struct RawObject {
    var key: Range<Int>?
    var size: Range<Int>?
    var etag: Range<Int>?
    var lastModified: Range<Int>?
  }

  /// The scanner does not support the document.
  struct Unknown: Error {}

  private init(_ bytes: [UInt8]) {
    self.bytes = bytes
  }

  /// The page without the server's date; nil if the general parser must read it.
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
    var encoding: Range<Int>?
    var token: String?
    var isTruncated: Bool?
    var output = ListObjectsV2.Output(
      objects: [], commonPrefixes: [], unreadableKeys: [], nextContinuationToken: nil, isTruncated: false,
      serverDate: nil)
    children: while true {
      switch try tag() {
      case .close(let name):
        guard isEqual(name, "ListBucketResult") else { throw Unknown() }
        break children
      case .empty(let name):
        if isAny(name, of: ["Contents", "NextContinuationToken", "IsTruncated", "EncodingType"]) {
          throw Unknown()
        }
      case .open(let name):
        if isEqual(name, "Contents") {
          objects.append(try object())
        } else if isEqual(name, "CommonPrefixes") {
          prefixes += try prefixesOfGroup()
        } else if isEqual(name, "NextContinuationToken") {
          guard token == nil else { throw Unknown() }
          token = try text(try leaf(name))
        } else if isEqual(name, "IsTruncated") {
          guard isTruncated == nil else { throw Unknown() }
          isTruncated = truth(trimmed(try leaf(name)))
          // Any other value is left to the general parser, even if a valid element follows.
          if isTruncated == nil { throw Unknown() }
        } else if isEqual(name, "EncodingType") {
          guard encoding == nil else { throw Unknown() }
          encoding = try plain(try leaf(name))
        } else {
          try skip(name)
        }
      }
    }
    try expectEnd()
    output.nextContinuationToken = token.flatMap { $0.isEmpty ? nil : $0 }
    let isEncoded = encoding.map { isEqual($0, "url") } ?? false
    // The general parser reports an answer without this element.
    guard let isTruncated else { throw Unknown() }
    output.isTruncated = isTruncated
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
    // S3 and most servers write these in this order, and without white space.
    if let name = opened("<Key>") { object.key = try leaf(name) }
    if let name = opened("<LastModified>") { object.lastModified = try leaf(name) }
    if let name = opened("<ETag>") { object.etag = try leaf(name) }
    if let name = opened("<Size>") { object.size = try leaf(name) }
    if let name = opened("<StorageClass>") { try skip(name) }
    while true {
      switch try tag() {
      case .close(let name):
        guard isEqual(name, "Contents") else { throw Unknown() }
        return object
      case .empty(let name):
        if isAny(name, of: ["Key", "Size", "ETag", "LastModified"]) { throw Unknown() }
      case .open(let name):
        if isEqual(name, "Key") {
          try take(name, as: &object.key)
        } else if isEqual(name, "Size") {
          try take(name, as: &object.size)
        } else if isEqual(name, "ETag") {
          try take(name, as: &object.etag)
        } else if isEqual(name, "LastModified") {
          try take(name, as: &object.lastModified)
        } else {
          try skip(name)
        }
      }
    }
  }

  /// The general parser takes the first of several equal elements. This scanner accepts only one.
  private mutating func take(_ name: Range<Int>, as field: inout Range<Int>?) throws(Unknown) {
    guard field == nil else { throw Unknown() }
    field = try leaf(name)
  }

  private mutating func prefixesOfGroup() throws(Unknown) -> [Range<Int>] {
    var prefixes: [Range<Int>] = []
    while true {
      switch try tag() {
      case .close(let name):
        guard isEqual(name, "CommonPrefixes") else { throw Unknown() }
        return prefixes
      case .empty(let name): if isEqual(name, "Prefix") { throw Unknown() }
      case .open(let name):
        if isEqual(name, "Prefix") { prefixes.append(try leaf(name)) } else { try skip(name) }
      }
    }
  }

  private func add(_ object: RawObject, isEncoded: Bool, to output: inout ListObjectsV2.Output)
    throws(Unknown)
  {
    // The general parser reports an object without a key or size.
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
    let date = try object.lastModified.flatMap { range throws(Unknown) in
      S3Date.nanoseconds(iso8601: bytes, in: try plain(range))
    }
    output.objects.append(
      ListedObject(key: key, byteCount: size, etag: try etag(object.etag), lastModified: date))
  }

  private func etag(_ range: Range<Int>?) throws(Unknown) -> String {
    guard let range else { return "" }
    for quote in Self.quotes {
      let count = quote.utf8CodeUnitCount
      if range.count >= 2 * count, isEqual(range.lowerBound..<(range.lowerBound + count), quote),
        isEqual((range.upperBound - count)..<range.upperBound, quote)
      {
        let inner = (range.lowerBound + count)..<(range.upperBound - count)
        if isPlain(etag: inner) { return try text(inner) }
        break
      }
    }
    return ETag.bare(try text(range))
  }

  private static let quotes: [StaticString] = ["&quot;", "&#34;", "\""]

  /// Whether the tag has only letters, digits and hyphens, as almost all tags do.
  private func isPlain(etag range: Range<Int>) -> Bool {
    for index in range {
      let byte = bytes[index]
      guard (byte | 0x20) >= 0x61 || (0x30...0x39).contains(byte) || byte == 0x2D else { return false }
    }
    return true
  }

  // MARK: Tags

  /// The declarations that servers send. Another declaration may name another encoding.
  private static let declarations: [StaticString] = [
    #"<?xml version="1.0" encoding="UTF-8"?>"#, #"<?xml version="1.0" encoding="utf-8"?>"#,
    #"<?xml version="1.0"?>"#,
    #"<?xml version='1.0' encoding='UTF-8'?>"#, #"<?xml version='1.0' encoding='utf-8'?>"#,
    #"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
  ]

  private mutating func skipDeclaration() {
    while position < bytes.count, XMLTree.isSpace(bytes[position]) { position += 1 }
    for declaration in Self.declarations {
      let end = position + declaration.utf8CodeUnitCount
      if end <= bytes.count, isEqual(position..<end, declaration) {
        position = end
        return
      }
    }
  }

  /// Only white space may follow the end of the root element.
  private mutating func expectEnd() throws(Unknown) {
    while position < bytes.count {
      guard XMLTree.isSpace(bytes[position]) else { throw Unknown() }
      position += 1
    }
  }

  private enum Between {
    case space
    /// The text of a skipped element.
    case text
  }

  /// Reads the next tag after the allowed text.
  private mutating func tag(after between: Between = .space) throws(Unknown) -> Tag {
    switch between {
    case .space: while position < bytes.count, XMLTree.isSpace(bytes[position]) { position += 1 }
    case .text: _ = try checkedText()
    }
    guard position + 1 < bytes.count, bytes[position] == UInt8(ascii: "<") else { throw Unknown() }
    position += 1
    let isClosing = bytes[position] == UInt8(ascii: "/")
    if isClosing { position += 1 }
    let start = position
    while position < bytes.count, isNameByte(bytes[position]) { position += 1 }
    let name = start..<position
    guard let first = name.first, !(0x30...0x39).contains(bytes[first]) else { throw Unknown() }
    let hadSpace = skipSpace()
    if !isClosing, hadSpace { try skipAttribute() }
    guard position < bytes.count else { throw Unknown() }
    let isEmpty = bytes[position] == UInt8(ascii: "/") && !isClosing
    if isEmpty { position += 1 }
    guard position < bytes.count, bytes[position] == UInt8(ascii: ">") else { throw Unknown() }
    position += 1
    return isClosing ? .close(name) : isEmpty ? .empty(name) : .open(name)
  }

  /// The name in an opening tag, if this is the next tag and is written in this way.
  private mutating func opened(_ tag: StaticString) -> Range<Int>? {
    let start = position
    let end = start + tag.utf8CodeUnitCount
    guard end <= bytes.count, isEqual(start..<end, tag) else { return nil }
    position = end
    return (start + 1)..<(end - 1)
  }

  /// - Returns: whether there was white space.
  private mutating func skipSpace() -> Bool {
    let start = position
    while position < bytes.count, XMLTree.isSpace(bytes[position]) { position += 1 }
    return position > start
  }

  /// Skips at most one attribute, such as the root's namespace. Two attributes might have the same name,
  /// which is a fault.
  private mutating func skipAttribute() throws(Unknown) {
    let start = position
    while position < bytes.count, isNameByte(bytes[position]) || bytes[position] == UInt8(ascii: ":") {
      position += 1
    }
    if position == start { return }
    guard (bytes[start] | 0x20) >= 0x61, bytes[position - 1] != UInt8(ascii: ":") else { throw Unknown() }
    _ = skipSpace()
    guard position < bytes.count, bytes[position] == UInt8(ascii: "=") else { throw Unknown() }
    position += 1
    _ = skipSpace()
    guard position < bytes.count, [UInt8(ascii: "\""), UInt8(ascii: "'")].contains(bytes[position]) else {
      throw Unknown()
    }
    let quote = bytes[position]
    position += 1
    while position < bytes.count, bytes[position] != quote {
      // Only printable ASCII without markup is accepted.
      let byte = bytes[position]
      guard (0x20..<0x7F).contains(byte), byte != UInt8(ascii: "<"), byte != UInt8(ascii: "&") else {
        throw Unknown()
      }
      position += 1
    }
    position += 1
    _ = skipSpace()
  }

  private func isNameByte(_ byte: UInt8) -> Bool {
    (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte)
  }

  /// The text of an element that was just opened and has no child elements.
  private mutating func leaf(_ name: Range<Int>) throws(Unknown) -> Range<Int> {
    let text = try checkedText()
    if takesEnd(of: name) { return text }
    guard case .close(let closed) = try tag(), isEqual(closed, name) else { throw Unknown() }
    return text
  }

  /// The text before the next `<`, which a parser would accept.
  private mutating func checkedText() throws(Unknown) -> Range<Int> {
    let start = position
    var end = start
    var isBare = true
    while end < bytes.count {
      let byte = bytes[end]
      // One comparison passes most bytes.
      if byte <= UInt8(ascii: ">") {
        if byte == UInt8(ascii: "<") { break }
        if byte == UInt8(ascii: "&") || byte == UInt8(ascii: ">") { isBare = false }
      }
      end += 1
    }
    position = end
    if !isBare { try check(start..<end) }
    return start..<end
  }

  /// Takes the end tag of an element, if it is the next and has no white space. Nearly all tags that close are so.
  private mutating func takesEnd(of name: Range<Int>) -> Bool {
    let text = position + 2
    let end = text + name.count
    guard end < bytes.count, bytes[position] == UInt8(ascii: "<"), bytes[position + 1] == UInt8(ascii: "/"),
      bytes[end] == UInt8(ascii: ">"), isEqual(text..<end, name)
    else { return false }
    position = end + 1
    return true
  }

  /// S3's answers have five levels. The general parser rejects deeper documents.
  private static let deepest = 20

  /// Skips an element that was just opened, with its whole content.
  private mutating func skip(_ name: Range<Int>) throws(Unknown) {
    _ = try checkedText()
    if takesEnd(of: name) { return }
    var open = [name]
    while let innermost = open.last {
      switch try tag(after: .text) {
      case .open(let child):
        if open.count == Self.deepest { throw Unknown() }
        open.append(child)
      case .empty: continue
      case .close(let closed):
        guard isEqual(closed, innermost) else { throw Unknown() }
        open.removeLast()
      }
    }
  }
}
