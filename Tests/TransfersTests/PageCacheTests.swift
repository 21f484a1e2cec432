import Foundation
import LocalTree
import MirrorModel
import TestSupport
import Testing
import Transfers

/// Large uploads do not evict the trainer's page cache, nor fill it with what nobody asked for.
@Suite struct PageCacheTests {
  private static let directory = FileManager.default.temporaryDirectory.path
  private static let bytes = pattern(15 * mebibyte)

  /// Whether the directory's filesystem lets go of pages, as a disk's does and one in memory cannot.
  private static let canForget: Bool = {
    do {
      let fixture = try TransferFixture(in: directory)
      try fixture.write("a", bytes)
      try forget("a", in: fixture, within: .seconds(5))
      return true
    } catch {
      return false
    }
  }()

  /// Writes the pages out, and drops them. For a moment after fsync(2) the journal of the filesystem may hold
  /// pages, and the kernel does not drop these.
  private static func forget(
    _ name: RelativePath, in fixture: TransferFixture, within limit: Duration = patience
  ) throws {
    let writer = try SoleWriter(fixture.url(name.string).path)
    try writer.synchronize()
    try writer.close()
    let file = try #require(try fixture.root.open(name))
    try blockUntil("the pages are dropped", within: limit) {
      file.advise(.dontNeed(0..<Int64(bytes.count)))
      return try (0..<15).allSatisfy { try !isCached(name, at: $0 * mebibyte, in: fixture) }
    }
  }

  private static func isCached(_ name: RelativePath, at offset: Int, in fixture: TransferFixture) throws
    -> Bool
  {
    let file = try #require(try fixture.root.open(name))
    return PartBuffer(capacity: 4096).fillFromCache(of: file, at: Int64(offset), byteCount: 4096)
  }

  @Test(.enabled(if: canForget))
  func `parts that came from the disk leave the page cache when they are sent`() async throws {
    let fixture = try TransferFixture(in: Self.directory)
    try fixture.write("a", Self.bytes)
    try Self.forget("a", in: fixture)
    _ = try await fixture.upload("a")
    for part in 0..<3 {
      // Not at the beginning: what the kernel reads ahead reaches into the next part.
      #expect(
        try !Self.isCached("a", at: part * 5 * mebibyte + 2 * mebibyte, in: fixture), "part \(part + 1)")
    }
  }

  @Test(.promise("XFER-19"), .enabled(if: canForget))
  func `a page that is not in memory is told from one that is`() throws {
    let fixture = try TransferFixture(in: Self.directory)
    try fixture.write("a", Self.bytes)
    let file = try #require(try fixture.root.open("a"))
    #expect(file.isInMemory(at: 7 * Int64(mebibyte)))
    try Self.forget("a", in: fixture)
    // A look at an absent page makes the kernel read ahead, so only the first look tells.
    try blockUntil("a page is absent") {
      file.advise(.dontNeed(0..<Int64(Self.bytes.count)))
      return !file.isInMemory(at: 7 * Int64(mebibyte))
    }
    #expect(!file.isInMemory(at: Int64(Self.bytes.count)))
  }

  @Test func `parts that were in the page cache stay there`() async throws {
    let fixture = try TransferFixture(in: Self.directory)
    try fixture.write("a", Self.bytes)
    _ = try await fixture.upload("a")
    for part in 0..<3 {
      #expect(try Self.isCached("a", at: part * 5 * mebibyte + 2 * mebibyte, in: fixture))
    }
  }
}
