/// The parts of a *delta*: an upload that sends only what changed in a file. The server copies the rest from
/// the object that the upload replaces.
///
/// The plan is made from the blocks of that object and from which of them the file still has in the same
/// place. Neighbouring unchanged blocks are copied by one request. What is between them is sent, in parts that
/// end where blocks end, so that each sent part gives the digest of a block for the next delta.
package struct DeltaPlan: Sendable, Hashable {
  package enum Source: Sendable, Hashable {
    /// The part's bytes are sent.
    case file
    /// The server copies the same range of the object.
    case object
  }

  package struct Part: Sendable, Hashable {
    package var range: Range<Int64>
    package var source: Source

    package init(range: Range<Int64>, source: Source) {
      self.range = range
      self.source = source
    }

    package var byteCount: Int64 { range.upperBound - range.lowerBound }
  }

  /// How much one request may copy. This depends on how the copy can be checked.
  package enum Copying: Sendable, Hashable {
    /// Any number of blocks, because the server compares the CRC-32 of the whole object.
    case runs
    /// One block, because only the ETag of the copied part shows what was copied: it must be the block's MD5.
    /// The parts are then those of an upload of the whole file, so the object's ETag can be checked as always.
    case blocks
  }

  package struct Limits: Sendable, Hashable {
    package var smallestPart: Int64
    package var largestPart: Int64
    package var parts: Int
    /// What a copy must save for each request that the delta needs more than an upload of the whole file.
    package var bytesPerRequest: Int64

    package init(smallestPart: Int64, largestPart: Int64, parts: Int, bytesPerRequest: Int64) {
      self.smallestPart = smallestPart
      self.largestPart = largestPart
      self.parts = parts
      self.bytesPerRequest = bytesPerRequest
    }

    /// S3's limits ("Amazon S3 multipart upload limits" in the user guide). 2 MiB a request: a request takes
    /// some 30 ms more, in which a connection of 50 to 90 MB/s carries about 2 MiB.
    package static let s3 = Limits(
      smallestPart: 5 << 20, largestPart: 5 << 30, parts: 10_000, bytesPerRequest: 2 << 20)
  }

  /// In order. They cover the file exactly.
  package let parts: [Part]

  package var copiedBytes: Int64 { bytes(of: .object) }
  package var sentBytes: Int64 { bytes(of: .file) }

  private func bytes(of source: Source) -> Int64 {
    parts.reduce(0) { $1.source == source ? $0 + $1.byteCount : $0 }
  }

  /// Nil if the file is to be sent whole: nothing can be copied, or the copies save too little.
  ///
  /// - Parameters:
  ///   - byteCount: the size of the file.
  ///   - known: the blocks of the object.
  ///   - unchanged: for each block that ends within the file, whether the file has the same bytes there.
  ///   - wholeRequests: the number of requests of an upload of the whole file.
  package init?(
    of byteCount: Int64, over known: BlockGrid, unchanged: [Bool], copying: Copying, wholeRequests: Int,
    limits: Limits = .s3
  ) {
    let copies = Self.copies(of: byteCount, from: known, unchanged, copying, limits)
    var parts: [Part] = []
    var end: Int64 = 0
    for copy in copies {
      parts += Self.sends(end..<copy.lowerBound, known.blockBytes, limits)
      parts.append(Part(range: copy, source: .object))
      end = copy.upperBound
    }
    parts += Self.sends(end..<byteCount, known.blockBytes, limits)
    guard parts.count <= limits.parts,
      parts.dropLast().allSatisfy({ $0.byteCount >= limits.smallestPart }),
      parts.allSatisfy({ $0.byteCount <= limits.largestPart })
    else { return nil }
    self.parts = parts
    // Besides the parts, an upload in parts has a request for its beginning and one for its completion.
    let extraRequests = max(1, parts.count + 2 - wholeRequests)
    guard copiedBytes >= limits.bytesPerRequest * Int64(extraRequests) else { return nil }
  }

  /// The ranges to copy, each of whole blocks.
  private static func copies(
    of byteCount: Int64, from known: BlockGrid, _ unchanged: [Bool], _ copying: Copying, _ limits: Limits
  ) -> [Range<Int64>] {
    let blocks = unchanged.prefix(known.count(within: byteCount))
    var copies: [Range<Int64>] = []
    var first = 0
    while first < blocks.count {
      guard blocks[first] else {
        first += 1
        continue
      }
      let end = blocks[first...].firstIndex(of: false) ?? blocks.endIndex
      copies += pieces(of: first..<end, known, copying, limits).filter { piece in
        let isWholeBlock = (piece.upperBound - piece.lowerBound) % known.blockBytes == 0
        // Elsewhere a part that is shorter than a block would move the borders of the parts after it.
        return copying == .runs || isWholeBlock || piece.upperBound == byteCount
      }
      first = end
    }
    // A shorter part could only be the last one, and to send it costs no more than to copy it.
    return copies.filter { $0.upperBound - $0.lowerBound >= limits.smallestPart }
  }

  /// Splits a run of unchanged blocks into as few parts as possible, of nearly equal size.
  private static func pieces(
    of run: Range<Int>, _ known: BlockGrid, _ copying: Copying, _ limits: Limits
  ) -> [Range<Int64>] {
    let most = copying == .blocks ? 1 : max(1, Int(limits.largestPart / known.blockBytes))
    let count = (run.count + most - 1) / most
    return (0..<count).map { piece in
      let first = run.lowerBound + piece * run.count / count
      let last = run.lowerBound + (piece + 1) * run.count / count - 1
      return known.range(of: first).lowerBound..<known.range(of: last).upperBound
    }
  }

  /// Splits a gap between copies into parts that end where blocks end. A gap that begins within a block, behind
  /// the old end of a file that grew, may have a longer first part.
  private static func sends(_ gap: Range<Int64>, _ blockBytes: Int64, _ limits: Limits) -> [Part] {
    var parts: [Part] = []
    var start = gap.lowerBound
    while start < gap.upperBound {
      var end = (start / blockBytes + 1) * blockBytes
      if end - start < limits.smallestPart { end += blockBytes }
      end = min(end, gap.upperBound)
      parts.append(Part(range: start..<end, source: .file))
      start = end
    }
    return parts
  }
}

extension DeltaPlan {
  /// How many blocks are compared before all others. If each of them changed, the file is sent whole, so a
  /// checkpoint of which everything changed is not read twice. Where a third of the blocks are unchanged, all
  /// eight have changed in 4 % of the cases; where two thirds are, in one of 6,500.
  package static let sampleCount = 8

  /// How many blocks are compared first with an object under another name. Two are enough for a file that is
  /// the same under both names, and most files are not.
  package static let foreignSampleCount = 2

  /// The blocks to compare before all others, spread evenly, in ascending order.
  package static func samples(of count: Int, atMost most: Int = sampleCount) -> [Int] {
    guard count > most else { return Array(0..<count) }
    return (0..<most).map { ($0 * 2 + 1) * count / (most * 2) }
  }
}
