import Glibc
import Synchronization
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

  /// - Parameter mountinfo: lines of `ID PARENT DEVICE ROOT POINT OPTIONS [OPTIONAL…] - TYPE SOURCE OPTIONS`.
  init(mountinfo: String) { self.init(mountinfo: Array(mountinfo.utf8)) }

  fileprivate init(mountinfo: [UInt8]) {
    mounts = mountinfo.split(separator: UInt8(ascii: "\n")).compactMap { line in
      let fields = line.split(separator: UInt8(ascii: " "))
      guard fields.count > 6, let separator = fields.firstIndex(of: [UInt8(ascii: "-")]),
        separator + 1 < fields.count
      else { return nil }
      return Mount(
        point: FilePath(Self.unescaped(fields[4])),
        type: String(decoding: fields[separator + 1], as: UTF8.self),
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
  private static func unescaped(_ field: ArraySlice<UInt8>) -> String {
    guard field.contains(UInt8(ascii: "\\")) else { return String(decoding: field, as: UTF8.self) }
    var bytes: [UInt8] = []
    var rest = field
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

/// The kernel's table of mounts, held open. It belongs to the mount namespace in which it was opened.
///
/// poll(2) shows whether any mount has changed since the last look (proc(5), /proc/pid/mountinfo). So a look without
/// changes is one system call, whatever the number of mounts.
struct MountFile: Sendable {
  private let descriptor: any Descriptor

  /// - Throws: if there is no /proc.
  init(in fileSystem: any FileSystem = KernelFileSystem()) throws(Errno) {
    descriptor = try fileSystem.open("/proc/self/mountinfo", O_RDONLY)
  }

  func read() throws(Errno) -> MountTable {
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
    return MountTable(mountinfo: text)
  }

  /// Whether the table has changed since the last call, or since it was opened.
  func takeChange() -> Bool { descriptor.hasPriorityEvent() }
}

/// Whether a filesystem whose answers may come from another machine is mounted below a root.
final class ForeignMounts: Sendable {
  private struct Known {
    let file: MountFile
    let exist: Bool
  }

  private let known = Mutex<Known?>(nil)

  /// - Throws: if there is no /proc.
  func exist(below root: TreeRoot) throws(Errno) -> Bool {
    let result = known.withLock { known -> Result<Bool, Errno> in
      do throws(Errno) {
        if let known, !known.file.takeChange() { return .success(known.exist) }
        let file = if let known { known.file } else { try MountFile(in: root.fileSystem) }
        // Nothing is known if the read fails.
        known = nil
        let exist = try file.read().hasForeignMount(below: root.fileSystem.canonicalPath(root.path))
        known = Known(file: file, exist: exist)
        return .success(exist)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }
}

extension TreeRoot {
  /// Whether no stat below the root can wait for another machine: no link is followed, and no foreign
  /// filesystem is mounted there now.
  package var isLocalThroughout: Bool {
    guard isLocal, symlinks != .follow else { return false }
    do {
      return try !foreignMounts.exist(below: self)
    } catch {
      return false
    }
  }
}
