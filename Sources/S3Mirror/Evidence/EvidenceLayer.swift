import Digests
import Glibc
import MirrorModel
import SystemPackage

/// Evidence in key order: a header, then blocks of 64 KiB that each can be read and checked separately.
///
/// A block has a CRC-32 of the rest, the number of the file, the count of used bytes, and records. A record
/// has the count of bytes that its path shares with the path before it, the other bytes of the path, and the
/// body. So a block is found by binary search, a damaged block loses only its own records, and one block is
/// in memory.
final class EvidenceLayer: Sendable {
  static let blockBytes = 64 << 10
  private static let headBytes = 16

  let header: EvidenceHeader
  let blockCount: Int
  private let bytes: any EvidenceSource

  /// - Parameter byteCount: the size of the file, with its header.
  init(_ bytes: any EvidenceSource, header: EvidenceHeader, byteCount: Int64) {
    self.bytes = bytes
    self.header = header
    // A last block that was cut off does not count.
    blockCount = max(0, Int(byteCount) - EvidenceHeader.byteCount) / Self.blockBytes
  }

  /// The records of a block; nil if it is damaged or cannot be read.
  func records(ofBlock index: Int) -> [UInt8]? {
    let start = Int64(EvidenceHeader.byteCount + index * Self.blockBytes)
    guard
      case .success(let block) = Result(catching: {
        try bytes.read(start..<start + Int64(Self.blockBytes))
      }), block.count == Self.blockBytes
    else { return nil }
    let head = block.fixed(at: 0)
    let used = Int(head >> 32)
    guard used <= Self.blockBytes - Self.headBytes, block.fixed(at: 8) == header.number else { return nil }
    let records = Array(block[Self.headBytes..<Self.headBytes + used])
    return UInt32(truncatingIfNeeded: head) == Self.checksum(of: records, header.number) ? records : nil
  }

  fileprivate static func checksum(of records: [UInt8], _ number: UInt64) -> UInt32 {
    var head: [UInt8] = []
    head.append(fixed: number)
    head.append(fixed: UInt64(records.count))
    var crc = CRC32(head)
    crc.update(records)
    return crc.value
  }

  /// Writes a layer, record by record in key order.
  struct Writer {
    /// The limit of a path and a body together. S3's keys have at most 1,024 bytes.
    static let longestRecord = 16 << 10

    private let number: UInt64
    private let write: ([UInt8]) throws -> Void
    private var block: [UInt8] = []
    private var last: [UInt8] = []

    init(_ header: EvidenceHeader, to write: @escaping ([UInt8]) throws -> Void) throws {
      number = header.number
      self.write = write
      block.reserveCapacity(EvidenceLayer.blockBytes)
      try write(header.bytes)
    }

    mutating func add(_ path: ArraySlice<UInt8>, _ body: ArraySlice<UInt8>) throws {
      guard path.count + body.count <= Self.longestRecord else { return }
      // Nine more bytes: three numbers of at most three bytes each.
      let room = EvidenceLayer.blockBytes - EvidenceLayer.headBytes
      if block.count + path.count + body.count + 9 > room { try flush() }
      var shared = 0
      while shared < min(path.count, last.count), path[path.startIndex + shared] == last[shared] {
        shared += 1
      }
      block.append(varint: UInt64(shared))
      block.append(varint: UInt64(path.count - shared))
      block += path.dropFirst(shared)
      block.append(varint: UInt64(body.count))
      block += body
      last.removeSubrange(shared...)
      last += path.dropFirst(shared)
    }

    mutating func finish() throws { if !block.isEmpty { try flush() } }

    private mutating func flush() throws {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(EvidenceLayer.blockBytes)
      let checksum = EvidenceLayer.checksum(of: block, number)
      bytes.append(fixed: UInt64(block.count) << 32 | UInt64(checksum))
      bytes.append(fixed: number)
      bytes += block
      bytes += repeatElement(0, count: EvidenceLayer.blockBytes - bytes.count)
      try write(bytes)
      block.removeAll(keepingCapacity: true)
      last = []
    }
  }
}

/// A source of bytes that can be read at any offset.
protocol EvidenceSource: Sendable {
  /// The bytes of the range; fewer if the source ends before.
  func read(_ range: Range<Int64>) throws -> [UInt8]
}

extension ScratchFile: EvidenceSource {}

/// A file of evidence. It is closed when it is no longer used.
final class EvidenceFile: EvidenceSource {
  let descriptor: FileDescriptor

  init(adopting descriptor: FileDescriptor) {
    self.descriptor = descriptor
  }

  /// - Throws: `Errno`.
  convenience init(reading path: FilePath) throws {
    self.init(
      adopting: try FileDescriptor.open(path, .readOnly, options: [.closeOnExec, .noFollow, .nonBlocking]))
  }

  // The last user closes the descriptor. Everything was written before, so errors do not matter here.
  deinit { _ = close(descriptor.rawValue) }

  func read(_ range: Range<Int64>) throws -> [UInt8] {
    try descriptor.read(range.count, at: range.lowerBound)
  }

  var byteCount: Int64 {
    var status = stat()
    return fstat(descriptor.rawValue, &status) == 0 ? Int64(status.st_size) : 0
  }

  /// The header, if it is intact and of this origin.
  func header(of origin: EvidenceOrigin) -> EvidenceHeader? {
    let found = Result { try read(0..<Int64(EvidenceHeader.byteCount)) }
    guard case .success(let bytes) = found, let header = EvidenceHeader(bytes), header.origin == origin else {
      return nil
    }
    return header
  }
}
