import Digests
import LocalTree
import MirrorModel
import S3Client

/// What is known of a block's content.
struct BlockDigests: Sendable {
  var plain: ContentBlocks.Digest
  /// Under the key of this process; nil if the process did not read the block for a comparison.
  var keyed: [UInt8]?

  init(plain: ContentBlocks.Digest, keyed: [UInt8]?) {
    self.plain = plain
    self.keyed = keyed
  }

  /// Blocks: call it on a reader thread.
  fileprivate init(of range: Range<Int64>, in file: LocalFile) throws {
    var crc = CRC32()
    let (md5, keyed) = (MD5Hasher(), KeyedHasher())
    try forEachPiece(of: file, from: range.lowerBound, byteCount: range.upperBound - range.lowerBound) {
      piece in
      crc.update(piece)
      md5.update(piece)
      keyed.update(piece)
    }
    self.init(plain: ContentBlocks.Digest(crc32: crc.value, md5: md5.finish()), keyed: keyed.finish())
  }
}

/// An upload that sends only what changed in a file: the plan, and what is known of the file's blocks.
struct Delta: Sendable {
  /// With the keyed digests of all blocks that were found in the file.
  let object: KnownObject
  let plan: DeltaPlan
  /// The digests of the file's blocks, except those that are sent as a part of their own. The ETags of such
  /// parts tell their MD5s.
  let digests: [Int: BlockDigests]
  /// Blocks that are sent and were not in the page cache before they were compared.
  let coldBlocks: Set<Int>

  func source(in bucket: String, key: String) -> CopySource {
    CopySource(bucket: bucket, key: object.key ?? key, ifMatch: object.etag)
  }

  private var known: BlockGrid { object.blocks.grid }

  /// The blocks of the object in a range that is copied.
  func blocks(of copy: DeltaPlan.Part) -> Range<Int> {
    let first = Int(copy.range.lowerBound / known.blockBytes)
    return first..<first + Int((copy.byteCount + known.blockBytes - 1) / known.blockBytes)
  }

  func crc(of copy: DeltaPlan.Part) -> CRC32 {
    blocks(of: copy).reduce(CRC32()) { crc, index in
      let range = known.range(of: index)
      return crc.combined(
        with: CRC32(value: object.blocks[index].crc32), byteCount: range.upperBound - range.lowerBound)
    }
  }

  /// Nil for a copy of several blocks.
  func md5(of copy: DeltaPlan.Part) -> String? {
    let blocks = blocks(of: copy)
    return blocks.count == 1 ? hexadecimal(object.blocks[blocks.lowerBound].md5) : nil
  }

  /// Whether bytes of the range were not in the page cache before.
  func wasCold(_ range: Range<Int64>) -> Bool {
    coldBlocks.contains { known.range(of: $0).overlaps(range) }
  }
}

/// The comparison of a file with an object that was published before.
struct DeltaSurvey {
  private enum Finding: Sendable {
    case unchanged
    case changed
    /// The CRC-32 is the same and the MD5 is not. Either the ETags of the server's parts are no MD5s (SSE-KMS),
    /// or the file consists of records that each end in their own CRC-32.
    case doubtful
  }

  private struct Compared: Sendable {
    var index: Int
    var finding: Finding
    /// Of an unchanged block.
    var keyedDigest: [UInt8]?
    /// Whether the block was not in the page cache before.
    var isCold: Bool
  }

  private let uploader: Uploader
  private let file: LocalFile
  private var object: KnownObject
  private let copying: DeltaPlan.Copying
  private let wholeRequests: Int
  private var findings: [Int: Compared] = [:]

  init(
    _ uploader: Uploader, _ file: LocalFile, over object: KnownObject, copying: DeltaPlan.Copying,
    wholeRequests: Int
  ) {
    self.uploader = uploader
    self.file = file
    self.object = object
    self.copying = copying
    self.wholeRequests = wholeRequests
  }

