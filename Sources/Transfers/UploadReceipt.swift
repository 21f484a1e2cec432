import MirrorModel

/// A publication that took place.
package struct UploadReceipt: Sendable, Hashable {
  package var byteCount: Int64
  package var parts: Int
  package var partsReused: Int
  /// Requests sent for the part that took the most, or for the completion: 1 means that nothing was sent twice.
  package var attempts: Int
  package var etag: String
  package var requestID: String?
  /// When the server answered, by its own clock: nanoseconds since 1970-01-01 UTC. Nil where it did not say.
  package var answered: Int64?
  /// Base64 of the whole object's CRC-32.
  package var crc32: String
  package var checksum: IntegrityCheck
  package var proof: PublicationProof
  /// The version that was published.
  package var stamp: FileStamp
  /// Somebody had the file open for writing, so a later version may bear the same stamp.
  package var isSnapshot: Bool
  /// A later version had the file's name when this one was published, so the path is still to be published.
  package var isSuperseded = false
  /// The stamp stands for the object's content from now on, in later runs too (see `StampedReading`).
  package var stampLasts = false
}

/// Why a file was not published, though nothing is wrong with the network.
package enum UploadAbandoned: Error, Sendable, Hashable {
  /// It is gone, or is no regular file any more.
  case vanished
  /// It changed while it was read: its bytes are of no single version.
  case changed
  /// Somebody has it open for writing.
  case openForWriting
  /// It is open for writing, and its beginning is not what is published under its name.
  case notAppended
  /// It changed during every reading, those of private copies too.
  case restless(Restlessness)
  /// A commit marker that was rewritten, and data that it may name were too; or data of which an in-progress mark is not published.
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
