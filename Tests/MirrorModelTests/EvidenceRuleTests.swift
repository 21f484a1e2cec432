import MirrorModel
import TestSupport
import Testing

/// What may stand for a file's content in a later run, and what is proof then.
@Suite struct EvidenceRuleTests {
  private static let second: Int64 = 1_000_000_000
  private static let millisecond: Int64 = 1_000_000
  /// A fraction of a second, as filesystems with fine times have it.
  private static let written = 1_700_000_000 * second + 123_456_789
  private static let stamp = FileStamp(device: 1, inode: 2, size: 3, modified: written, changed: written)
  private static let object = RemoteObject(byteCount: 3, etag: "e", lastModified: written)

  private static func reading(
    after age: Int64, _ stamp: FileStamp = stamp, _ keeping: StampedReading.Keeping = .certain,
    _ writers: StampedReading.Writers = .absent
  ) -> StampedReading {
    StampedReading(
      stamp: stamp, began: stamp.changed.addingSaturated(age), keeping: keeping, writers: writers)
  }

  // MARK: Noting

  /// A further write in the same step of the clock leaves the same stamp, as in git's racily clean entries.
  @Test(
    .promise("CHG-15"),
    arguments: [(0, false), (4, false), (10, false), (19, false), (20, true), (60_000, true)])
  func `a stamp that is younger than two ticks of the kernel proves nothing`(age: Int64, lasts: Bool) {
    #expect(Self.reading(after: age * Self.millisecond).lasts == lasts)
  }

  @Test(.promise("CHG-15"), arguments: [(20, false), (2_999, false), (3_000, true)])
  func `a filesystem that keeps whole seconds has longer steps`(age: Int64, lasts: Bool) {
    var coarse = Self.stamp
    coarse.changed = 1_700_000_000 * Self.second
    #expect(Self.reading(after: age * Self.millisecond, coarse).lasts == lasts)
  }

  /// A store to a mapped page moves no stamp while the page is dirty.
  @Test(
    .promise("CHG-15"),
    arguments: [
      (StampedReading.Keeping.certain, StampedReading.Writers.untold), (.unseenWriters, .untold),
      (.unseenWriters, .absent),
    ])
  func `where a mapping may be unseen the file must have rested until its pages are written back`(
    keeping: StampedReading.Keeping, writers: StampedReading.Writers
  ) {
    #expect(!Self.reading(after: 59 * Self.second, Self.stamp, keeping, writers).lasts)
    #expect(Self.reading(after: 60 * Self.second, Self.stamp, keeping, writers).lasts)
  }

  /// tmpfs moves no stamp for mapped stores; sshfs has mtime for ctime.
  @Test(.promise("CHG-15"), arguments: [0, 3600, .max])
  func `filesystems whose ctime is not to be relied on have no evidence`(age: Int64) {
    #expect(!Self.reading(after: age, Self.stamp, .none).lasts)
  }

  @Test(.promise("CHG-15"))
  func `a file that is later than the clock is not noted, for the clock may come to its time again`() {
    #expect(!Self.reading(after: -1).lasts)
    #expect(!Self.reading(after: -3600 * Self.second).lasts)
  }

  @Test func `mtime is anybody's, and does not matter to the age`() {
    var dated = Self.stamp
    dated.modified = .max
    #expect(Self.reading(after: Self.second, dated).lasts)
  }

  // MARK: Believing

  private static let entry = EvidenceEntry(etag: "e", stamp: .init(stamp))

  @Test(.promise("CHG-14"))
  func `the remembered stamp beside the remembered object is equal`() {
    #expect(Self.entry.proves(Self.stamp, equalTo: Self.object))
    #expect(Comparison().isSettled(Self.stamp, Self.object, by: Self.entry))
    #expect(!Comparison().isSettled(Self.stamp, Self.object, by: nil))
  }

  /// Device numbers are handed out anew at each mount; hard links come and go.
  @Test func `device and links do not matter`() {
    var other = Self.stamp
    (other.device, other.links) = (7, 2)
    #expect(Self.entry.proves(other, equalTo: Self.object))
  }

  private static func stamp(inode: UInt64 = 2, size: Int64 = 3, modified: Int64 = 0, changed: Int64 = 0)
    -> FileStamp
  {
    FileStamp(
      device: 1, inode: inode, size: size, modified: written + modified, changed: written + changed)
  }

  @Test(
    .promise("CHG-14"),
    arguments: [
      // An edit in place of equal size, whose mtime was set back.
      stamp(changed: 1),
      // The inode number of a deleted file, given to another one.
      stamp(changed: 60 * second),
      // Replaced by a rename, or copied up by overlayfs.
      stamp(inode: 3),
      stamp(modified: -1),
      stamp(size: 4),
    ])
  func `a stamp that differs in anything proves nothing`(other: FileStamp) {
    #expect(!Self.entry.proves(other, equalTo: Self.object))
  }

  @Test(
    .promise("CHG-14"),
    arguments: [
      RemoteObject(byteCount: 3, etag: "f", lastModified: written),
      RemoteObject(byteCount: 3, etag: "", lastModified: written),
      RemoteObject(byteCount: 4, etag: "e", lastModified: written),
    ])
  func `an object that is another one proves nothing`(other: RemoteObject) {
    #expect(!Self.entry.proves(Self.stamp, equalTo: other))
  }

  @Test func `an object without a tag is never known again`() {
    let untagged = RemoteObject(byteCount: 3, etag: "", lastModified: 0)
    #expect(!EvidenceEntry(etag: "", stamp: .init(Self.stamp)).proves(Self.stamp, equalTo: untagged))
  }

  @Test func `an entry without a stamp only says that a file was here`() {
    let entry = EvidenceEntry(etag: "e")
    #expect(!entry.proves(Self.stamp, equalTo: Self.object))
    #expect(entry.isOf(Self.object))
  }

  @Test(.promise("CHG-14"), arguments: ComparePolicy.allCases)
  func `only the standard comparison trusts evidence`(policy: ComparePolicy) {
    #expect(
      Comparison(policy: policy).isSettled(Self.stamp, Self.object, by: Self.entry) == (policy == .standard))
  }

  @Test(.promise("CHG-15"), arguments: [(0, true), (1, true), (-1, true), (-2, false), (-3600, false)])
  func `evidence of a time that has not come is not believed`(now: Int64, isBelieved: Bool) {
    #expect(
      EvidenceEntry.isBelieved(notedBy: Self.written, at: Self.written + now * Self.second) == isBelieved)
  }
}
