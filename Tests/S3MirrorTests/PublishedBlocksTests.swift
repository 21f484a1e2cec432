import MirrorModel
import Testing

@testable import S3Mirror

/// What a run remembers of the contents that it published.
@Suite struct PublishedBlocksTests {
  private func object(_ etag: String, blocks count: Int) throws -> KnownObject {
    let digests = (0..<count).map {
      ContentBlocks.Digest(crc32: UInt32($0), md5: Array(repeating: 1, count: 16))
    }
    let blocks = try #require(
      ContentBlocks(BlockGrid(blockBytes: 10, byteCount: Int64(10 * count)), digests: digests))
    return KnownObject(etag: etag, blocks: blocks)
  }

  @Test func `the latest object of a path is known until it is deleted`() throws {
    let published = PublishedBlocks()
    published.note(try object("1", blocks: 2), for: "a")
    published.note(try object("2", blocks: 3), for: "a")
    #expect(published.object(of: "a")?.etag == "2")
    #expect(published.object(of: "b") == nil)
    published.note(nil, for: "a")
    #expect(published.object(of: "a") == nil)
    published.note(try object("3", blocks: 1), for: "a")
    published.forget("a")
    #expect(published.object(of: "a") == nil)
  }

  @Test(.promise("XFER-18"))
  func `objects of the same size are found, first the one with the same name`() throws {
    let published = PublishedBlocks()
    published.note(try object("1", blocks: 2), for: "step-1/model")
    published.note(try object("2", blocks: 2), for: "step-1/optimizer")
    published.note(try object("3", blocks: 3), for: "step-1/other")
    let found = { (path: RelativePath) in published.alike(path, fileBytes: 20).map(\.object.etag) }
    #expect(found("step-2/model") == ["1", "2"])
    #expect(found("step-2/optimizer") == ["2"])
    #expect(found("best") == ["2"])
    #expect(found("step-1/optimizer") == [])
    #expect(published.alike("best", fileBytes: 21).isEmpty)
    published.forget("step-1/optimizer")
    #expect(found("step-2/model") == ["1"])
    published.note(try object("4", blocks: 1), for: "step-1/model")
    #expect(found("step-2/model") == [])
  }

  @Test(.promise("XFER-17"))
  func `at most as many blocks are kept as the limit allows`() throws {
    #expect(PublishedBlocks.standardCapacity * ContentBlocks.digestBytes == 5 << 20)
    let published = PublishedBlocks(capacity: 10)
    for number in 0..<20 {
      published.note(try object("\(number)", blocks: 3), for: RelativePath("\(number)"))
    }
    let known = (0..<20).filter { published.object(of: RelativePath("\($0)")) != nil }
    #expect(known.count == 3)
    // The newest is never the one that is dropped.
    #expect(known.contains(19))
    published.note(try object("large", blocks: 11), for: "large")
    #expect(published.object(of: "large") == nil)
    // Places that are given back are used again.
    for number in 0..<20 { published.forget(RelativePath("\(number)")) }
    for number in 0..<3 { published.note(try object("\(number)", blocks: 3), for: RelativePath("\(number)")) }
    #expect((0..<3).allSatisfy { published.object(of: RelativePath("\($0)")) != nil })
  }
}
