/// One line of the transfer log: a transfer that finished or failed, or a pass that ended.
///
/// The members have the order of the line's keys. A member that is `nil` is left out of the line.
package struct TransferRecord: Codable, Sendable, Hashable {
  /// When the transfer ended.
  package var time: UTCTime
  /// The mirror's name.
  package var mirror: String
  package var operation: TransferOperation
  package var path: String?
  package var url: String?
  package var bytes: Int64?
  /// Parts of a multipart upload or ranges of a download.
  package var parts: Int?
  /// How many of these an earlier, interrupted transfer had already sent or fetched.
  package var partsReused: Int?
  /// The bytes of an upload that were not sent, because the server copied them from the object that was
  /// replaced.
  package var bytesCopied: Int64?
  /// The largest number of requests for one part, including the first: 1 means that nothing was retried.
  package var attempts: Int?
  /// With millisecond precision.
  package var seconds: Double?
  /// The integrity check with its value, such as `crc32:9ae0daaf`.
  package var checksum: String?
  /// The proof that the read was of one whole version: closed, leased or reread (PUB-2).
  package var proof: String?
  package var etag: String?
  /// `x-amz-request-id` of the request that published or failed.
  package var requestID: String?
  /// For a pass: how many files were published.
  package var files: Int?
  /// For a pass: how many objects were deleted.
  package var deleted: Int?
  /// For a pass: requests by S3 operation, including retries.
  package var requests: [String: Int]?
  package var outcome: TransferOutcome
  package var error: String?

  package init(
    time: UTCTime, mirror: String, operation: TransferOperation, path: String? = nil, url: String? = nil,
    bytes: Int64? = nil, parts: Int? = nil, partsReused: Int? = nil, bytesCopied: Int64? = nil,
    attempts: Int? = nil,
    seconds: Double? = nil, checksum: String? = nil, proof: String? = nil, etag: String? = nil,
    requestID: String? = nil, files: Int? = nil, deleted: Int? = nil, requests: [String: Int]? = nil,
    outcome: TransferOutcome, error: String? = nil
  ) {
    self.time = time
    self.mirror = mirror
    self.operation = operation
    self.path = path
    self.url = url
    self.bytes = bytes
    self.parts = parts
    self.partsReused = partsReused
    self.bytesCopied = bytesCopied
    self.attempts = attempts
    self.seconds = seconds
    self.checksum = checksum
    self.proof = proof
    self.etag = etag
    self.requestID = requestID
    self.files = files
    self.deleted = deleted
    self.requests = requests
    self.outcome = outcome
    self.error = error
  }
}

/// The kind of a transfer. Not an enum, because a log of a later version must stay readable.
package struct TransferOperation: RawRepresentable, Codable, Sendable, Hashable {
  package let rawValue: String

  package init(rawValue: String) {
    self.rawValue = rawValue
  }

  package static let upload = TransferOperation(rawValue: "upload")
  package static let download = TransferOperation(rawValue: "download")
  /// A server-side copy for a renamed file.
  package static let copy = TransferOperation(rawValue: "copy")
  /// A deleted object.
  package static let delete = TransferOperation(rawValue: "delete")
  /// A local file that a download with `delete` removed.
  package static let deleteLocal = TransferOperation(rawValue: "deleteLocal")
  /// An aborted multipart upload.
  package static let abort = TransferOperation(rawValue: "abort")
}

/// The outcome of a transfer. Not an enum, for the same reason as the operation.
package struct TransferOutcome: RawRepresentable, Codable, Sendable, Hashable {
  package let rawValue: String

  package init(rawValue: String) {
    self.rawValue = rawValue
  }

  package static let done = TransferOutcome(rawValue: "done")
  package static let failed = TransferOutcome(rawValue: "failed")
  /// Abandoned because the file changed during the upload. The file is dirty again; this is no failure.
  package static let abandoned = TransferOutcome(rawValue: "abandoned")
}
