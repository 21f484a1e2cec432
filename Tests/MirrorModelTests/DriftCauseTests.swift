import MirrorModel
import TestSupport
import Testing

/// Whose change a comparison has found.
@Suite struct DriftCauseTests {
  struct Find: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var known: FileStamp?
    var found: FileStamp?
    var device: UInt64 = 1
    var cause: DriftCause
  }

  private static func stamp(device: UInt64 = 1, changed: Int64, links: UInt64 = 1) -> FileStamp {
    FileStamp(device: device, inode: 7, size: 1, modified: 1, changed: changed, links: links)
  }

  @Test(
    .promise("SAY-5"),
    arguments: [
      Find(
        testDescription: "another writer deleted the object", known: stamp(changed: 200),
        found: stamp(changed: 200), cause: .unchangedHere),
      Find(
        testDescription: "another writer deleted the object of a file from before",
        found: stamp(changed: 50), cause: .unchangedHere),
      Find(testDescription: "another writer made an object", cause: .unchangedHere),
      Find(
        testDescription: "the watch missed a write", known: stamp(changed: 200), found: stamp(changed: 300),
        cause: .missedEvent),
      Find(testDescription: "the watch missed a new file", found: stamp(changed: 300), cause: .missedEvent),
      Find(testDescription: "the watch missed a delete", known: stamp(changed: 200), cause: .missedEvent),
      Find(
        testDescription: "a write under another name", known: stamp(changed: 200, links: 2),
        found: stamp(changed: 300, links: 2), cause: .furtherName),
      Find(
        testDescription: "an unmounted filesystem uncovers an older file",
        known: stamp(device: 2, changed: 200),
        found: stamp(changed: 50), cause: .otherMount),
      Find(
        testDescription: "an unmounted filesystem took the file along", known: stamp(device: 2, changed: 200),
        cause: .otherMount),
      Find(
        testDescription: "a mount covers the file", known: stamp(changed: 200),
        found: stamp(device: 2, changed: 300), cause: .otherMount),
    ])
  func `only a change that the watch missed is a fault of this program`(_ find: Find) {
    #expect(
      DriftCause(known: find.known, found: find.found, device: find.device, start: 100) == find.cause)
  }
}
