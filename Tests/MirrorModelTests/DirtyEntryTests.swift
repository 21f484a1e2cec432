import TestSupport
import Testing

@testable import MirrorModel

/// What is known of a dirty path, where no script can say it.
@Suite struct DirtyEntryTests {
  private static let start = Instant(nanoseconds: 0)
  private var dirty = DirtySet()

  /// - Returns: what is known of the new name, after a pass brought back `entry` and its file was renamed.
  private func renamed(_ entry: DirtyEntry) -> DirtyEntry? {
    var dirty = dirty
    dirty.giveBack(.init(entries: ["old": entry]), at: Self.start)
    dirty.note(.renamed(from: "old", to: "new"), at: Self.start + .seconds(1))
    return dirty.entries["new"]
  }

  @Test(arguments: [DirtyEntry.Purpose.keepForHeir, .undecodable, .delete(.change)])
  func `a renamed file holds markers whatever its old name was for`(purpose: DirtyEntry.Purpose) {
    let entry = renamed(DirtyEntry(purpose, at: Self.start))
    #expect(entry?.purpose == .change)
    #expect(entry?.holdsMarkers == true)
  }

  @Test(arguments: [
    (DirtyEntry.Purpose.recheck, true), (.delete(.recheck), true), (.change, false),
    (.delete(.change), false),
  ])
  func `a late rename copies the file where nothing but a look was due`(
    purpose: DirtyEntry.Purpose, isCopy: Bool
  ) {
    #expect(renamed(DirtyEntry(purpose, at: Self.start))?.renamedFrom == (isCopy ? "old" : nil))
  }

  @Test(arguments: [
    (DirtyEntry.Purpose.change, DirtyEntry.Purpose.delete(.change)), (.keepForHeir, .delete(.change)),
    (.recheck, .delete(.recheck)), (.delete(.change), .delete(.change)),
    (.delete(.recheck), .delete(.recheck)),
    (.undecodable, .undecodable),
  ])
  func `an absent file leaves its delete`(before: DirtyEntry.Purpose, after: DirtyEntry.Purpose) {
    var purpose = before
    purpose.noteAbsence()
    #expect(purpose == after)
  }

  @Test func `a reported write ends the search for a writer that a pass found`() {
    var writer = DirtyEntry.Writer.found(at: Self.start)
    writer.noteProbe(at: Self.start + .seconds(2))
    #expect(writer == .open(since: Self.start, .found(probed: Self.start + .seconds(2))))
    writer.noteWrite(at: Self.start + .seconds(3))
    #expect(writer == .open(since: Self.start, .reported(probed: Self.start + .seconds(2))))
    writer.noteWrite(at: Self.start + .seconds(4))
    #expect(writer == .open(since: Self.start, .reported(probed: Self.start + .seconds(2))))
  }

  @Test func `a writer of another name was not looked for under this one`() {
    let found = DirtyEntry.Writer.found(at: Self.start)
    #expect(found.underAnotherName == .open(since: Self.start, .reported(probed: nil)))
    #expect(DirtyEntry.Writer.closed.underAnotherName == .closed)
  }
}
