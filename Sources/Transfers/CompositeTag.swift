import Digests
import HTTPTransport
import LocalTree
import MirrorModel
import S3Client

/// The digest of a multipart object, computed over the digests of its parts. A comparison needs the sizes of
/// the parts.
///
/// S3 does not store the sizes with the object (GetObjectAttributes lists them only for objects with
/// checksums). But uploaders give all parts except the last the same size, the digest ends with the number of
/// parts, and round sizes are few. So all sizes that give this number are tried.
package struct CompositeTag: Sendable, Hashable {
  package enum Digest: Sendable, Hashable {
    /// Over the parts' CRC-32s, four bytes each, most significant first (AWS, "Checking object integrity":
    /// COMPOSITE).
    case crc32(CRC32)
    /// Over the parts' MD5s, 16 bytes each, in lower-case hex: the ETag of an object that is not encrypted
    /// with SSE-KMS or SSE-C.
    case md5(String)
  }

  package var digest: Digest
  package var partCount: Int

  /// From the checksum if there is one, because a CRC-32 is ten times as fast as an MD5; otherwise from the
  /// ETag.
  package init?(_ head: ObjectHead) {
    if let checksum = head.checksumCRC32, head.fullObjectCRC32 == nil,
      let tag = CompositeTag(checksum: checksum, etag: head.etag)
    {
      self = tag
    } else {
      guard head.mayHaveDigestTag else { return nil }
      self.init(etag: head.etag)
    }
  }

  /// - Parameter etag: without quotes.
  package init?(etag: String) {
    guard let (text, count) = Self.split(etag), let md5 = ETag.md5(text) else { return nil }
    digest = .md5(md5)
    partCount = count
  }

  private init?(checksum: String, etag: String) {
    // Some servers give the number of parts only in the ETag.
    let (text, count) = Self.split(checksum) ?? (checksum, Self.split(etag)?.partCount ?? 0)
    guard count > 0, let crc = CRC32(base64: text) else { return nil }
    digest = .crc32(crc)
    partCount = count
  }

  /// Splits `digest-N`.
  private static func split(_ text: String) -> (digest: String, partCount: Int)? {
    let halves = text.split(separator: "-", omittingEmptySubsequences: false)
    guard halves.count == 2, let count = Int(halves[1]), (1...UploadPlan.Limit.parts).contains(count) else {
      return nil
    }
    return (String(halves[0]), count)
  }

  var isMD5: Bool { if case .md5 = digest { true } else { false } }

  /// The check that a matching part size means.
  var check: IntegrityCheck {
    switch digest {
    case .crc32: .crc32Parts
    case .md5: .md5Parts
    }
  }

  // MARK: Part sizes

  private static let mebibyte: Int64 = 1 << 20

  /// Default part sizes of uploaders. The AWS tools: 8 MiB; rclone, restic and Hadoop's S3 clients: 5, 16,
  /// 64, 100 and 128; s3cmd: 15; s3fs: 10; s5cmd: 50; this program: 16.
  private static let mebibytes: [Int64] = [
    8, 5, 16, 64, 15, 10, 50, 100, 128, 32, 20, 25, 6, 7, 12, 24, 40, 48, 256, 512, 1024,
  ]
  private static let megabytes: [Int64] = [
    5, 8, 10, 15, 16, 20, 25, 32, 50, 64, 100, 128, 250, 256, 500, 512, 1000,
  ]

  /// How many sizes are tried in one read. Each costs an MD5 of all bytes, at about 600 MB/s.
  private static let largestTrial = 10

  /// Part sizes that give this number of parts, the most likely first.
  package func partSizes(of byteCount: Int64) -> [Int64] {
    guard byteCount > 0 else { return partCount == 1 ? [1] : [] }
    let count = Int64(partCount)
    let smallest = byteCount.pieces(of: count)
    if count == 1 { return [smallest] }
    let largest = byteCount.pieces(of: count - 1) - 1
    guard smallest <= largest else { return [] }
    func roundedUp(to unit: Int64) -> Int64 { smallest.pieces(of: unit) * unit }
    var sizes = Self.mebibytes.map { $0 * Self.mebibyte }
    // Some tools grow the part until 10,000 parts suffice, by doubling or in whole units.
    var doubled = 8 * Self.mebibyte
    while doubled < smallest { doubled *= 2 }
    sizes += [doubled, roundedUp(to: Self.mebibyte), smallest, roundedUp(to: 5 * Self.mebibyte)]
    sizes += [roundedUp(to: 8 * Self.mebibyte), roundedUp(to: 1_000_000)]
    sizes += Self.megabytes.map { $0 * 1_000_000 }
    var known: Set<Int64> = []
    let fitting = sizes.filter { (smallest...largest).contains($0) && known.insert($0).inserted }
    return Array(fitting.prefix(Self.largestTrial))
  }

  /// Whether parts of this size would have the right number.
  func gives(_ partBytes: Int64, of byteCount: Int64) -> Bool {
    partBytes > 0 && byteCount.pieces(of: partBytes) == Int64(partCount)
  }
}

