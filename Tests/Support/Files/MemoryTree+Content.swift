import Glibc
import SystemPackage

// What a file holds, and what stat(2) tells of it.
extension MemoryTree {
  mutating func write(_ bytes: some Collection<UInt8>, to inode: UInt64, at offset: Int) throws(Errno) {
    let now = stamp()
    try change(inode) { node in
      if node.bytes.count < offset { node.bytes += [UInt8](repeating: 0, count: offset - node.bytes.count) }
      let end = min(node.bytes.count, offset + bytes.count)
      node.bytes.replaceSubrange(offset..<end, with: bytes)
      (node.modified, node.changed) = (now, now)
    }
  }

  mutating func truncate(_ inode: UInt64, to byteCount: Int) throws(Errno) {
    let now = stamp()
    try change(inode) { node in
      let missing = byteCount - node.bytes.count
      if missing > 0 {
        node.bytes += [UInt8](repeating: 0, count: missing)
      } else {
        node.bytes.removeLast(-missing)
      }
      (node.modified, node.changed) = (now, now)
    }
  }

  mutating func setModified(_ inode: UInt64, to nanoseconds: Int64) throws(Errno) {
    let now = stamp()
    try change(inode) { node in
      node.modified = nanoseconds
      node.changed = now
    }
  }

  mutating func changeMode(_ inode: UInt64, _ mode: mode_t) throws(Errno) {
    let now = stamp()
    try change(inode) { node in
      node.mode = node.kind | mode
      node.changed = now
    }
  }

  func status(_ inode: UInt64) throws(Errno) -> stat {
    let node = try node(inode)
    var status = stat()
    status.st_dev = 1
    status.st_ino = .init(inode)
    status.st_mode = node.mode
    status.st_nlink = .init(node.links)
    status.st_uid = geteuid()
    status.st_size = node.bytes.count
    status.st_blocks = (node.bytes.count + 511) / 512
    status.st_mtim = Self.time(node.modified)
    status.st_ctim = Self.time(node.changed)
    return status
  }

  private static func time(_ nanoseconds: Int64) -> timespec {
    timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
  }
}
