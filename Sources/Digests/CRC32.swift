import CCarryless
import CZlib

/// The CRC-32 of ISO 3309 that zlib computes and S3 calls CRC32.
///
/// Every byte that is published or fetched passes through here, so that a processor with carry-less multiplication folds long
/// stretches to 64 bytes of the same CRC before zlib sees them. Elsewhere zlib reads everything.
///
/// It is S3's one checksum that this tool sends: unlike CRC32C and CRC64NVME zlib has it, and as a linear
/// checksum it combines, so the parts of an upload give the CRC of the whole object (`FULL_OBJECT`).
package struct CRC32: Sendable, Hashable {
  /// The checksum of the bytes so far; 0 of none.
  package var value: UInt32

  /// The CRC of no bytes.
  package init() {
    value = 0
  }

  package init(value: UInt32) {
    self.value = value
  }

  package init(_ bytes: [UInt8]) {
    self.init()
    update(bytes)
  }

  package init(_ bytes: UnsafeRawBufferPointer) {
    self.init()
    update(bytes)
  }

  // SAFETY: the caller's buffer is read during the call only, and so is the block.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.smallestFolded, s3m_can_fold() != 0 else { return read(bytes) }
    let blockCount = bytes.count / Self.blockBytes
    withUnsafeTemporaryAllocation(byteCount: Self.blockBytes, alignment: 1) { block in
      guard let base = bytes.baseAddress, let folded = block.baseAddress else { return }
      s3m_fold(~value, base, blockCount, folded)
      // zlib inverts the bits before and after; those of what came before are in the block already.
      value = .max
      read(UnsafeRawBufferPointer(block))
    }
    read(UnsafeRawBufferPointer(rebasing: bytes[(blockCount * Self.blockBytes)...]))
  }

  /// What `s3m_fold` works on, and makes of all it is given.
  private static let blockBytes = 64
  /// Below four blocks there is nothing to gain.
  private static let smallestFolded = 256

  /// By zlib alone, 4 GiB/s where its tables lie in the cache; folding is five times as fast.
  private mutating func read(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    // crc32_z takes a size_t where crc32 takes 32 bits, so that a buffer of 4 GiB and more is one call.
    value = UInt32(crc32_z(UInt(value), base.assumingMemoryBound(to: UInt8.self), bytes.count))
  }

  package mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The CRC of these bytes followed by `byteCount` others whose CRC is `next`.
  package func combined(with next: CRC32, byteCount: Int64) -> CRC32 {
    precondition(byteCount >= 0, "a length cannot be negative")
    // zlib's length is an off_t: 64 bits on the 64-bit Linux this builds for, where crc32_combine is what other
    // platforms call crc32_combine64. Int has the same width, and converting to it traps rather than truncates.
    return CRC32(value: UInt32(crc32_combine(UInt(value), UInt(next.value), Int(byteCount))))
  }
}

extension CRC32 {
  /// Four bytes, most significant first: what composite checksums are made of.
  package var bytes: [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

  /// As `x-amz-checksum-crc32` has it: the four bytes in base64.
  package var base64: String { Digests.base64(bytes) }

  /// Nil for anything but the base64 of four bytes, such as a composite checksum with its `-N`.
  package init?(base64 text: String) {
    guard let bytes = decodeBase64(text), bytes.count == 4 else { return nil }
    value = bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }
}

extension CRC32: CustomStringConvertible {
  package var description: String { base64 }
}
