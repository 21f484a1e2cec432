import CLinux
import Glibc
import SystemPackage

/// The mounts as this process sees them: proc(5), /proc/self/mountinfo.
struct MountTable: Sendable {
  struct Mount: Sendable, Hashable {
    var point: FilePath
    /// The name of the filesystem, such as `ext4` or `nfs4`.
    var type: String
    /// The source of the filesystem: a device's path, `server:/export`, or any word.
    var source = ""
  }

  let mounts: [Mount]

  /// - Throws: if there is no /proc.
  init() throws(Errno) {
    try self.init(from: Self.open())
  }

  /// Opens the kernel's table. The file belongs to the mount namespace in which it was opened.
  static func open() throws(Errno) -> OpenDescriptor {
    OpenDescriptor(
      adopting: try uninterrupted {
        s3m_open_at(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0)
      })
  }

  init(from descriptor: OpenDescriptor) throws(Errno) {
    var text: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    var count = 0
    repeat {
      // SAFETY: the kernel writes only within the array, during the call.
      count = try piece.withUnsafeMutableBufferPointer { buffer throws(Errno) in
        try descriptor.read(at: Int64(text.count), into: UnsafeMutableRawBufferPointer(buffer))
      }
      text += piece[..<count]
    } while count == piece.count
    self.init(mountinfo: String(decoding: text, as: UTF8.self))
  }

  /// - Parameter mountinfo: lines of `ID PARENT DEVICE ROOT POINT OPTIONS [OPTIONAL…] - TYPE SOURCE OPTIONS`.
  init(mountinfo: String) {
    mounts = mountinfo.split(separator: "\n").compactMap { line in
      let fields = line.split(separator: " ")
      guard fields.count > 6, let separator = fields.firstIndex(of: "-"), separator + 1 < fields.count else {
        return nil
      }
      return Mount(
        point: FilePath(Self.unescaped(fields[4])), type: String(fields[separator + 1]),
        source: separator + 2 < fields.count ? Self.unescaped(fields[separator + 2]) : "")
    }
  }

  /// Whether a filesystem is mounted below the directory that is unknown, or whose answers may come from
  /// another machine.
  func hasForeignMount(below directory: FilePath) -> Bool {
    mounts.contains { mount in
      mount.point != directory && mount.point.starts(with: directory) && !Self.local.contains(mount.type)
    }
  }

  /// The filesystems that `LeaseTestimony` counts as local, by name, and those without users' files.
  private static let local: Set<String> = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "tmpfs", "ramfs", "overlay",
    "devtmpfs",
    "devpts", "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "hugetlbfs", "securityfs", "debugfs", "tracefs",
    "squashfs",
  ]

  /// Space, tab, newline and backslash are written as three octal digits.
  private static func unescaped(_ field: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(field.utf8)[...]
    while let byte = rest.popFirst() {
      let digits = rest.prefix(3)
      if byte == UInt8(ascii: "\\"), digits.count == 3,
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension TreeRoot {
  /// Whether no stat below the root can wait for another machine: no link is followed, and no foreign
  /// filesystem is mounted there now.
  package var isLocalThroughout: Bool {
    guard isLocal, symlinks != .follow else { return false }
    do {
      return try !MountTable().hasForeignMount(below: canonicalPath(path))
    } catch {
      return false
    }
  }
}
