import Digests
import LocalTree
import MirrorModel

/// The directory and the machine whose evidence a file holds. Evidence of another directory or machine is not
/// used.
struct EvidenceOrigin: Sendable, Hashable {
  var machine: UInt64
  var device: UInt64
  var inode: UInt64

  init(machine: String, root: TreeRoot.Identity) {
    self.machine = sha256(machine).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    device = root.device
    inode = root.inode
  }
}

/// The header of an evidence file: 64 bytes.
struct EvidenceHeader: Sendable, Hashable {
  static let byteCount = 64
  private static let magic = Array("s3mirror-evid-02".utf8)

  var origin: EvidenceOrigin
  /// A random number. Each block of the file repeats it, so that no block of another file is read as one of
  /// this file.
  var number: UInt64
  /// When the newest entry of the file was noted: nanoseconds since 1970-01-01 UTC.
  var noted: Int64

  init(origin: EvidenceOrigin, noted: Int64) {
    self.origin = origin
    self.noted = noted
    number = .random(in: 0 ... .max)
  }

  var bytes: [UInt8] {
    var bytes = Self.magic
    for field in [origin.machine, origin.device, origin.inode, number, UInt64(bitPattern: noted)] {
      bytes.append(fixed: field)
    }
    bytes.append(fixed: UInt64(CRC32(bytes).value))
    return bytes
  }

  /// Nil if the bytes are not a header, or a damaged one.
  init?(_ bytes: [UInt8]) {
    guard bytes.count == Self.byteCount, bytes.starts(with: Self.magic) else { return nil }
    let fields = (0..<6).map { bytes.fixed(at: 16 + 8 * $0) }
    guard fields[5] == UInt64(CRC32(Array(bytes[..<56])).value) else { return nil }
    origin = EvidenceOrigin(machine: fields[0], device: fields[1], inode: fields[2])
    number = fields[3]
    noted = Int64(bitPattern: fields[4])
  }
}

extension EvidenceOrigin {
  fileprivate init(machine: UInt64, device: UInt64, inode: UInt64) {
    self.machine = machine
    self.device = device
    self.inode = inode
  }
}

/// The part of a record that follows the path.
///
/// A flags byte, the ETag, then stamp, CRC-32 and blocks if they exist. No flags mean that the path's object was
/// deleted. An ETag of 32 hexadecimal digits takes 16 bytes, even if a number of parts follows the digits.
enum EvidenceBody {
  private enum Flag {
    static let isKept: UInt8 = 1
    static let hasStamp: UInt8 = 2
    static let hasCRC32: UInt8 = 4
    /// The ETag is stored as 16 bytes and the number of parts, 0 if it has none.
    static let hasDigest: UInt8 = 8
    /// Size of a block, size of the content, digests.
    static let hasBlocks: UInt8 = 16
  }

  static let deleted: [UInt8] = [0]

  /// The limit of blocks, so that they fit into a record. With blocks of 16 MiB they stand for 10.9 GiB.
  static let mostBlocks = 700

  static func bytes(of entry: EvidenceEntry) -> [UInt8] {
    var bytes: [UInt8] = [Flag.isKept]
    if let (digest, parts) = digest(in: entry.etag) {
      bytes[0] |= Flag.hasDigest
      bytes += digest
      bytes.append(varint: parts)
    } else {
      bytes.append(varint: UInt64(entry.etag.utf8.count))
      bytes += entry.etag.utf8
    }
    if let stamp = entry.stamp {
      bytes[0] |= Flag.hasStamp
      bytes.append(varint: stamp.inode)
      bytes.append(varint: UInt64(bitPattern: stamp.size))
      bytes.append(fixed: UInt64(bitPattern: stamp.modified))
      bytes.append(fixed: UInt64(bitPattern: stamp.changed))
    }
    if let crc32 = entry.crc32 {
      bytes[0] |= Flag.hasCRC32
      bytes.append(varint: UInt64(crc32))
    }
    if let blocks = entry.blocks, blocks.count <= mostBlocks {
      bytes[0] |= Flag.hasBlocks
      bytes.append(varint: UInt64(blocks.grid.blockBytes))
      bytes.append(varint: UInt64(blocks.grid.byteCount))
      bytes += blocks.bytes
    }
    return bytes
  }

  static func isDeletion(_ bytes: [UInt8], at start: Int) -> Bool { bytes[start] & Flag.isKept == 0 }

