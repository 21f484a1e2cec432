import Glibc
import MirrorModel

extension TreeRoot.Entry {
  init(_ status: stat) {
    self.init(
      kind: EntryKind(mode: status.st_mode),
      stamp: FileStamp(
        device: UInt64(status.st_dev), inode: UInt64(status.st_ino), size: Int64(status.st_size),
        modified: status.st_mtim.nanoseconds, changed: status.st_ctim.nanoseconds,
        links: UInt64(status.st_nlink)))
  }
}

extension EntryKind {
  /// The type in getdents64(2) and readdir(3), which needs no stat(2); nil if the filesystem gives none.
  init?(directoryType: UInt8) {
    switch Int(directoryType) {
    case Int(DT_REG): self = .file
    case Int(DT_DIR): self = .directory
    case Int(DT_LNK): self = .symbolicLink
    case Int(DT_UNKNOWN): return nil
    default: self = .special
    }
  }

  init(mode: mode_t) {
    switch mode & S_IFMT {
    case S_IFREG: self = .file
    case S_IFDIR: self = .directory
    case S_IFLNK: self = .symbolicLink
    default: self = .special
    }
  }
}

extension timespec {
  /// Nanoseconds since 1970, which 64 bits hold until the year 2262. A filesystem may hold any time, so an
  /// overflow must not trap.
  fileprivate var nanoseconds: Int64 {
    let (product, overflow) = Int64(tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return tv_sec < 0 ? .min : .max }
    return product &+ Int64(tv_nsec)
  }
}
