import MirrorModel
import TestSupport
import Testing

/// Which parts of a changed file are sent, and which the server copies.
@Suite struct DeltaPlanTests {
  private static let mebibyte: Int64 = 1 << 20
  private static let block: Int64 = 16 << 20

  private func plan(
    _ byteCount: Int64, over known: Int64, unchanged: [Bool], copying: DeltaPlan.Copying = .runs
  ) -> DeltaPlan? {
    let whole = byteCount <= Self.block ? 1 : Int((byteCount + Self.block - 1) / Self.block) + 2
    return DeltaPlan(
      of: byteCount, over: BlockGrid(blockBytes: Self.block, byteCount: known), unchanged: unchanged,
      copying: copying, wholeRequests: whole)
  }

  private func text(_ plan: DeltaPlan?) -> String? {
    plan?.parts.map { part in
      let (start, end) = (part.range.lowerBound, part.range.upperBound)
      return "\(part.source) \(Double(start) / Double(Self.mebibyte))-\(Double(end) / Double(Self.mebibyte))"
    }.joined(separator: ", ")
  }

  @Test func `a log that grew is one copy and its tail`() {
    let grown = plan(100 << 20, over: 99 << 20, unchanged: Array(repeating: true, count: 7))
    #expect(text(grown) == "object 0.0-99.0, file 99.0-100.0")
    #expect(grown?.sentBytes == 1 << 20)
    #expect(grown?.copiedBytes == 99 << 20)
  }

  @Test func `a long tail ends its parts where blocks end`() {
    #expect(
      text(plan(70 << 20, over: 20 << 20, unchanged: [true, true]))
        == "object 0.0-20.0, file 20.0-32.0, file 32.0-48.0, file 48.0-64.0, file 64.0-70.0")
    // The rest of the block would be too small a part.
    #expect(
      text(plan(70 << 20, over: 30 << 20, unchanged: [true, true]))
        == "object 0.0-30.0, file 30.0-48.0, file 48.0-64.0, file 64.0-70.0")
  }

  @Test func `a changed block is sent between two copies`() {
    #expect(
      text(plan(80 << 20, over: 80 << 20, unchanged: [true, true, false, true, true]))
        == "object 0.0-32.0, file 32.0-48.0, object 48.0-80.0")
  }

  @Test func `a file that was cut keeps the blocks that are still whole`() {
    #expect(
      text(plan(40 << 20, over: 80 << 20, unchanged: Array(repeating: true, count: 5)))
        == "object 0.0-32.0, file 32.0-40.0")
  }

  @Test func `where only ETags tell what was copied, each copy is one block`() {
    #expect(
      text(plan(60 << 20, over: 40 << 20, unchanged: [true, true, true], copying: .blocks))
        == "object 0.0-16.0, object 16.0-32.0, file 32.0-48.0, file 48.0-60.0")
    #expect(
      text(plan(40 << 20, over: 40 << 20, unchanged: [false, true, true], copying: .blocks))
        == "file 0.0-16.0, object 16.0-32.0, object 32.0-40.0")
  }

  @Test(arguments: [(5, nil), (6, "object 0.0-6.0, file 6.0-7.0"), (15, "object 0.0-15.0, file 15.0-16.0")])
  func `below the multipart threshold a copy must save 6 MiB, for three more requests`(
    known: Int64, expected: String?
  ) {
    #expect(text(plan((known + 1) << 20, over: known << 20, unchanged: [true])) == expected)
  }

  @Test func `a file goes whole if nothing is unchanged, or too little to be copied`() {
    #expect(plan(80 << 20, over: 80 << 20, unchanged: Array(repeating: false, count: 5)) == nil)
    // Only the last four MiB are unchanged.
    #expect(plan(20 << 20, over: 20 << 20, unchanged: [false, true]) == nil)
    #expect(plan(0, over: 20 << 20, unchanged: []) == nil)
    #expect(plan(20 << 20, over: 0, unchanged: []) == nil)
  }

  @Test func `a copy has at most 5 GiB`() throws {
    let blocks = 700  // 10.9 GiB
    let known = Int64(blocks) * Self.block
    let grown = try #require(plan(known + 1, over: known, unchanged: Array(repeating: true, count: blocks)))
    #expect(grown.parts.map(\.source) == [.object, .object, .object, .file])
    #expect(grown.parts.allSatisfy { $0.byteCount <= 5 << 30 })
  }

  @Test func `a copy that would need more than 10,000 parts is not made`() {
    let known = BlockGrid(blockBytes: 5 << 20, byteCount: 10_001 * (5 << 20))
    let alternating = (0..<10_001).map { $0.isMultiple(of: 2) }
    #expect(
      DeltaPlan(
        of: known.byteCount, over: known, unchanged: alternating, copying: .runs, wholeRequests: 9_000)
        == nil)
  }

  @Test func `the first blocks to be compared are spread over the file`() {
    #expect(DeltaPlan.samples(of: 0) == [])
    #expect(DeltaPlan.samples(of: 3) == [0, 1, 2])
    #expect(DeltaPlan.samples(of: 8) == Array(0..<8))
    #expect(DeltaPlan.samples(of: 80) == [5, 15, 25, 35, 45, 55, 65, 75])
    #expect(DeltaPlan.samples(of: 9) == [0, 1, 2, 3, 5, 6, 7, 8])
    #expect(DeltaPlan.samples(of: 80, atMost: 2) == [20, 60])
    #expect(DeltaPlan.samples(of: 2, atMost: 2) == [0, 1])
  }

  @Test func `digests are kept in order, and only as many as there are blocks`() throws {
    let grid = BlockGrid(blockBytes: 10, byteCount: 25)
    let digests = (0..<3).map {
      ContentBlocks.Digest(crc32: 0xFFAA_0000 + $0, md5: Array(repeating: UInt8($0), count: 16))
    }
    let blocks = try #require(ContentBlocks(grid, digests: digests))
    #expect((0..<3).map { blocks[$0] } == digests)
    #expect(ContentBlocks(grid, bytes: blocks.bytes) == blocks)
    #expect(ContentBlocks(grid, digests: digests.dropLast()) == nil)
    #expect(ContentBlocks(grid, bytes: blocks.bytes + [0]) == nil)
    #expect((0..<3).map { grid.range(of: $0) } == [0..<10, 10..<20, 20..<25])
    #expect([0, 9, 10, 24, 25, 99].map { grid.count(within: $0) } == [0, 0, 1, 2, 3, 3])
  }
}

