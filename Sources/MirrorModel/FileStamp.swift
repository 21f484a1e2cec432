/// A file's identity and version at one moment, as stat(2) reports it.
///
/// Equal stamps before and after a read are necessary for publication. They prove nothing while a process
/// writes: one large write(2), or a store to a mapped page that is already dirty, changes none of these
/// fields (PUB-4).
package struct FileStamp: Sendable, Hashable {
  package var device: UInt64
  package var inode: UInt64
  /// Bytes.
  package var size: Int64
  /// Nanoseconds since 1970-01-01 UTC.
  package var modified: Int64
  /// Nanoseconds since 1970-01-01 UTC: the last change of content or metadata.
  package var changed: Int64
  /// Number of hard links.
  package var links: UInt64

  package init(device: UInt64, inode: UInt64, size: Int64, modified: Int64, changed: Int64, links: UInt64 = 1)
  {
    self.device = device
    self.inode = inode
    self.size = size
    self.modified = modified
    self.changed = changed
    self.links = links
  }

  /// Whether two stamps describe the same version of the same file; the number of links does not matter.
  package func isSameVersion(as other: FileStamp) -> Bool {
    device == other.device && inode == other.inode && size == other.size && modified == other.modified
      && changed == other.changed
  }

  /// How long until a further write is sure to change the stamp. `wallClock` is in nanoseconds since
  /// 1970-01-01 UTC.
  ///
  /// File times advance with the kernel's tick (up to 10 ms at HZ=100), so two writes within one tick leave
  /// the same stamp. A stamp is trusted when it is older than two ticks.
  package func timeUntilTrusted(at wallClock: Int64) -> Duration {
    let age = wallClock.subtractingSaturated(max(modified, changed))
    let steps: Int64 = 20_000_000
    return (0..<steps).contains(age) ? .nanoseconds(steps - age) : .zero
  }
}

/// What exists at a path, as lstat(2) reports it.
package enum EntryKind: Sendable, Hashable {
  case file
  case directory
  case symbolicLink
  /// A socket, FIFO or device. Always skipped and counted.
  case special
}
