/// Properties of an upload's objects besides their content.
///
/// The properties apply to everything that is published from now on, including server-side copies for renamed
/// files. A comparison ignores the properties, so an object with equal content keeps its old ones. A resumed
/// multipart upload keeps the properties with which it began.
public struct ObjectProperties: Sendable, Hashable {
  /// Such as `STANDARD_IA` or `INTELLIGENT_TIERING`. Nil takes the bucket's default.
  public var storageClass: String?
  /// Nil takes the bucket's default.
  public var encryption: Encryption?
  /// A canned ACL such as `bucket-owner-full-control`. Nil takes the bucket's default.
  public var acl: String?
  /// At most ten tags.
  public var tags: [String: String]
  /// Values of `x-amz-meta-*` headers by name, without that prefix. The name `mtime` is reserved for the
  /// mirror.
  public var metadata: [String: String]
  /// How the content type is chosen. Default ``ContentType/byExtension``.
  public var contentType: ContentType

  public enum Encryption: Sendable, Hashable {
    /// SSE-S3: keys that S3 manages.
    case s3
    /// SSE-KMS. Without a key ID, the account's default key for S3.
    case kms(keyID: String? = nil)
  }

  public enum ContentType: String, Sendable, Hashable, CaseIterable {
    /// By the extension of the file's name.
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

/// Settings for all requests to a bucket.
public struct BucketAccess: Sendable, Hashable {
  /// Pay for requests and transfers in place of the bucket's owner (Requester Pays). Default false.
  public var requesterPays: Bool
  /// The ID of the account that must own the bucket. Otherwise S3 refuses every request. Default nil.
  public var expectedOwner: String?

  public init(requesterPays: Bool = false, expectedOwner: String? = nil) {
    self.requesterPays = requesterPays
    self.expectedOwner = expectedOwner
  }
}
