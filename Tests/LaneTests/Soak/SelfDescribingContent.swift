/// File contents that say of themselves which version they are, so that an object alone shows whether it was torn.
///
/// A version is 32-byte blocks. The first is text: kind, number, length. Every other holds the version's number and its
/// own index. Numbers grow from version to version, over all files of a run.
enum SelfDescribingContent {
  static let blockBytes = 32

  enum Kind: UInt8, Sendable {
    /// Of the length in its header.
    case whole = 0x57  // W
    /// A file that is appended to: any number of blocks.
    case log = 0x4C  // L
    /// Cut by truncate(2): any length.
    case cut = 0x54  // T
  }

  /// What the bytes of an object are.
  enum Verdict: Hashable, Sendable, CustomStringConvertible {
    case empty
    /// One version, as its writer left it.
    case whole(UInt64)
    /// A version that was not complete yet: only a snapshot of an open file may hold it.
    case unfinished(UInt64)
    /// A newer version's beginning over an older one's end: a file holds this while it is rewritten in place.
    case overwriting(newer: UInt64, older: UInt64)
    /// What no file ever held.
    case torn(String)

    /// Whether a file may hold this while no process has it open for writing.
    var isAtRest: Bool {
      switch self {
      case .empty, .whole: true
      case .unfinished, .overwriting, .torn: false
      }
    }

    var description: String {
      switch self {
      case .empty: "empty"
      case .whole(let number): "version \(number)"
      case .unfinished(let number): "a part of version \(number)"
      case .overwriting(let newer, let older): "version \(newer) half over version \(older)"
      case .torn(let reason): "torn: \(reason)"
      }
    }
  }

  /// The bytes of a version, at least a header.
  static func bytes(_ kind: Kind, number: UInt64, length: Int) -> [UInt8] {
    let length = max(length, blockBytes)
    let blocks = (length + blockBytes - 1) / blockBytes
    var all = [UInt8](repeating: 0, count: blocks * blockBytes)
    all.replaceSubrange(0..<blockBytes, with: header(kind, number: number, length: length))
    all.withUnsafeMutableBytes { buffer in
      for index in 1..<max(blocks, 1) { write(number, UInt64(index), to: buffer, at: index * blockBytes) }
    }
    if all.count > length { all.removeLast(all.count - length) }
    return all
  }

  private static func header(_ kind: Kind, number: UInt64, length: Int) -> [UInt8] {
    Array("s3m1 ".utf8) + [kind.rawValue, 0x20] + padded(number, 16) + [0x20] + padded(UInt64(length), 7) + [
      0x0A
    ]
  }

  /// Number, index, and both once more, complemented: half a block of another version never fits.
  static func block(_ number: UInt64, index: UInt64) -> [UInt8] {
    var block = [UInt8](repeating: 0, count: blockBytes)
    block.withUnsafeMutableBytes { write(number, index, to: $0, at: 0) }
    return block
  }

  private static func write(
    _ number: UInt64, _ index: UInt64, to buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) {
    buffer.storeBytes(of: number.littleEndian, toByteOffset: offset, as: UInt64.self)
    buffer.storeBytes(of: index.littleEndian, toByteOffset: offset + 8, as: UInt64.self)
    buffer.storeBytes(of: ~number.littleEndian, toByteOffset: offset + 16, as: UInt64.self)
    buffer.storeBytes(of: ~index.littleEndian, toByteOffset: offset + 24, as: UInt64.self)
  }

  static func verdict(on bytes: [UInt8]) -> Verdict {
    if bytes.isEmpty { return .empty }
    guard let (kind, number, length) = readHeader(bytes) else { return .torn("no header") }
    let version = self.bytes(kind, number: number, length: bytes.count)
    if version == bytes || isSameButForLength(version, bytes) {
      switch kind {
      case .whole:
        return bytes.count == length ? .whole(number) : bytes.count < length ? .unfinished(number) : tail
      case .log: return bytes.count % blockBytes == 0 ? .whole(number) : .unfinished(number)
      case .cut: return .whole(number)
      }
    }
    let common = zip(bytes, version).dropFirst(blockBytes).prefix { $0 == $1 }.count + blockBytes
    return suffix(of: bytes, after: common, newer: number)
  }

  private static func isSameButForLength(_ version: [UInt8], _ bytes: [UInt8]) -> Bool {
    version.count == bytes.count && version.dropFirst(blockBytes).elementsEqual(bytes.dropFirst(blockBytes))
  }

  private static let tail = Verdict.torn("longer than its version")

  /// What follows the newer version's beginning must be one older version's end, from there to the last byte.
  private static func suffix(of bytes: [UInt8], after position: Int, newer: UInt64) -> Verdict {
    let first = position / blockBytes + 1
    guard first * blockBytes + 16 <= bytes.count else {
      // Within the last block: too few bytes to name the older version.
      return .overwriting(newer: newer, older: 0)
    }
    guard let older = number(inBlock: first, of: bytes) else {
      return .torn("neither version nor index fits at block \(first)")
    }
    for index in first..<((bytes.count + blockBytes - 1) / blockBytes) {
      let start = index * blockBytes
      let found = bytes[start..<min(start + blockBytes, bytes.count)]
      guard block(older, index: UInt64(index)).starts(with: found) else {
        return .torn("version \(newer), then \(older), then something else at block \(index)")
      }
    }
    return older < newer
      ? .overwriting(newer: newer, older: older)
      : .torn("older version \(newer) before newer version \(older)")
  }

  private static func number(inBlock index: Int, of bytes: [UInt8]) -> UInt64? {
    let start = index * blockBytes
    func word(_ offset: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[start + offset + $1]) << ($1 * 8) }
    }
    return word(8) == UInt64(index) ? word(0) : nil
  }

  static func readHeader(_ bytes: [UInt8]) -> (kind: Kind, number: UInt64, length: Int)? {
    guard bytes.count >= blockBytes, bytes.starts(with: Array("s3m1 ".utf8)),
      let kind = Kind(rawValue: bytes[5]),
      let number = UInt64(String(decoding: bytes[7..<23], as: UTF8.self)),
      let length = Int(String(decoding: bytes[24..<31], as: UTF8.self))
    else { return nil }
    return (kind, number, length)
  }

  private static func padded(_ value: UInt64, _ width: Int) -> [UInt8] {
    let digits = Array(String(value).utf8)
    return [UInt8](repeating: 0x30, count: max(0, width - digits.count)) + digits
  }
}