  /// Nil for a deletion, and for bytes that are malformed.
  static func entry(in bytes: [UInt8], at body: Range<Int>) -> EvidenceEntry? {
    guard let flags = body.isEmpty ? nil : bytes[body.lowerBound], flags & Flag.isKept != 0 else {
      return nil
    }
    var reader = ByteReader(bytes: bytes, position: body.lowerBound + 1, end: body.upperBound)
    let etag: String
    if flags & Flag.hasDigest != 0 {
      guard let digest = reader.take(16), let parts = reader.varint() else { return nil }
      etag = hexadecimal(Array(digest)) + (parts == 0 ? "" : "-\(parts)")
    } else {
      guard let count = reader.count(), let text = reader.take(count) else { return nil }
      etag = String(decoding: text, as: UTF8.self)
    }
    var entry = EvidenceEntry(etag: etag)
    if flags & Flag.hasStamp != 0 {
      guard let inode = reader.varint(), let size = reader.varint(), let modified = reader.fixed(),
        let changed = reader.fixed()
      else { return nil }
      entry.stamp = .init(
        inode: inode, size: Int64(bitPattern: size), modified: Int64(bitPattern: modified),
        changed: Int64(bitPattern: changed))
    }
    if flags & Flag.hasCRC32 != 0 {
      guard let crc32 = reader.varint().flatMap({ UInt32(exactly: $0) }) else { return nil }
      entry.crc32 = crc32
    }
    if flags & Flag.hasBlocks != 0 {
      guard let blocks = blocks(&reader) else { return nil }
      entry.blocks = blocks
    }
    return reader.isAtEnd ? entry : nil
  }

  private static func blocks(_ reader: inout ByteReader) -> ContentBlocks? {
    guard let blockBytes = reader.varint().flatMap({ Int64(exactly: $0) }), blockBytes > 0,
      let byteCount = reader.varint().flatMap({ Int64(exactly: $0) }),
      byteCount / blockBytes < Int64(mostBlocks)
    else { return nil }
    let grid = BlockGrid(blockBytes: blockBytes, byteCount: byteCount)
    guard let digests = reader.take(grid.count * ContentBlocks.digestBytes) else { return nil }
    return ContentBlocks(grid, bytes: Array(digests))
  }

  /// ETags with upper-case digits, or with a leading zero in the number of parts, stay text, so that exactly
  /// the written ETag is read back.
  private static func digest(in etag: String) -> (digest: [UInt8], parts: UInt64)? {
    let utf8 = etag.utf8
    guard utf8.count >= 32 else { return nil }
    let end = utf8.index(utf8.startIndex, offsetBy: 32)
    guard utf8[..<end].allSatisfy({ $0 < UInt8(ascii: "A") || $0 > UInt8(ascii: "F") }),
      let digest = decodeHexadecimal(String(etag[..<end]))
    else { return nil }
    if end == utf8.endIndex { return (digest, 0) }
    guard utf8[end] == UInt8(ascii: "-") else { return nil }
    let number = etag[utf8.index(after: end)...]
    guard let parts = UInt64(number), parts > 0, number.utf8.count == String(parts).utf8.count else {
      return nil
    }
    return (digest, parts)
  }
}

/// Reads fields from bytes one by one; each is nil if the bytes end too early.
struct ByteReader {
  let bytes: [UInt8]
  private(set) var position: Int
  let end: Int

  init(bytes: [UInt8], position: Int, end: Int) {
    self.bytes = bytes
    self.position = position
    self.end = min(end, bytes.count)
  }

  var isAtEnd: Bool { position == end }

  mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard count <= end - position else { return nil }
    defer { position += count }
    return bytes[position..<position + count]
  }

  mutating func varint() -> UInt64? { bytes.varint(at: &position, before: end) }

  /// A byte count that does not exceed the remaining bytes.
  mutating func count() -> Int? {
    guard let number = varint(), number <= UInt64(end - position) else { return nil }
    return Int(number)
  }

  mutating func fixed() -> UInt64? {
    guard end - position >= 8 else { return nil }
    defer { position += 8 }
    return bytes.fixed(at: position)
  }
}

extension [UInt8] {
  /// Eight bytes, the least significant first.
  mutating func append(fixed number: UInt64) {
    for shift in 0..<8 { append(UInt8(truncatingIfNeeded: number >> UInt64(8 * shift))) }
  }

  func fixed(at position: Int) -> UInt64 {
    (0..<8).reduce(0) { $0 | UInt64(self[position + $1]) << UInt64(8 * $1) }
  }

  /// Seven bits a byte, the least significant first; the last byte has its highest bit clear (LEB128).
  mutating func append(varint number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(rest))
  }

  /// Nil if the number does not end before `end`.
  func varint(at position: inout Int, before end: Int) -> UInt64? {
    var (number, shift) = (0 as UInt64, 0 as UInt64)
    while position < end, shift < 64 {
      let byte = self[position]
      position += 1
      number |= UInt64(byte & 0x7F) << shift
      if byte & 0x80 == 0 { return number }
      shift += 7
    }
    return nil
  }
}
