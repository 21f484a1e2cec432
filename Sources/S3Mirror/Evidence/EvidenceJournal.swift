import Digests
import Glibc
import MirrorModel
import SystemPackage

/// The entries that were noted since the layers were written, in the order of time: a header, then chunks
/// that each can be checked separately.
///
/// A chunk has its byte count, a CRC-32, the time, and records. A record has the path's length, the path, the
/// body's length and the body. Each chunk is passed to the kernel in one piece, so it outlives this process.
/// If a kill or a full disk has cut a chunk, the journal ends before it.
struct EvidenceJournal {
  private static let chunkHead = 16
  /// The largest chunk that is read. Chunks are written once they have 64 KiB, so one can be a record longer.
  private static let longestChunk = 1 << 20

  let file: EvidenceFile
  /// The offset of the next chunk. Any bytes after it are malformed.
  private(set) var end: Int64

  /// Reads the chunks of a journal.
  ///
  /// - Parameters:
  ///   - start: the end of a chunk, or of the header.
  ///   - each: receives a chunk's records and the time at which they were noted.
  init(
    _ file: EvidenceFile, from start: Int64 = Int64(EvidenceHeader.byteCount),
    _ each: (_ records: [UInt8], _ noted: Int64) throws -> Void
  ) rethrows {
    self.file = file
    end = start
    while let (records, noted) = chunk(at: end) {
      try each(records, noted)
      end += Int64(Self.chunkHead + records.count)
    }
  }

  private func chunk(at offset: Int64) -> (records: [UInt8], noted: Int64)? {
    let head = Result { try file.read(offset..<offset + Int64(Self.chunkHead)) }
    guard case .success(let bytes) = head, bytes.count == Self.chunkHead else { return nil }
    let field = bytes.fixed(at: 0)
    let (count, crc) = (Int(field >> 32), UInt32(truncatingIfNeeded: field))
    let start = offset + Int64(Self.chunkHead)
    guard count > 0, count <= Self.longestChunk,
      case .success(let records) = Result(catching: { try file.read(start..<start + Int64(count)) }),
      records.count == count, Self.checksum(of: records, bytes.fixed(at: 8)) == crc
    else { return nil }
    return (records, Int64(bitPattern: bytes.fixed(at: 8)))
  }

  private static func checksum(of records: [UInt8], _ noted: UInt64) -> UInt32 {
    var head: [UInt8] = []
    head.append(fixed: noted)
    var crc = CRC32(head)
    crc.update(records)
    return crc.value
  }

  /// - Throws: `Errno`.
  mutating func append(_ records: [UInt8], noted: Int64) throws {
    let time = UInt64(bitPattern: noted)
    var chunk: [UInt8] = []
    chunk.append(fixed: UInt64(records.count) << 32 | UInt64(Self.checksum(of: records, time)))
    chunk.append(fixed: time)
    chunk += records
    end += Int64(try file.descriptor.writeAll(toAbsoluteOffset: end, chunk))
  }

  static func add(_ path: RelativePath, _ body: [UInt8], to records: inout [UInt8]) {
    guard path.string.utf8.count + body.count <= EvidenceLayer.Writer.longestRecord else { return }
    records.append(varint: UInt64(path.string.utf8.count))
    records += path.string.utf8
    records.append(varint: UInt64(body.count))
    records += body
  }
}

/// Sorts a journal by key with bounded memory: parts of it are sorted, and each part becomes a layer.
struct EvidenceSorter {
  /// The number of bytes that are sorted at a time: about 80,000 records.
  static let standardLength = 8 << 20

  private struct Place {
    var path: Int
    var pathCount: Int32
    var bodyCount: Int32
    /// The distance from the path's end to the body.
    var gap: Int32
  }

  private let origin: EvidenceOrigin
  private let length: Int
  private var records: [UInt8] = []
  private var places: [Place] = []
  private var noted = Int64.min
  /// Newest first.
  private(set) var layers: [EvidenceLayer] = []

  init(origin: EvidenceOrigin, length: Int = Self.standardLength) {
    self.origin = origin
    self.length = length
  }

  /// - Throws: `MirrorError` if no temporary file can be made.
  mutating func add(_ chunk: [UInt8], noted: Int64) throws {
    self.noted = max(self.noted, noted)
    var reader = ByteReader(bytes: chunk, position: 0, end: chunk.count)
    let start = records.count
    while let pathCount = reader.count() {
      let path = reader.position
      guard reader.take(pathCount) != nil, let bodyCount = reader.count() else { break }
      let body = reader.position
      guard reader.take(bodyCount) != nil else { break }
      places.append(
        Place(
          path: start + path, pathCount: Int32(pathCount), bodyCount: Int32(bodyCount),
          gap: Int32(body - path - pathCount)))
    }
    records += chunk
    if records.count >= length { try flush() }
  }

  mutating func finish() throws {
    if !places.isEmpty { try flush() }
  }

  private mutating func flush() throws {
    let records = records
    self.records = []
    // The newest record of a path comes before its older ones.
    let sorted = places.sorted { left, right in
      switch Self.order(left, right, in: records) {
      case .before: true
      case .same: left.path > right.path
      case .after: false
      }
    }
    places = []
    let file = try ScratchFile()
    var byteCount: Int64 = 0
    let header = EvidenceHeader(origin: origin, noted: noted)
    noted = .min
    var writer = try EvidenceLayer.Writer(header) { byteCount += Int64(try file.append($0).count) }
    var last: Place?
    for place in sorted {
      if let last, Self.order(last, place, in: records) == .same { continue }
      last = place
      let end = place.path + Int(place.pathCount)
      let body = end + Int(place.gap)
      try writer.add(records[place.path..<end], records[body..<body + Int(place.bodyCount)])
    }
    try writer.finish()
    layers.insert(EvidenceLayer(file, header: header, byteCount: byteCount), at: 0)
  }

  private static func order(_ left: Place, _ right: Place, in records: [UInt8]) -> RelativePath.Order {
    let common = Int(min(left.pathCount, right.pathCount))
    for offset in 0..<common {
      let (mine, theirs) = (records[left.path + offset], records[right.path + offset])
      if mine != theirs { return mine < theirs ? .before : .after }
    }
    if left.pathCount == right.pathCount { return .same }
    return left.pathCount < right.pathCount ? .before : .after
  }
}
