/// How a file's content was read, as far as it decides whether the file's stamp may stand for that content in a later run.
///
/// The claim that is wanted is: as long as the file has this stamp, it has the content that was read. As in git's index (its
/// technical documentation, racy-git) a stamp proves this only if every later write moves it.
package struct StampedReading: Sendable, Hashable {
  /// What a filesystem's ctime says of writes.
  package enum Keeping: Sendable, Hashable {
    /// Each write(2), and each first store to a clean mapped page, moves it, and the kernel says whether a writer is there.
    case certain
    /// The same, but writers may be there unseen: on other machines, or (overlayfs) with a mapping of the file below.
    case unseenWriters
    /// Not to be relied on: filesystems in memory do not move it for mapped stores, and FUSE's may have none of their own.
    case none
  }

  /// What was learnt of writers, before the reading and after it.
  package enum Writers: Sendable, Hashable {
    /// The kernel said each time that nobody had the file open or mapped for writing.
    case absent
    /// The kernel could not say.
    case untold
  }

  /// The same before and after the reading.
  package var stamp: FileStamp
  /// When the reading began, after the stamp was taken: nanoseconds since 1970-01-01 UTC.
  package var began: Int64
  package var keeping: Keeping
  package var writers: Writers

  package init(stamp: FileStamp, began: Int64, keeping: Keeping, writers: Writers) {
    self.stamp = stamp
    self.began = began
    self.keeping = keeping
    self.writers = writers
  }

  /// Two of the longest ticks of a kernel (HZ=100): file times move in steps of a tick, up to 10 ms, so a write soon after another
  /// one may leave the same stamp. One step would do where the clock runs evenly; clocks are slewed and read late.
  package static let tickSteps: Int64 = 20_000_000

  /// The longest step of a filesystem that keeps no fractions of a second (FAT: 2 s), and one second more.
  package static let wholeSecondSteps: Int64 = 3_000_000_000

  /// Twice the 30 s after which the kernel writes dirty pages back (`vm.dirty_expire_centisecs`). A store through a mapping moves
  /// no stamp while its page is dirty, so where such a writer cannot be seen the file must have rested so long. It is also more
  /// than the clocks of a cluster's machines differ.
  package static let writeBack: Int64 = 60_000_000_000

  /// Whether the stamp stands for the content from now on.
  ///
  /// Only ctime counts: programs set mtime as they like, and every write moves ctime too. A ctime that is later than the reading
  /// shows that the clock was set back: it may come to that instant once more.
  package var lasts: Bool {
    let age = began.subtractingSaturated(stamp.changed)
    return age >= requiredAge
  }

  private var requiredAge: Int64 {
    switch (keeping, writers) {
    case (.none, _): .max
    case (.unseenWriters, _), (.certain, .untold): Self.writeBack
    case (.certain, .absent):
      stamp.changed % 1_000_000_000 == 0 ? Self.wholeSecondSteps : Self.tickSteps
    }
  }
}