/// Compares bytes with a composite tag, for several part sizes in one read.
struct CompositeCheck {
  private struct Trial {
    let partBytes: Int64
    var filled: Int64 = 0
    var crc = CRC32()
    var crcs = CRC32()
    let hasher: MD5Hasher?
    let hashers: MD5Hasher?

    /// - Parameter feed: adds a stretch of the bytes to the digest of a part.
    mutating func update(_ count: Int, _ feed: (Range<Int>, inout CRC32, MD5Hasher?) -> Void) {
      var start = 0
      while start < count {
        let end = start + Int(min(partBytes - filled, Int64(count - start)))
        feed(start..<end, &crc, hasher)
        filled += Int64(end - start)
        if filled == partBytes { endPart() }
        start = end
      }
    }

    mutating func endPart() {
      if let hasher, let hashers {
        hashers.update(hasher.finish())
      } else {
        crcs.update(crc.bytes)
        crc = CRC32()
      }
      filled = 0
    }
  }

  private let tag: CompositeTag
  private let byteCount: Int64
  private var trials: [Trial]

  init(_ tag: CompositeTag, byteCount: Int64, partSizes: [Int64]) {
    self.tag = tag
    self.byteCount = byteCount
    trials = partSizes.map {
      Trial(partBytes: $0, hasher: tag.isMD5 ? MD5Hasher() : nil, hashers: tag.isMD5 ? MD5Hasher() : nil)
    }
  }

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    for index in trials.indices {
      trials[index].update(bytes.count) { range, crc, hasher in
        let piece = UnsafeRawBufferPointer(rebasing: bytes[range])
        if let hasher { hasher.update(piece) } else { crc.update(piece) }
      }
    }
  }

  /// The same for bytes in an array.
  mutating func update(_ bytes: [UInt8]) {
    for index in trials.indices {
      trials[index].update(bytes.count) { range, crc, hasher in
        let piece = Array(bytes[range])
        if let hasher { hasher.update(piece) } else { crc.update(piece) }
      }
    }
  }

  /// Whether the bytes match the tag for one of the sizes.
  mutating func finish() -> Bool {
    var fits = false
    for index in trials.indices {
      // The last part, or the only part of an empty object.
      if trials[index].filled > 0 || byteCount == 0 { trials[index].endPart() }
      switch tag.digest {
      case .crc32(let crc): fits = fits || trials[index].crcs == crc
      case .md5(let md5): fits = fits || trials[index].hashers.map { hexadecimal($0.finish()) } == md5
      }
    }
    return fits
  }
}

/// Whether a local file has the content of the tag. False also if the parts have a size that is not tried.
/// Blocks: call it on a reader thread.
///
/// - Throws: `UploadAbandoned.changed` if the file is shorter than its stamp shows; `TreeError`.
package func isContent(_ file: LocalFile, of tag: CompositeTag) throws -> Bool {
  let byteCount = file.stamp.size
  let sizes = tag.partSizes(of: byteCount)
  if sizes.isEmpty { return false }
  var check = CompositeCheck(tag, byteCount: byteCount, partSizes: sizes)
  try forEachPiece(of: file, from: 0, byteCount: byteCount) { check.update($0) }
  return check.finish()
}