/// Plans for random edits of small contents, with small limits.
@Suite struct DeltaPlanPropertyTests {
  private static let limits = DeltaPlan.Limits(
    smallestPart: 5, largestPart: 40, parts: 60, bytesPerRequest: 2)

  @Test(.promise("XFER-14"), arguments: 0..<400)
  func `the planned object is the file, within S3's limits`(seed: UInt64) {
    var random = RandomEdits(seed: seed)
    var plans = 0
    for _ in 0..<50 {
      let old = random.content(of: random.number(0...300))
      let new = random.edit(of: old)
      let known = BlockGrid(blockBytes: Int64(random.number(5...20)), byteCount: Int64(old.count))
      let copying: DeltaPlan.Copying = random.number(0...1) == 0 ? .runs : .blocks
      let unchanged = (0..<known.count(within: Int64(new.count))).map { index in
        let range = known.range(of: index)
        return old[range] == new[range]
      }
      guard
        let plan = DeltaPlan(
          of: Int64(new.count), over: known, unchanged: unchanged, copying: copying,
          wholeRequests: 2 + new.count / Int(known.blockBytes), limits: Self.limits)
      else { continue }
      plans += 1
      let made = plan.parts.flatMap { part in part.source == .file ? new[part.range] : old[part.range] }
      #expect(Array(made) == new)
      #expect(
        plan.parts.first?.range.lowerBound == 0 && plan.parts.last?.range.upperBound == Int64(new.count))
      for (part, next) in zip(plan.parts, plan.parts.dropFirst()) {
        #expect(part.range.upperBound == next.range.lowerBound)
        #expect(part.byteCount >= Self.limits.smallestPart)
      }
      #expect(plan.parts.allSatisfy { !$0.range.isEmpty && $0.byteCount <= Self.limits.largestPart })
      #expect(plan.parts.count <= Self.limits.parts)
      #expect(plan.sentBytes + plan.copiedBytes == Int64(new.count))
      #expect(plan.copiedBytes >= Self.limits.bytesPerRequest)
      // Copies consist of whole unchanged blocks, and no large run of them is sent.
      for part in plan.parts where part.source == .object {
        #expect(part.range.lowerBound % known.blockBytes == 0)
        #expect(copying == .runs || part.byteCount <= known.blockBytes)
      }
      let reusable = zip(0..., unchanged).reduce(0) { $1.1 ? $0 + known.range(of: $1.0).count : $0 }
      #expect(plan.copiedBytes <= Int64(reusable))
      if copying == .runs, unchanged.allSatisfy(\.self), reusable >= 5 {
        #expect(plan.copiedBytes > Int64(reusable) - Self.limits.smallestPart)
      }
    }
    #expect(plans > 0)
  }
}

/// Random contents and edits that a seed determines.
private struct RandomEdits {
  private var random: SplitMix64

  init(seed: UInt64) { random = SplitMix64(seed: seed) }

  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

  mutating func content(of count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  /// Writes in place, appends, cuts, and inserts.
  mutating func edit(of old: [UInt8]) -> [UInt8] {
    var new = old
    for _ in 0..<number(0...3) {
      switch number(0...4) {
      case 0 where !new.isEmpty:
        let start = number(0...new.count - 1)
        for index in start..<min(new.count, start + number(1...30)) { new[index] &+= 1 }
      case 1: new += content(of: number(1...80))
      case 2: new.removeLast(number(0...new.count))
      case 3: new.insert(contentsOf: content(of: number(1...9)), at: number(0...new.count))
      default: break
      }
    }
    return new
  }
}

extension [UInt8] {
  fileprivate subscript(range: Range<Int64>) -> ArraySlice<UInt8> {
    self[Int(range.lowerBound)..<Int(range.upperBound)]
  }
}