  private var known: BlockGrid { object.blocks.grid }
  private var grid: BlockGrid { BlockGrid(blockBytes: known.blockBytes, byteCount: file.stamp.size) }
  /// The number of blocks that can be compared.
  private var count: Int { known.count(within: file.stamp.size) }

  /// Nil if the file is to be sent whole.
  ///
  /// - Throws: `UploadAbandoned.changed` if the file has become shorter; `TreeError`.
  mutating func run() async throws -> Delta? {
    // Nothing is read if not even an unchanged file would be worth a delta.
    guard plan(for: Array(repeating: true, count: count)) != nil else { return nil }
    try await compare(
      DeltaPlan.samples(
        of: count, atMost: object.key == nil ? DeltaPlan.sampleCount : DeltaPlan.foreignSampleCount))
    guard findings.values.contains(where: { $0.finding == .unchanged }) else {
      if findings.values.contains(where: { $0.finding == .doubtful }),
        let reason = uploader.settings.deltaSupport.noteOtherTags()
      {
        uploader.settings.whenDeltasEnd(reason)
      }
      return nil
    }
    try await compare((0..<count).filter { findings[$0] == nil })
    guard let plan = plan(for: (0..<count).map { findings[$0]?.finding == .unchanged }) else { return nil }
    object.blocks.note(keyedDigests: findings.compactMapValues(\.keyedDigest))
    return Delta(
      object: object, plan: plan, digests: try await digests(for: plan),
      coldBlocks: Set(findings.values.filter { $0.isCold && $0.finding != .unchanged }.map(\.index)))
  }

  private func plan(for unchanged: [Bool]) -> DeltaPlan? {
    DeltaPlan(
      of: file.stamp.size, over: known, unchanged: unchanged, copying: copying, wholeRequests: wholeRequests)
  }

  // MARK: Reading

  /// How many blocks are compared at one time. There are two reader threads.
  private static let width = 2

  private mutating func compare(_ indices: [Int]) async throws {
    let (file, object, readers) = (file, object, uploader.resources.readers)
    try await withThrowingTaskGroup(of: Compared.self) { group in
      var rest = indices[...]
      func begin() {
        guard let index = rest.popFirst() else { return }
        group.addTask { try await readers.run { try Self.compare(index, of: file, with: object.blocks) } }
      }
      for _ in 0..<Self.width { begin() }
      while let compared = try await group.next() {
        findings[compared.index] = compared
        begin()
      }
    }
  }

  /// Blocks: it is called on a reader thread.
  private static func compare(_ index: Int, of file: LocalFile, with blocks: ContentBlocks) throws -> Compared
  {
    let range = blocks.grid.range(of: index)
    let isCold = isCold(file, range.lowerBound, range.upperBound - range.lowerBound)
    let (finding, keyedDigest) = try find(range, of: file, blocks[index], blocks.keyedDigest(of: index))
    // A changed block is read again when it is sent; an unchanged one is not.
    if finding == .unchanged, isCold { file.advise(.dontNeed(range)) }
    return Compared(index: index, finding: finding, keyedDigest: keyedDigest, isCold: isCold)
  }

  private static func find(
    _ range: Range<Int64>, of file: LocalFile, _ digest: ContentBlocks.Digest, _ known: [UInt8]?
  ) throws -> (Finding, keyedDigest: [UInt8]?) {
    if let known {
      return try keyedDigest(of: range, in: file) == known ? (.unchanged, known) : (.changed, nil)
    }
    let byteCount = range.upperBound - range.lowerBound
    guard try checksum(of: file, from: range.lowerBound, byteCount: byteCount).value == digest.crc32 else {
      return (.changed, nil)
    }
    let read = try BlockDigests(of: range, in: file)
    return read.plain == digest ? (.unchanged, read.keyed) : (.doubtful, nil)
  }

