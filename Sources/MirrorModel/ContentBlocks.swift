/// The division of a content into blocks of one size. The last block may be shorter.
package struct BlockGrid: Sendable, Hashable {
  package let blockBytes: Int64
  package let byteCount: Int64

  package init(blockBytes: Int64, byteCount: Int64) {
    precondition(blockBytes > 0 && byteCount >= 0, "a block has bytes")
    self.blockBytes = blockBytes
    self.byteCount = byteCount
  }

  package var count: Int { Int((byteCount + blockBytes - 1) / blockBytes) }

  package func range(of index: Int) -> Range<Int64> {
    let start = Int64(index) * blockBytes
    return start..<min(start + blockBytes, byteCount)
  }

  /// The number of blocks that end within the first `byteCount` bytes.
  package func count(within byteCount: Int64) -> Int {
    byteCount >= self.byteCount ? count : Int(byteCount / blockBytes)
  }
}

/// The digests of an object's content, block by block. They tell which stretches of a changed file are in the
/// object.
///
/// A CRC-32 finds a changed block fast, but contents whose records each end in their own CRC-32 all have the
/// same one. So a block counts as unchanged only if its MD5 is the same too, or if its keyed digest is known and
/// is the same.
package struct ContentBlocks: Sendable, Hashable {
  package struct Digest: Sendable, Hashable {
    package var crc32: UInt32
    /// 16 bytes.
    package var md5: [UInt8]

    package init(crc32: UInt32, md5: [UInt8]) {
      self.crc32 = crc32
      self.md5 = md5
    }
  }

  /// A CRC-32 and an MD5.
  package static let digestBytes = 20
  /// A digest under the key of this process. One that was not noted is all zeros.
  package static let keyedBytes = 16

  package let grid: BlockGrid
  /// For each block its CRC-32, the most significant byte first, and its MD5.
  package let bytes: [UInt8]
  /// For each block its digest under the key of this process, if it was noted. To compare these takes a tenth of
  /// the time. They are no part of the value, and are never written anywhere.
  private var keyed: [UInt8] = []

  /// Nil if there is not one digest for each block.
  package init?(_ grid: BlockGrid, digests: [Digest]) {
    guard digests.allSatisfy({ $0.md5.count == Self.digestBytes - 4 }) else { return nil }
    self.init(grid, bytes: digests.flatMap { Self.bytes(of: $0.crc32) + $0.md5 })
  }

  /// Nil if there is not one digest for each block.
  package init?(_ grid: BlockGrid, bytes: [UInt8]) {
    guard bytes.count == grid.count * Self.digestBytes else { return nil }
    self.grid = grid
    self.bytes = bytes
  }

  private static func bytes(of crc32: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: crc32 >> (24 - 8 * $0)) }
  }

  package var count: Int { grid.count }

  /// The block's digest under the key of this process; nil if it was not noted.
  package func keyedDigest(of index: Int) -> [UInt8]? {
    if keyed.isEmpty { return nil }
    let digest = keyed[index * Self.keyedBytes..<(index + 1) * Self.keyedBytes]
    return digest.allSatisfy { $0 == 0 } ? nil : Array(digest)
  }

  /// Notes the keyed digests of blocks, each from a read that gave the CRC-32 and the MD5 known here.
  package mutating func note(keyedDigests: [Int: [UInt8]]) {
    if keyedDigests.isEmpty { return }
    if keyed.isEmpty { keyed = Array(repeating: 0, count: count * Self.keyedBytes) }
    for (index, digest) in keyedDigests {
      precondition(digest.count == Self.keyedBytes, "a keyed digest of \(digest.count) bytes")
      keyed.replaceSubrange(index * Self.keyedBytes..<(index + 1) * Self.keyedBytes, with: digest)
    }
  }

  package static func == (one: Self, other: Self) -> Bool {
    one.grid == other.grid && one.bytes == other.bytes
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(grid)
    hasher.combine(bytes)
  }

  package subscript(index: Int) -> Digest {
    let start = index * Self.digestBytes
    return Digest(
      crc32: bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) },
      md5: Array(bytes[start + 4..<start + Self.digestBytes]))
  }
}

/// An object whose content is known block by block.
package struct KnownObject: Sendable, Hashable {
  /// Nil if the object is the one that is to be replaced.
  package var key: String?
  /// Without quotes. A copy from the object demands it.
  package var etag: String
  package var blocks: ContentBlocks

  package init(key: String? = nil, etag: String, blocks: ContentBlocks) {
    self.key = key
    self.etag = etag
    self.blocks = blocks
  }
}
