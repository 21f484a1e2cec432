/// What the objects of an upload are like, besides their bytes.
///
/// They hold for what is published from now on, copies on the server for renames included: a comparison does not look at
/// them, so an object that is equal already stays as it is, and a multipart upload that is resumed keeps those it was begun with.
public struct ObjectProperties: Sendable, Hashable {
  /// `STANDARD_IA`, `INTELLIGENT_TIERING` and the like; nil leaves it to the bucket.
  public var storageClass: String?
  /// Nil leaves it to the bucket.
  public var encryption: Encryption?
  /// A canned ACL such as `bucket-owner-full-control`; nil leaves it to the bucket.
  public var acl: String?
  /// Up to ten.
  public var tags: [String: String]
  /// `x-amz-meta-*` by name, without that prefix. `mtime` is the mirror's own.
  public var metadata: [String: String]
  /// Where content types come from. Default ``ContentType/byExtension``.
  public var contentType: ContentType

  public enum Encryption: Sendable, Hashable {
    /// SSE-S3: keys of S3's own.
    case s3
    /// SSE-KMS; without a key's ID the account's default key for S3.
    case kms(keyID: String? = nil)
  }

  public enum ContentType: String, Sendable, Hashable, CaseIterable {
    /// By the name's extension.
    case byExtension = "by-extension"
    /// The server's default.
    case none
  }

  public init(
    storageClass: String? = nil, encryption: Encryption? = nil, acl: String? = nil,
    tags: [String: String] = [:], metadata: [String: String] = [:], contentType: ContentType = .byExtension
  ) {
    self.storageClass = storageClass
    self.encryption = encryption
    self.acl = acl
    self.tags = tags
    self.metadata = metadata
    self.contentType = contentType
  }
}

/// How a bucket is asked. It goes with every request.
public struct BucketAccess: Sendable, Hashable {
  /// Pay for requests and transfers where the bucket's owner does not (Requester Pays). Default false.
  public var requesterPays: Bool
  /// The account that the bucket must belong to: where it does not, everything is refused. Default nil.
  public var expectedOwner: String?

  public init(requesterPays: Bool = false, expectedOwner: String? = nil) {
    self.requesterPays = requesterPays
    self.expectedOwner = expectedOwner
  }
}
