import MirrorModel

/// The result of a successful publication.
package struct UploadReceipt: Sendable, Hashable {
  package var byteCount: Int64
  package var parts: Int
  package var partsReused: Int
  /// The largest number of requests for one part or for the completion; 1 means that no request was repeated.
  package var attempts: Int
  package var etag: String
  package var requestID: String?
  /// When the server answered, by the server's clock: nanoseconds since 1970-01-01 UTC. Nil if the answer had
  /// no date.
  package var answered: Int64?
  /// The whole object's CRC-32 in Base64.
  package var crc32: String
  package var checksum: IntegrityCheck
  package var proof: PublicationProof
  /// The version that was published.
  package var stamp: FileStamp
  /// A process had the file open for writing, so a later version may have the same stamp.
  package var isSnapshot: Bool
  /// A later version had the file's name when this one was published, so the path stays dirty.
  package var isSuperseded = false
  /// The stamp stands for the object's content from now on, in later runs too (see `StampedReading`).
  package var stampLasts = false
  /// The bytes that were not sent, because the server copied them from the object that was replaced.
  package var bytesCopied: Int64 = 0
  /// The content block by block, for a delta of the next version; nil if it is not known.
  package var blocks: ContentBlocks?
}

/// Why a file was not published although requests work.
package enum UploadAbandoned: Error, Sendable, Hashable {
  /// The file is gone, or is no longer a regular file.
  case vanished
  /// The file changed during the read, so its bytes belong to no single version.
  case changed
  /// A process has the file open for writing.
  case openForWriting
  /// The file is open for writing, and it does not begin with the content that is published under its name.
  case notAppended
  /// The file changed during every read, including those of private copies.
  case restless(Restlessness)
  /// A commit marker that was rewritten together with data that it may name; or data whose in-progress mark
  /// is not published yet.
  case heldBack
}

extension UploadAbandoned: CustomStringConvertible {
  package var description: String {
    switch self {
    case .vanished: "it is gone"
    case .changed: "it changed while it was read, so no whole version could be read"
    case .openForWriting: "it is open for writing"
    case .notAppended: "it is open for writing, and more than its end differs from what is published"
    case .restless(let restlessness): restlessness.description
    case .heldBack: "it was rewritten together with other files that are to be published first"
    }
  }
}
