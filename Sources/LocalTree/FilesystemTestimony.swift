import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// What a read lease proves about writers on a filesystem.
enum LeaseTestimony {
  /// A granted lease means no writer, a refused lease means a writer.
  case whole
  /// A refused lease means a writer. A granted lease proves nothing about mappings: on overlayfs a mapping
  /// belongs to the file of the lower layer.
  case refusalOnly
  /// A lease proves nothing: writers may be on other machines, or (NFSv4) the server refused a delegation.
  case worthless

  /// Filesystems that are known to have all writers in this kernel; the numbers are from statfs(2) and
  /// linux/magic.h. No other filesystem is trusted.
  fileprivate static let local: Set<UInt32> = StampTestimony.inMemory.union([
    0xEF53,  // ext2, ext3, ext4
    0x5846_5342,  // xfs
    0x9123_683E,  // btrfs
    0xF2F5_2010,  // f2fs
    0xCA45_1A4E,  // bcachefs
    0x2FC1_2FC1,  // zfs
  ])

  init(of descriptor: any Descriptor) throws(Errno) {
    self.init(magic: try descriptor.filesystemMagic())
  }

  init(magic: UInt32) {
    if Self.local.contains(magic) {
      self = .whole
    } else {
      self = magic == UInt32(OVERLAYFS_SUPER_MAGIC) ? .refusalOnly : .worthless
    }
  }
}

/// What a file's stamp shows about stores through mappings.
enum StampTestimony {
  /// The first store to a clean page, or through a new mapping, changes the stamp.
  case everyStore
  /// Pages are mapped writable at once, so a store after a read leaves the stamp unchanged.
  case notEveryStore

  /// Filesystems whose files exist only as pages in memory; the numbers are from linux/magic.h.
  fileprivate static let inMemory: Set<UInt32> = [
    0x0102_1994,  // tmpfs
    0x8584_58F6,  // ramfs
  ]

  init(magic: UInt32) {
    self = Self.inMemory.contains(magic) ? .notEveryStore : .everyStore
  }
}

extension StampedReading.Keeping {
  /// Filesystems that other machines write to and whose servers move ctime with each write; linux/magic.h and GNU coreutils' stat.c
  /// have the numbers. Of FUSE nothing is known: sshfs, for one, gives mtime for ctime, and programs set that.
  private static let shared: Set<UInt32> = [
    0x6969,  // nfs
    0x0BD0_0BD0,  // lustre
    0x00C3_6400,  // ceph
    0x4750_4653,  // gpfs
    0x1983_0326,  // beegfs
    0x7461_636F,  // ocfs2
    0x0116_1970,  // gfs2
    UInt32(OVERLAYFS_SUPER_MAGIC),
  ]

  init(magic: UInt32) {
    if StampTestimony.inMemory.contains(magic) {
      self = .none
    } else if LeaseTestimony.local.contains(magic) {
      self = .certain
    } else {
      self = Self.shared.contains(magic) ? .unseenWriters : .none
    }
  }
}
