/// One line of the transfer log: a transfer that finished or failed, or a pass that ended.
///
/// The members stand in the order of the line's keys; those that are `nil` are left out of it.
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
  /// Of those, the ones an earlier, interrupted transfer had already brought over.
  package var partsReused: Int?
  /// Requests made for the slowest part, the first included: 1 means that nothing was retried.
  package var attempts: Int?
  /// Written to the millisecond.
  package var seconds: Double?
  /// Which integrity check was made, and its value: `crc32:9ae0daaf`.
  package var checksum: String?
  /// Which proof of an untorn read was used: closed, leased or reread (PUB-2).
  package var proof: String?
  package var etag: String?
  /// `x-amz-request-id` of the request that published or failed.
  package var requestID: String?
  /// Of a pass: files published.
  package var files: Int?
  /// Of a pass: objects deleted.
  package var deleted: Int?
  /// Of a pass: requests by S3 operation, retries included.
  package var requests: [String: Int]?
  package var outcome: TransferOutcome
  package var error: String?

  package init(
    time: UTCTime, mirror: String, operation: TransferOperation, path: String? = nil, url: String? = nil,
    bytes: Int64? = nil, parts: Int? = nil, partsReused: Int? = nil, attempts: Int? = nil,
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

/// What a transfer did. Not an enum: a log written by a later version must stay readable.
package struct TransferOperation: RawRepresentable, Codable, Sendable, Hashable {
  package let rawValue: String

  package init(rawValue: String) {
    self.rawValue = rawValue
  }

  package static let upload = TransferOperation(rawValue: "upload")
  package static let download = TransferOperation(rawValue: "download")
  /// A copy made on the server, for a rename.
  package static let copy = TransferOperation(rawValue: "copy")
  /// A remote object removed.
  package static let delete = TransferOperation(rawValue: "delete")
  /// A local file removed by a download with `delete`.
  package static let deleteLocal = TransferOperation(rawValue: "deleteLocal")
  /// A multipart upload aborted.
  package static let abort = TransferOperation(rawValue: "abort")
}

/// How a transfer ended. Open to later versions, like the operation.
package struct TransferOutcome: RawRepresentable, Codable, Sendable, Hashable {
  package let rawValue: String

  package init(rawValue: String) {
    self.rawValue = rawValue
  }

  package static let done = TransferOutcome(rawValue: "done")
  package static let failed = TransferOutcome(rawValue: "failed")
  /// Given up because the file changed under it, and dirty again: no failure.
  package static let abandoned = TransferOutcome(rawValue: "abandoned")
}
