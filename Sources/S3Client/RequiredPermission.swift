/// The policy action that S3 requires for an operation, and the resource that it must be allowed on.
///
/// Many operations have no action of the same name: HEAD requests need s3:GetObject, and a part needs
/// s3:PutObject. The table follows the Service Authorization Reference, "Actions, resources, and condition
/// keys for Amazon S3", and the page "Required permissions for Amazon S3 API operations" of the S3 User
/// Guide.
package struct RequiredPermission: Sendable, Hashable {
  package var action: String
  /// `arn:aws:s3:::bucket` or `arn:aws:s3:::bucket/key`. Other partitions have another name in place of
  /// `aws`.
  package var resource: String

  /// - Returns: nil for an operation that is not in the table.
  package init?(of operation: String, bucket: String, key: String?) {
    guard let need = Self.needs[operation] else { return nil }
    action = need.action
    let base = "arn:aws:s3:::\(bucket)"
    switch need.scope {
    case .bucket: resource = base
    case .object: resource = key.map { "\(base)/\($0)" } ?? "\(base)/*"
    }
  }

  private enum Scope {
    case bucket
    case object
  }

  private static let needs: [String: (action: String, scope: Scope)] = [
    "AbortMultipartUpload": ("s3:AbortMultipartUpload", .object),
    "CompleteMultipartUpload": ("s3:PutObject", .object),
    "CopyObject": ("s3:PutObject, and s3:GetObject for what is copied,", .object),
    "CreateMultipartUpload": ("s3:PutObject", .object),
    "DeleteObject": ("s3:DeleteObject", .object),
    "DeleteObjects": ("s3:DeleteObject", .object),
    "GetObject": ("s3:GetObject", .object),
    "HeadBucket": ("s3:ListBucket", .bucket),
    "HeadObject": ("s3:GetObject", .object),
    "ListMultipartUploads": ("s3:ListBucketMultipartUploads", .bucket),
    "ListObjectsV2": ("s3:ListBucket", .bucket),
    "ListParts": ("s3:ListMultipartUploadParts", .object),
    "PutObject": ("s3:PutObject", .object),
    "UploadPart": ("s3:PutObject", .object),
    "UploadPartCopy": ("s3:PutObject, and s3:GetObject for what is copied,", .object),
  ]
}
