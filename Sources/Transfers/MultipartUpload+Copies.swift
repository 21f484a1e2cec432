import Digests
import MirrorModel
import S3Client

/// The parts that the server copies.
extension MultipartUpload {
  /// - Parameter isReread: whether two reads are to prove the file whole. The comparison with the object was
  ///   the first.
  func copy(_ number: Int, _ part: DeltaPlan.Part, by delta: Delta, to opened: Opened, isReread: Bool)
    async throws -> Part
  {
    if isReread { try await confirm(part, by: delta) }
    let copy = UploadPartCopy(
      key: key, uploadID: opened.uploadID, number: number, source: delta.source(in: store.bucket, key: key),
      range: part.range.lowerBound...part.range.upperBound - 1)
    do {
      let (answer, attempts) = try await resources.send(copy, through: store, for: .part)
      return Part(
        number: number, etag: answer.etag, crc: delta.crc(of: part), byteCount: part.byteCount,
        check: try check(answer, of: part, by: delta), attempts: attempts, isReused: false, isCopied: true)
    } catch let error as S3Error {
      throw DeltaFailure(error) ?? error
    }
  }

  /// How the copied part is known to have the bytes of the file; `none` if only the CRC-32 of the whole object
  /// can show it.
  private func check(_ answer: UploadPartCopy.Output, of part: DeltaPlan.Part, by delta: Delta) throws
    -> IntegrityCheck
  {
    if let checksum = answer.checksumCRC32 {
      guard checksum == delta.crc(of: part).base64 else { throw DeltaFailure.wrongCopy }
      return .crc32
    }
    guard let md5 = delta.md5(of: part) else { return .none }
    guard ETag.md5(answer.etag) == md5 else { throw DeltaFailure.wrongCopy }
    return .md5
  }

  /// The second read of a stretch that is copied.
  private func confirm(_ part: DeltaPlan.Part, by delta: Delta) async throws {
    let (file, blocks) = (source.file, delta.object.blocks)
    for index in delta.blocks(of: part) {
      let range = blocks.grid.range(of: index)
      let digest = try await resources.readers.run { try keyedDigest(of: range, in: file) }
      guard digest == blocks.keyedDigest(of: index) else { throw UploadAbandoned.changed }
    }
  }

  /// Checks that the object was made of the right copies.
  func checkCopies(_ parts: [Part], in publication: Publication) throws {
    guard parts.contains(where: { $0.isCopied && $0.check == .none }) else { return }
    // The object is in place, and is replaced by a whole upload at once.
    if !publication.isEchoed { throw DeltaFailure.unproved }
  }

  /// The digests of the published blocks. Nil if a part's ETag is no MD5.
  func blocks(of parts: [Part]) -> ContentBlocks? {
    let grid = BlockGrid(blockBytes: partBytes, byteCount: byteCount)
    var digests = delta?.digests ?? [:]
    for part in parts where !part.isCopied {
      let (offset, count) = extent(of: part.number)
      let index = Int(offset / partBytes)
      guard digests[index] == nil, grid.range(of: index) == offset..<offset + count else { continue }
      guard let md5 = ETag.md5(part.etag).flatMap(decodeHexadecimal) else { return nil }
      digests[index] = BlockDigests(plain: .init(crc32: part.crc.value, md5: md5), keyed: nil)
    }
    var blocks = ContentBlocks(grid, digests: (0..<grid.count).compactMap { digests[$0]?.plain })
    blocks?.note(keyedDigests: digests.compactMapValues(\.keyed))
    return blocks
  }
}
