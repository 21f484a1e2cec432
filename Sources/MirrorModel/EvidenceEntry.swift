/// The evidence of one path from an earlier run: the object to which its file was equal, and the stamp by
/// which the file is recognized.
///
/// The statement "a file with this stamp has the content of an object with this ETag" stays true for ever,
/// whatever is noted later. So entries that are old, lost or out of order can only fail to prove equality.
package struct EvidenceEntry: Sendable, Hashable {
  /// The ETag of the object as which the file was published, from which it was fetched, or to which it was
  /// found equal.
  package var etag: String
  /// The stamp of the file at that time; nil if the stamp does not stand for its content (see
  /// `StampedReading`).
  package var stamp: Stamp?
  /// The CRC-32 of the content, if it was computed.
  package var crc32: UInt32?
  /// The content of the object block by block, for a delta of the next version.
  package var blocks: ContentBlocks?

  /// The part of a `FileStamp` that is kept. Device numbers are left out, because they may change with each
  /// mount.
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

  package init(
    etag: String, stamp: Stamp? = nil, crc32: UInt32? = nil, blocks: ContentBlocks? = nil
  ) {
    self.etag = etag
    self.blocks = blocks
    self.stamp = stamp
    self.crc32 = crc32
  }

  /// Whether the file that was here was equal to this object.
  package func isOf(_ object: RemoteObject) -> Bool { etag == object.etag }

  /// Whether file and object are equal.
  package func proves(_ file: FileStamp, equalTo object: RemoteObject) -> Bool {
    // Without an ETag it is not known which object this is.
    guard let stamp, stamp == Stamp(file), stamp.size == object.byteCount, !etag.isEmpty else { return false }
    return isOf(object)
  }

  /// How far in the future evidence may claim to have been noted, in nanoseconds. Clocks are corrected by
  /// fractions of a second at any time.
  package static let clockCorrection: Int64 = 1_000_000_000

  /// Whether evidence that was noted at this time can be trusted. If the clock was set back since, a later
  /// write may give a file the same ctime again.
  package static func isBelieved(notedBy noted: Int64, at now: Int64) -> Bool {
    noted <= now.addingSaturated(clockCorrection)
  }
}

extension Comparison {
  /// Whether the evidence of an earlier run shows that a file and an object of equal size are equal. A
  /// comparison by checksums uses no evidence.
  package func isSettled(_ file: FileStamp, _ object: RemoteObject, by evidence: EvidenceEntry?) -> Bool {
    policy == .standard && evidence?.proves(file, equalTo: object) == true
  }
}
