import LocalTree
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

@Suite struct EntryObjectsTests {
  private let object = RemoteObject(byteCount: 1, etag: "e", lastModified: 7_900_000_000)

  @Test(.promise("DEL-19"))
  func `an object is one of the entry if name, ETag, size and date are the same`() {
    let objects = EntryObjects()
    for index in 0..<40_000 { objects.note(RelativePath("d/\(index)"), object) }
    #expect(!objects.contains("d/7", object))
    objects.complete()
    for index in 0..<40_000 { #expect(objects.contains(RelativePath("d/\(index)"), object)) }
    #expect(!objects.contains("d/40000", object))
    for change in [\RemoteObject.byteCount, \.lastModified] {
      var other = object
      other[keyPath: change] += 1_000_000_000
      #expect(!objects.contains("d/7", other))
    }
    var other = object
    other.etag = "f"
    #expect(!objects.contains("d/7", other))
  }

  @Test func `a name of the entry is known even if its object has changed`() {
    let objects = EntryObjects()
    for index in 0..<40_000 { objects.note(RelativePath("d/\(index)"), object) }
    // Before the listing's end nothing is known of any name.
    #expect(objects.mayHaveHeld("d/40000"))
    objects.complete()
    for index in 0..<40_000 { #expect(objects.mayHaveHeld(RelativePath("d/\(index)"))) }
    // 32 bits of each name: one of these in a hundred thousand may be taken for one of those.
    #expect((40_000..<41_000).count { objects.mayHaveHeld(RelativePath("d/\($0)")) } <= 1)
  }

  @Test func `fractions of a second do not count, because HeadObject returns none`() {
    let objects = EntryObjects()
    objects.note("a", object)
    objects.complete()
    var head = object
    head.lastModified = 7_000_000_000
    #expect(objects.contains("a", head))
  }

  @Test func `after one complete listing, later listings add nothing`() {
    let objects = EntryObjects()
    objects.complete()
    objects.note("a", object)
    objects.complete()
    #expect(!objects.contains("a", object))
  }

  @Test(.promise("PROP-6"))
  func `two directories, and two machines, have marks of their own`() throws {
    let directory = try TemporaryDirectory()
    for name in ["a", "b"] { try directory.makeDirectory(name) }
    let one = try TreeRoot(path: FilePath(directory["a"])).identity
    let other = try TreeRoot(path: FilePath(directory["b"])).identity
    #expect(WriterMark(root: one) == WriterMark(root: one))
    #expect(WriterMark(root: one) != WriterMark(root: other))
    #expect(WriterMark(boot: "1", root: one) != WriterMark(boot: "2", root: one))
    #expect(WriterMark(root: one).text.utf8.count == WriterMark.digitCount)
  }
}
