/// Sizes and properties of what is uploaded.
package struct UploadSettings: Sendable {
  /// The largest file that goes in one PutObject, in bytes; default 16 MiB.
  package var singleThreshold: Int64 = 16 << 20
  /// The part size to start from, in bytes; default 16 MiB.
  package var partBytes: Int64 = 16 << 20
  /// The gap between the two reads of a reread.
  package var settle: Duration = .seconds(1)
  /// Unfinished uploads under the prefix that are older and got no part since are aborted at entry; nil leaves them. Default
  /// 7 days.
  package var staleUploadAge: Duration? = .seconds(7 * 86_400)
  /// Set the content type by the name's extension.
  package var contentTypes: ContentTypes = .byExtension
  /// Headers for storage class, encryption, ACL, tags and the like, sent with PutObject and CreateMultipartUpload.
  package var extraHeaders: [String: String] = [:]
  /// User metadata (`x-amz-meta-*`), names without the prefix.
  package var metadata: [String: String] = [:]

  /// What is known of the server's checksums; shared by all uploads to a bucket.
  package var checksums = ChecksumSupport()

  package init() {}
}

package enum ContentTypes: Sendable, Hashable {
  case byExtension
  case off
}

/// What to do with a file that somebody has open for writing.
package enum OpenFilePolicy: Sendable, Hashable {
  /// Leave it dirty until it is closed.
  case wait
  /// Publish a snapshot if two reads agree.
  case snapshot
}
