import CLinux
import Glibc
import MirrorModel
import SystemPackage

/// What a read lease says of writers on a filesystem.
enum LeaseTestimony {
  /// Granted means no writer, refused means one.
  case whole
  /// Refused means a writer; granted says nothing of mappings: on overlayfs they belong to the file below.
  case refusalOnly
  /// Writers may be on other machines, or (NFSv4) a refusal only means that the server gave no delegation.
  case worthless

  /// Only filesystems known to keep all writers in this kernel are trusted; statfs(2) and linux/magic.h have the numbers.
  fileprivate static let local: Set<UInt32> = StampTestimony.inMemory.union([
    0xEF53,  // ext2, ext3, ext4
    0x5846_5342,  // xfs
    0x9123_683E,  // btrfs
    0xF2F5_2010,  // f2fs
    0xCA45_1A4E,  // bcachefs
    0x2FC1_2FC1,  // zfs
  ])

  init(of descriptor: OpenDescriptor) throws(Errno) {
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

/// What a file's stamp says of stores through mappings.
enum StampTestimony {
  /// The first store to a clean page, or through a new mapping, moves it.
  case everyStore
  /// Pages are mapped writable at once, so that a store after a read moves nothing.
  case notEveryStore

  /// Filesystems whose files are nothing but pages in memory; linux/magic.h has the numbers.
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

extension OpenDescriptor {
  /// fstatfs(2), `f_type`.
  func filesystemMagic() throws(Errno) -> UInt32 {
    var filesystem = statfs()
    _ = try uninterrupted { s3m_fstatfs(raw, &filesystem) }
    return UInt32(truncatingIfNeeded: filesystem.f_type)
  }
}
