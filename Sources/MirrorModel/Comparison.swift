/// One object, as a listing reports it.
package struct RemoteObject: Sendable, Hashable {
  package var byteCount: Int64
  /// Without quotes.
  package var etag: String
  /// The server's `LastModified`, in nanoseconds since 1970-01-01 UTC.
  package var lastModified: Int64

  package init(byteCount: Int64, etag: String, lastModified: Int64) {
    self.byteCount = byteCount
    self.etag = etag
    self.lastModified = lastModified
  }

  /// The ETag as an MD5, if it has 32 hex digits. ETags of multipart and encrypted objects are no MD5 and
  /// prove nothing.
  package var possibleMD5: String? {
    guard etag.utf8.count == 32 else { return nil }
    let isHex = etag.utf8.allSatisfy { byte in
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
    return isHex ? etag.lowercased() : nil
  }
}

/// How reconciliation decides whether two files of equal size are the same.
package enum ComparePolicy: String, Sendable, Hashable, CaseIterable {
  /// Sizes alone.
  case size
  /// Sizes; suspects by content (CHG-9).
  case standard = "default"
  /// Content always.
  case checksum
}

/// Compares a local file with an object, without I/O.
package struct Comparison: Sendable {
  package enum Verdict: Sendable, Hashable {
    case same
    case copy(CopyReason)
    /// The sizes are equal; only the contents can decide.
    case suspect
  }

  package var policy: ComparePolicy
  /// The safety margin between a file's last change and its object's date, in nanoseconds. A file that
  /// changed later than the object's date minus this margin is a suspect. AWS dates a multipart object by the
  /// start of its upload, so the default is 15 minutes.
  package var suspicionWindow: Int64
  /// The server's clock minus ours, in nanoseconds.
  package var serverSkew: Int64

  package static let defaultSuspicionWindow: Int64 = 15 * 60 * 1_000_000_000

  package init(
    policy: ComparePolicy = .standard, suspicionWindow: Int64 = Comparison.defaultSuspicionWindow,
    serverSkew: Int64 = 0
  ) {
    self.policy = policy
    self.suspicionWindow = suspicionWindow
    self.serverSkew = serverSkew
  }

  /// What an upload has to do. The local file counts as right.
  package func upload(local: FileStamp, remote: RemoteObject?) -> Verdict {
    guard let remote else { return .copy(.absent) }
    guard local.size == remote.byteCount else { return .copy(.size) }
    switch policy {
    case .size: return .same
    case .checksum: return .suspect
    case .standard:
      if Self.isPulled(local, from: remote) { return .same }
      // File times and object dates can be any number: disks hold files of the year 2446, and servers choose
      // their own dates.
      let latestChange = max(local.modified, local.changed).addingSaturated(serverSkew)
      return latestChange > remote.lastModified.subtractingSaturated(suspicionWindow) ? .suspect : .same
    }
  }

  /// What a download has to do. The object counts as right.
  package func download(local: FileStamp?, remote: RemoteObject) -> Verdict {
    guard let local else { return .copy(.absent) }
    guard local.size == remote.byteCount else { return .copy(.size) }
    switch policy {
    case .size: return .same
    case .checksum: return .suspect
    case .standard: return Self.isPulled(local, from: remote) ? .same : .suspect
    }
  }

  /// The smallest difference between two times of different clocks that shows their order, in nanoseconds:
  /// `Date` and `LastModified` have whole seconds, and file times lag by a step of the kernel's clock.
  package static let clockUncertainty: Int64 = 2_000_000_000

  /// Whether the local file may have changed after the object was published. A doubtful file counts as
  /// changed, so that a download never overwrites unpublished content.
  package func isLater(_ local: FileStamp, than remote: RemoteObject) -> Bool {
    max(local.modified, local.changed).addingSaturated(serverSkew)
      > remote.lastModified.subtractingSaturated(Self.clockUncertainty)
  }

  /// Whether the file's mtime is exactly the object's date, which our downloads set. Filesystems with coarser
  /// stamps keep whole seconds.
  package static func isPulled(_ local: FileStamp, from remote: RemoteObject) -> Bool {
    local.modified == remote.lastModified
  }
}

/// Why a file is copied.
package enum CopyReason: String, Sendable, Hashable {
  case absent = "new"
  case size
  case content
  /// The watch reported a change.
  case changed
}