  /// The digests that are known, and those of blocks that are neither copied whole nor sent as one part.
  private func digests(for plan: DeltaPlan) async throws -> [Int: BlockDigests] {
    let sent = Set(plan.parts.filter { $0.source == .file }.map(\.range))
    var digests: [Int: BlockDigests] = [:]
    for index in 0..<grid.count {
      let range = grid.range(of: index)
      if findings[index]?.finding == .unchanged, known.range(of: index) == range {
        digests[index] = BlockDigests(
          plain: object.blocks[index], keyed: object.blocks.keyedDigest(of: index))
      } else if !sent.contains(range) {
        let file = file
        digests[index] = try await uploader.resources.readers.run { try BlockDigests(of: range, in: file) }
      }
    }
    return digests
  }
}

/// Whether the page cache does not hold the stretch. Only such a stretch is dropped from the cache after it is
/// sent: pages that were cached before, such as those of a new checkpoint, belong to the trainer. The beginning
/// of the stretch is not checked, because reading the stretch before it causes read-ahead.
func isCold(_ file: LocalFile, _ offset: Int64, _ byteCount: Int64) -> Bool {
  ![offset + byteCount / 2, offset + byteCount - 1].contains { file.isCached(at: $0) }
}

extension Uploader {
  /// Compares the file with the objects of which it may have content. Nil if the file is to be sent whole.
  func delta(of source: Source, _ wanted: Wanted, insteadOf plan: UploadPlan) async throws -> Delta? {
    guard settings.deltas == .automatic, settings.deltaSupport.isUsable, !wanted.published.isEmpty else {
      return nil
    }
    // A file that has to wait for its close is not read.
    if !source.isCopy, wanted.openFiles == .wait, source.check.outlook == .writerPresent { return nil }
    for object in wanted.published where object.blocks.grid.blockBytes == blockBytes(of: plan) {
      var survey = DeltaSurvey(
        self, source.file, over: object, copying: settings.checksums.copying,
        wholeRequests: plan.requestCount)
      if let delta = try await survey.run() { return delta }
    }
    return nil
  }

  /// Publishes a delta. Nil if it failed and the file is to be sent whole.
  // Out of line: otherwise each small file in flight would keep 1,200 bytes for the variables of a delta.
  @inline(never)
  func publish(
    _ delta: Delta, of source: Source, _ wanted: Wanted,
    _ beforePublication: @escaping @Sendable () async throws -> Void
  ) async throws -> UploadReceipt? {
    let upload = MultipartUpload(
      uploader: self, source: source, wanted: wanted, partBytes: delta.object.blocks.grid.blockBytes,
      partCount: delta.plan.parts.count, beforePublication: beforePublication, delta: delta)
    do {
      let receipt = try await upload.run()
      settings.deltaSupport.noteSuccess()
      return receipt
    } catch let failure as DeltaFailure {
      if let reason = settings.deltaSupport.note(failure) { settings.whenDeltasEnd(reason) }
      return nil
    }
  }

  /// The size of the blocks in which a published content is known: that of its parts.
  private func blockBytes(of plan: UploadPlan) -> Int64 {
    switch plan {
    case .single: settings.partBytes
    case .multipart(let partBytes, _): partBytes
    }
  }

  /// What is known of an object that was published in one request: nothing, if it is too small for a delta, or
  /// if it is larger than a block.
  func blocks(of read: PartRead, etag: String) -> ContentBlocks? {
    guard (UploadPlan.Limit.smallestPart...settings.partBytes).contains(read.byteCount),
      let md5 = ETag.md5(etag).flatMap(decodeHexadecimal)
    else { return nil }
    return ContentBlocks(
      BlockGrid(blockBytes: settings.partBytes, byteCount: read.byteCount),
      digests: [.init(crc32: read.crc.value, md5: md5)])
  }
}

extension UploadPlan {
  /// The number of requests of an upload of the whole file.
  fileprivate var requestCount: Int {
    switch self {
    case .single: 1
    case .multipart(_, let partCount): partCount + 2
    }
  }
}

extension ChecksumSupport {
  /// How the copies of parts can be checked.
  fileprivate var copying: DeltaPlan.Copying {
    guard isWholeSent else { return .blocks }
    return isWholeCompared ?? (isCompared(for: .object) || isCompared(for: .part)) ? .runs : .blocks
  }
}
