import CCarryless
import CZlib

/// The CRC-32 of ISO 3309, which zlib computes and S3 calls CRC32.
///
/// Every published or fetched byte is checksummed here. On a processor with carry-less multiplication, long
/// stretches are first folded to 64 bytes with the same CRC, which zlib then reads. On other processors zlib
/// reads everything.
///
/// This is the only S3 checksum that this tool sends. Unlike CRC32C and CRC64NVME, zlib has it. As a linear
/// checksum it can be combined, so the parts of an upload give the CRC of the whole object (`FULL_OBJECT`).
package struct CRC32: Sendable, Hashable {
  /// The checksum of the bytes so far; 0 for no bytes.
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

  // SAFETY: the caller's buffer and the block are read only during the call.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.smallestFolded, s3m_can_fold() != 0 else { return read(bytes) }
    let blockCount = bytes.count / Self.blockBytes
    withUnsafeTemporaryAllocation(byteCount: Self.blockBytes, alignment: 1) { block in
      guard let base = bytes.baseAddress, let folded = block.baseAddress else { return }
      s3m_fold(~value, base, blockCount, folded)
      // zlib inverts the bits before and after. The block already includes the bits of the earlier bytes.
      value = .max
      read(UnsafeRawBufferPointer(block))
    }
    read(UnsafeRawBufferPointer(rebasing: bytes[(blockCount * Self.blockBytes)...]))
  }

  /// The size of the block that `s3m_fold` produces.
  private static let blockBytes = 64
  /// Folding less than four blocks saves nothing.
  private static let smallestFolded = 256

  /// By zlib alone: 4 GiB/s if its tables are in the cache. Folding is five times as fast.
  private mutating func read(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    // crc32_z takes a size_t and crc32 takes 32 bits, so a buffer of 4 GiB or more needs only one call.
    value = UInt32(crc32_z(UInt(value), base.assumingMemoryBound(to: UInt8.self), bytes.count))
  }

  package mutating func update(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { update($0) }
  }

  /// The CRC of these bytes followed by `byteCount` other bytes whose CRC is `next`.
  package func combined(with next: CRC32, byteCount: Int64) -> CRC32 {
    precondition(byteCount >= 0, "a length cannot be negative")
    // zlib's length is an off_t. On the supported 64-bit Linux it has 64 bits, and crc32_combine is what
    // other platforms call crc32_combine64. Int has the same width, and a conversion to it traps and does not
    // truncate.
    return CRC32(value: UInt32(crc32_combine(UInt(value), UInt(next.value), Int(byteCount))))
  }
}

extension CRC32 {
  /// Four bytes, most significant first, as in composite checksums.
  package var bytes: [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

  /// The four bytes in Base64, as in `x-amz-checksum-crc32`.
  package var base64: String { Digests.base64(bytes) }

  /// Nil for anything but the Base64 of four bytes, such as a composite checksum with its `-N`.
  package init?(base64 text: String) {
    guard let bytes = decodeBase64(text), bytes.count == 4 else { return nil }
    value = bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }
}

extension CRC32: CustomStringConvertible {
  package var description: String { base64 }
}
