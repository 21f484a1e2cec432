import MirrorModel

/// A filesystem that is mounted below a root.
package struct Mount: Sendable, Hashable {
  /// The kernel's number of this mount. Before Linux 6.8 a later mount may get the same number.
  package var id: UInt64
  /// The device's numbers; major is 0 for a filesystem without a device: tmpfs, NFS, FUSE, overlayfs.
  package var major: UInt32
  package var minor: UInt32
  /// Inode and birth time (in nanoseconds) of the mount's first directory. The birth is 0 if the filesystem
  /// stores none.
  package var inode: UInt64
  package var birth: Int64
  /// Type and source from /proc/self/mountinfo.
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

  /// Numbers from here on are never reused (linux/fs/namespace.c, MNT_UNIQUE_ID_OFFSET).
  static let firstUniqueID: UInt64 = 1 << 31

  /// Whether both mounts show the same directory of the same filesystem, even if it was unmounted in between.
  ///
  /// The device's number alone does not suffice: the kernel reuses the number of an unmounted tmpfs, and the
  /// first directory of every tmpfs has inode 1. But their birth times differ.
  package func showsTheSame(as other: Mount) -> Bool {
    if id == other.id, id >= Self.firstUniqueID { return true }
    guard major == other.major, minor == other.minor, inode == other.inode, birth == other.birth,
      filesystem == other.filesystem
    else { return false }
    return birth != 0 || major != 0 || id == other.id
  }
}

/// The mounts below a root at the time when the files there were published. With it, an unmount, or a mount
/// over files, does not count as their deletion.
///
/// It holds mount points only, not the directories below them.
package struct MountBaseline: Sendable {
  package private(set) var expected: [RelativePath: Mount]

  /// - Parameter expected: the mounts at entry.
  package init(_ expected: [RelativePath: Mount]) {
    self.expected = expected
  }

  /// The places below which files may be invisible although they were not deleted: another filesystem is
  /// mounted there than expected, or none is, or one is although none was.
  package func altered(by present: [RelativePath: Mount]) -> Set<RelativePath> {
    if expected.isEmpty, present.isEmpty { return [] }
    var gone = expected.filter { place, mount in !(present[place]?.showsTheSame(as: mount) ?? false) }
    var come = present.filter { place, mount in !(expected[place]?.showsTheSame(as: mount) ?? false) }
    // A directory above a mount was renamed: the mount has moved with its files.
    for (place, mount) in gone where present[place] == nil {
      guard let now = come.first(where: { expected[$0.key] == nil && $0.value == mount })?.key else {
        continue
      }
      gone[place] = nil
      come[now] = nil
    }
    return Set(gone.keys).union(come.keys)
  }

  /// Accepts the present mount at a place as the expected one; nil if nothing is mounted there.
  ///
  /// Call it only if every object below the place has a file below it, so that no file is invisible.
  package mutating func accept(_ mount: Mount?, at place: RelativePath) {
    expected[place] = mount
  }
}

extension Set<RelativePath> {
  /// The outermost of these places that contains the path.
  package func outermost(around path: RelativePath) -> RelativePath? {
    if isEmpty { return nil }
    return path.ancestors.last(where: contains) ?? (contains(path) ? path : nil)
  }
}
