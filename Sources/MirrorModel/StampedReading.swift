/// How a file's content was read. This decides whether the file's stamp may stand for that content in a later
/// run.
///
/// The claim to be proved is: as long as the file has this stamp, it has the content that was read. As in
/// git's index (technical documentation, racy-git), a stamp proves this only if every later write changes it.
package struct StampedReading: Sendable, Hashable {
  /// How reliably a filesystem changes ctime with each write.
  package enum Keeping: Sendable, Hashable {
    /// Each write(2), and each first store to a clean mapped page, changes ctime. The kernel reports whether
    /// a process has the file open for writing.
    case certain
    /// The same, but some writers are not reported: those on other machines, and (overlayfs) those that have
    /// mapped the file below.
    case unseenWriters
    /// Not reliable: filesystems in memory do not change ctime for mapped stores, and FUSE filesystems may
    /// have no ctime of their own.
    case none
  }

  /// What the kernel reported of writers before and after the reading.
  package enum Writers: Sendable, Hashable {
    /// The kernel reported both times that no process had the file open or mapped for writing.
    case absent
    /// The kernel could not report it.
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

  /// Two of the kernel's longest ticks (HZ=100). File times change in steps of a tick, up to 10 ms, so a
  /// write soon after another one may leave the same stamp. One tick would suffice if the clock ran evenly,
  /// but clocks are slewed and read late.
  package static let tickSteps: Int64 = 20_000_000

  /// The longest time step of a filesystem without fractions of a second (FAT: 2 s), plus one second.
  package static let wholeSecondSteps: Int64 = 3_000_000_000

  /// Twice the 30 s after which the kernel writes back dirty pages (`vm.dirty_expire_centisecs`). A store
  /// through a mapping changes no stamp while its page is dirty. So if such a writer may go unreported, the
  /// file must not have changed for so long. It also exceeds the clock differences between machines of a
  /// cluster.
  package static let writeBack: Int64 = 60_000_000_000

  /// Whether the stamp stands for the content from now on.
  ///
  /// Only ctime counts: programs set mtime as they like, and every write changes ctime too. If ctime is later
  /// than the reading, the clock was set back and may reach that instant again.
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
