import CLinux

/// A filesystem's type by its magic number, and whether inotify reports all of its writers.
///
/// inotify(7), Limitations: inotify reports only changes through this kernel's filesystem interface, so
/// changes by another host are not reported. Local writers are reported on these filesystems too, so they are
/// watched.
package struct FilesystemKind: Sendable, Hashable {
  /// `f_type` of statfs(2), its low 32 bits, because some values are negative in a 32-bit long.
  package let type: UInt32
  /// `f_fsid`: equal in all directories of one filesystem; 0 if the filesystem has none.
  package let identifier: UInt64

  package init(type: UInt32) {
    self.type = type
    identifier = 0
  }

  /// Nil if fstatfs(2) fails.
  package init?(descriptor: Int32) {
    var result = statfs()
    guard s3m_fstatfs(descriptor, &result) == 0 else { return nil }
    self.type = UInt32(truncatingIfNeeded: result.f_type)
    let halves = result.f_fsid.__val
    identifier = UInt64(UInt32(bitPattern: halves.0)) << 32 | UInt64(UInt32(bitPattern: halves.1))
  }

  /// The name of a filesystem that other machines may write; nil for one that only this kernel writes.
  package var remoteName: String? { Self.remoteNames[type] }

  /// From linux/magic.h and statfs(2); types outside the kernel's tree from GNU coreutils' stat.c.
  private static let remoteNames: [UInt32: String] = [
    0x6969: "nfs",
    0x517B: "smb",
    0xFE53_4D42: "smb2",
    0xFF53_4D42: "cifs",
    0x564C: "ncp",
    0x6573_5546: "fuse",
    0x0102_1997: "9p",
    0x0BD0_0BD0: "lustre",
    0x00C3_6400: "ceph",
    0x5346_414F: "afs",
    0x6B41_4653: "kafs",
    0x7375_7245: "coda",
    0x4750_4653: "gpfs",
    0x1983_0326: "beegfs",
    0x7461_636F: "ocfs2",
    0x0116_1970: "gfs2",
    0xAAD7_AAEA: "panfs",
    0x2003_0528: "orangefs",
    0xBEEF_DEAD: "snfs",
    0x6163_6673: "acfs",
    0x786F_4256: "vboxsf",
    0xBACB_ACBC: "vmhgfs",
    0x7C7C_6673: "prl_fs",
  ]
}
