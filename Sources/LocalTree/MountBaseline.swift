import MirrorModel

/// A filesystem that is mounted somewhere below a root.
package struct Mount: Sendable, Hashable {
  /// The kernel's number for this mounting. Before Linux 6.8 a later mount may get the number again.
  package var id: UInt64
  /// The device's numbers; major is 0 where the filesystem has no device: tmpfs, NFS, FUSE, overlayfs.
  package var major: UInt32
  package var minor: UInt32
  /// Inode and birth, in nanoseconds, of the mount's first directory. A filesystem that keeps no birth has 0.
  package var inode: UInt64
  package var birth: Int64
  /// Type and source, as /proc/self/mountinfo has them.
  package var filesystem: String

  package init(
    id: UInt64, major: UInt32, minor: UInt32, inode: UInt64, birth: Int64, filesystem: String
  ) {
    self.id = id
    self.major = major
    self.minor = minor
    self.inode = inode
    self.birth = birth
    self.filesystem = filesystem
  }

  /// Numbers from here on are given once (linux/fs/namespace.c, MNT_UNIQUE_ID_OFFSET).
  static let firstUniqueID: UInt64 = 1 << 31

  /// Whether both show the same directory of the same filesystem, however often it was unmounted in between.
  ///
  /// The device's number alone does not say so: the kernel gives the number of an unmounted tmpfs to the next one, and the
  /// first directory of each has inode 1. Their births differ.
  package func showsTheSame(as other: Mount) -> Bool {
    if id == other.id, id >= Self.firstUniqueID { return true }
    guard major == other.major, minor == other.minor, inode == other.inode, birth == other.birth,
      filesystem == other.filesystem
    else { return false }
    return birth != 0 || major != 0 || id == other.id
  }
}

/// What was mounted where below a root when the files there were published: the rule that keeps an unmount, or a mount over
/// files, from passing for their deletion.
///
/// It holds mount points only, not the directories on them.
package struct MountBaseline: Sendable {
  package private(set) var expected: [RelativePath: Mount]

  /// - Parameter expected: what is mounted at entry.
  package init(_ expected: [RelativePath: Mount]) {
    self.expected = expected
  }

  /// The places below which files may be out of sight, though nobody deleted them: another filesystem is mounted there now
  /// than was expected, or none is, or one is where none was.
  package func altered(by present: [RelativePath: Mount]) -> Set<RelativePath> {
    if expected.isEmpty, present.isEmpty { return [] }
    var gone = expected.filter { place, mount in !(present[place]?.showsTheSame(as: mount) ?? false) }
    var come = present.filter { place, mount in !(expected[place]?.showsTheSame(as: mount) ?? false) }
    // A directory above a mount was renamed: the mount is elsewhere, and its files went along by that rename.
    for (place, mount) in gone where present[place] == nil {
      guard let now = come.first(where: { expected[$0.key] == nil && $0.value == mount })?.key else {
        continue
      }
      gone[place] = nil
      come[now] = nil
    }
    return Set(gone.keys).union(come.keys)
  }

  /// Takes what is mounted at a place now for what belongs there; nil where nothing is.
  ///
  /// To be called when every object below the place has a file below it, so that none is out of sight.
  package mutating func accept(_ mount: Mount?, at place: RelativePath) {
    expected[place] = mount
  }
}

extension Set<RelativePath> {
  /// The outermost of these places that the path lies in.
  package func outermost(around path: RelativePath) -> RelativePath? {
    if isEmpty { return nil }
    return path.ancestors.last(where: contains) ?? (contains(path) ? path : nil)
  }
}
