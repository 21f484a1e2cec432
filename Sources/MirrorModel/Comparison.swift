/// What a listing tells of one object.
package struct RemoteObject: Sendable, Hashable {
  package var byteCount: Int64
  /// Without quotes.
  package var etag: String
  /// Nanoseconds since 1970-01-01 UTC, as the server dates it.
  package var lastModified: Int64

  package init(byteCount: Int64, etag: String, lastModified: Int64) {
    self.byteCount = byteCount
    self.etag = etag
    self.lastModified = lastModified
  }

  /// The MD5 that the ETag may be: 32 hex digits. Multipart and encrypted objects have others, which prove nothing.
  package var possibleMD5: String? {
    guard etag.utf8.count == 32 else { return nil }
    let isHex = etag.utf8.allSatisfy { byte in
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
    }
    return isHex ? etag.lowercased() : nil
  }
}

/// How reconciliation tells that two files of equal size are the same.
package enum ComparePolicy: String, Sendable, Hashable, CaseIterable {
  /// Sizes alone.
  case size
  /// Sizes; suspects by content (CHG-9).
  case standard = "default"
  /// Content always.
  case checksum
}

/// Local against remote, as a decision without I/O.
package struct Comparison: Sendable {
  package enum Verdict: Sendable, Hashable {
    case same
    case copy(CopyReason)
    /// Equal size, but the content must settle it.
    case suspect
  }

  package var policy: ComparePolicy
  /// How much later than a file's last change an object must be dated to be trusted, in nanoseconds. AWS dates a
  /// multipart object by its start, so the default is 15 minutes.
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

  /// What an upload owes: the local file is the truth.
  package func upload(local: FileStamp, remote: RemoteObject?) -> Verdict {
    guard let remote else { return .copy(.absent) }
    guard local.size == remote.byteCount else { return .copy(.size) }
    switch policy {
    case .size: return .same
    case .checksum: return .suspect
    case .standard:
      if Self.isPulled(local, from: remote) { return .same }
      // Stamps and dates are anybody's: files of the year 2446 are on disks, and servers date as they like.
      let latestChange = max(local.modified, local.changed).addingSaturated(serverSkew)
      return latestChange > remote.lastModified.subtractingSaturated(suspicionWindow) ? .suspect : .same
    }
  }

  /// What a download owes: the object is the truth.
  package func download(local: FileStamp?, remote: RemoteObject) -> Verdict {
    guard let local else { return .copy(.absent) }
    guard local.size == remote.byteCount else { return .copy(.size) }
    switch policy {
    case .size: return .same
    case .checksum: return .suspect
    case .standard: return Self.isPulled(local, from: remote) ? .same : .suspect
    }
  }

  /// How far apart two events on different clocks must be to be told apart, in nanoseconds: `Date` and
  /// `LastModified` come in whole seconds, and file times lag by a step of the kernel's clock.
  package static let clockUncertainty: Int64 = 2_000_000_000

  /// Whether the local file changed after the object was published; in doubt it did, so that nothing unpublished is
  /// ever written over.
  package func isLater(_ local: FileStamp, than remote: RemoteObject) -> Bool {
    max(local.modified, local.changed).addingSaturated(serverSkew)
      > remote.lastModified.subtractingSaturated(Self.clockUncertainty)
  }

  /// Whether the file's mtime is exactly the one our download set. Filesystems with coarser stamps keep whole seconds.
  package static func isPulled(_ local: FileStamp, from remote: RemoteObject) -> Bool {
    local.modified == remote.lastModified
  }
}

/// Why a file is copied.
package enum CopyReason: String, Sendable, Hashable {
  case absent = "new"
  case size
  case content
  /// The watch saw it change.
  case changed
}
