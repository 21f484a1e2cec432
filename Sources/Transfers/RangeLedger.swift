import Digests
import MirrorModel

/// The ranges of a download that have arrived, with their checksums. A partial file keeps this record for the
/// next attempt.
///
/// The record is stored behind the partial file's content: a version, the object's ETag and length, the
/// length of a range, and then the number and CRC-32 of each range that has arrived, all little-endian. 12
/// bytes a range: at most 10,000 ranges, 120 kB.
struct RangeLedger: Sendable, Hashable {
  /// The largest number of ranges of one object. It equals the limit of parts, so the record stays small.
  static let maximumRanges: Int64 = 10_000

  let etag: String
  let byteCount: Int64
  let rangeBytes: Int64
  private(set) var checksums: [Int: CRC32] = [:]

  /// - Parameter rangeBytes: a larger length is used if `maximumRanges` ranges of this one do not suffice.
  init(object: RemoteObject, rangeBytes: Int64) {
    etag = object.etag
    byteCount = object.byteCount
    self.rangeBytes = max(rangeBytes, object.byteCount.pieces(of: Self.maximumRanges))
  }

  var rangeCount: Int { Int(byteCount.pieces(of: rangeBytes)) }

  func extent(of index: Int) -> (offset: Int64, byteCount: Int64) {
    let offset = Int64(index) * rangeBytes
    return (offset, min(rangeBytes, byteCount - offset))
  }

  mutating func note(_ checksum: CRC32, for index: Int) { checksums[index] = checksum }

  mutating func forget(_ index: Int) { checksums[index] = nil }

  /// The CRC-32 of all bytes; nil while ranges are missing.
  var whole: CRC32? {
    var crc = CRC32()
    for index in 0..<rangeCount {
      guard let range = checksums[index] else { return nil }
      crc = crc.combined(with: range, byteCount: extent(of: index).byteCount)
    }
    return crc
  }

  // MARK: The record

  private static let version: UInt64 = 1

  var record: [UInt8] {
    var record: [UInt8] = []
    func write(_ value: UInt64, _ width: Int) {
      for shift in 0..<width { record.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
    }
    write(Self.version, 4)
    write(UInt64(etag.utf8.count), 4)
    record += etag.utf8
    write(UInt64(byteCount), 8)
    write(UInt64(rangeBytes), 8)
    for (index, checksum) in checksums.sorted(by: { $0.key < $1.key }) {
      write(UInt64(index), 8)
      write(UInt64(checksum.value), 4)
    }
    return record
  }

  /// Takes over the record of an earlier attempt if the version of the object and the ranges are the same.
  ///
  /// This needs an ETag. Without one, only the lengths could be compared.
  mutating func adopt(_ record: [UInt8]) {
    var rest = record[...]
    func read(_ width: Int) -> UInt64? {
      guard rest.count >= width else { return nil }
      defer { rest = rest.dropFirst(width) }
      return rest.prefix(width).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
    guard !etag.isEmpty, read(4) == Self.version, let length = read(4), length <= UInt64(rest.count) else {
      return
    }
    let known = rest.prefix(Int(length))
    rest = rest.dropFirst(Int(length))
    guard known.elementsEqual(etag.utf8), read(8) == UInt64(byteCount), read(8) == UInt64(rangeBytes) else {
      return
    }
    while let index = read(8), let value = read(4) {
      guard index < UInt64(rangeCount) else { return }
      checksums[Int(index)] = CRC32(value: UInt32(value))
    }
  }
}
