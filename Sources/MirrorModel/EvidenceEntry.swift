/// What an earlier run knew of one path: which object its file was equal to, and by which stamp the file is known again.
///
/// That a file with this stamp has the content of an object with this ETag stays true for ever, whatever was noted since. So entries
/// that are old, lost or out of order can only fail to prove something.
package struct EvidenceEntry: Sendable, Hashable {
  /// Of the object that the file was published as, fetched from or found equal to.
  package var etag: String
  /// Of the file at that time; nil where no stamp could stand for its content (see `StampedReading`).
  package var stamp: Stamp?
  /// Of the content, where it was computed.
  package var crc32: UInt32?

  /// What is remembered of a `FileStamp`. Device numbers are handed out anew at each mount.
  package struct Stamp: Sendable, Hashable {
    package var inode: UInt64
    /// Bytes.
    package var size: Int64
    /// Nanoseconds since 1970-01-01 UTC.
    package var modified: Int64
    /// Nanoseconds since 1970-01-01 UTC.
    package var changed: Int64

    package init(inode: UInt64, size: Int64, modified: Int64, changed: Int64) {
      self.inode = inode
      self.size = size
      self.modified = modified
      self.changed = changed
    }

    package init(_ stamp: FileStamp) {
      self.init(inode: stamp.inode, size: stamp.size, modified: stamp.modified, changed: stamp.changed)
    }
  }

  package init(etag: String, stamp: Stamp? = nil, crc32: UInt32? = nil) {
    self.etag = etag
    self.stamp = stamp
    self.crc32 = crc32
  }

  /// Whether the file that lay here was this object's.
  package func isOf(_ object: RemoteObject) -> Bool { etag == object.etag }

  /// Whether file and object are equal.
  package func proves(_ file: FileStamp, equalTo object: RemoteObject) -> Bool {
    // Without a tag the object may be anything.
    guard let stamp, stamp == Stamp(file), stamp.size == object.byteCount, !etag.isEmpty else { return false }
    return isOf(object)
  }

  /// How much later than now evidence may claim to have been noted: clocks are corrected by fractions of a second at any time.
  package static let clockCorrection: Int64 = 1_000_000_000

  /// Whether evidence may be believed at all that was noted by then. If the clock has been set back since, a write may give a
  /// file the very ctime that it had.
  package static func isBelieved(notedBy noted: Int64, at now: Int64) -> Bool {
    noted <= now.addingSaturated(clockCorrection)
  }
}

extension Comparison {
  /// Whether an earlier run's evidence settles that two files of equal size are the same. A comparison of checksums trusts none.
  package func isSettled(_ file: FileStamp, _ object: RemoteObject, by evidence: EvidenceEntry?) -> Bool {
    policy == .standard && evidence?.proves(file, equalTo: object) == true
  }
}
