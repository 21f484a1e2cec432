/// Sizes and properties of uploads.
package struct UploadSettings: Sendable {
  /// The largest file for one PutObject, in bytes. Default 16 MiB.
  package var singleThreshold: Int64 = 16 << 20
  /// No unit waits for a file up to this size, whatever the multipart threshold is, because its upload takes
  /// a moment. 5 MiB, S3's smallest part.
  package var stagedThreshold: Int64 = 5 << 20
  /// The smallest part size, in bytes. Default 16 MiB.
  package var partBytes: Int64 = 16 << 20
  /// The time between the two reads of a reread.
  package var settle: Duration = .seconds(1)
  /// Unfinished uploads under the prefix that are older and have received no part since are aborted at entry;
  /// nil aborts none. Default 7 days.
  package var staleUploadAge: Duration? = .seconds(7 * 86_400)
  /// Set the content type by the name's extension.
  package var contentTypes: ContentTypes = .byExtension
  /// Headers for storage class, encryption, ACL, tags and other properties, sent with PutObject and
  /// CreateMultipartUpload.
  package var extraHeaders: [String: String] = [:]
  /// User metadata (`x-amz-meta-*`), names without the prefix.
  package var metadata: [String: String] = [:]

  /// What is known of the server's checksums. All uploads to a bucket share it.
  package var checksums = ChecksumSupport()
  package var deltas = Deltas.automatic
  /// What is known of the server's copies of parts. All uploads to a bucket share it.
  package var deltaSupport = DeltaSupport()
  /// Called when no more deltas are made in this run, with the reason.
  package var whenDeltasEnd: @Sendable (String) -> Void = { _ in }

  package init() {}

  /// - Throws: `TransferSettingsError`, which names the value and the valid range.
  package func validate() throws(TransferSettingsError) {
    try TransferSettingsError.check(
      partBytes, "the part size", in: UploadPlan.Limit.smallestPart...UploadPlan.Limit.largestPart,
      meaning: "S3 takes parts from 5 MiB to 5 GiB")
    try TransferSettingsError.check(
      singleThreshold, "the multipart threshold", in: 0...UploadPlan.Limit.largestSingle,
      meaning: "S3 takes up to 5 GiB in one request")
    for (duration, name) in [(settle, "settle"), (staleUploadAge ?? .zero, "the age of stale uploads")]
    where duration < .zero {
      throw TransferSettingsError(description: "\(name) is \(duration); a time cannot be negative")
    }
  }
}

/// An invalid setting.
package struct TransferSettingsError: Error, Sendable, Hashable, CustomStringConvertible {
  package var description: String

  static func check(_ value: Int64, _ name: String, in range: ClosedRange<Int64>, meaning: String)
    throws(TransferSettingsError)
  {
    guard range.contains(value) else {
      throw TransferSettingsError(description: "\(name) is \(value) bytes; \(meaning)")
    }
  }
}

/// How a changed file is sent whose published content is known.
package enum Deltas: Sendable, Hashable {
  /// Only its changes are sent, where this saves enough.
  case automatic
  /// The whole file is sent.
  case off
}

package enum ContentTypes: Sendable, Hashable {
  case byExtension
  case off
}

/// What to do with a file that a program has open for writing.
package enum OpenFilePolicy: Sendable, Hashable {
  /// Leave it dirty until it is closed.
  case wait
  /// Publish a snapshot if two reads agree and the file begins with the published content; nil if nothing is
  /// published.
  case append(to: PublishedContent?)
}
