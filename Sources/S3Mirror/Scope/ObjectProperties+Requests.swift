import HTTPTransport
import S3Client

// The limits and the notation of S3's headers. Names and limits are those of the Amazon S3 API reference
// (PutObject) and user guide ("Object tagging", "Working with object metadata").

extension ObjectProperties {
  /// S3's canned ACLs.
  private static let cannedACLs: Set<String> = [
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read",
    "bucket-owner-full-control",
  ]
  private static let mostTags = 10
  private static let longestTagKey = 128
  private static let longestTagValue = 256
  /// The limit for names and values together, in bytes.
  private static let mostMetadata = 2048
  /// The bytes that the mirror adds to each object: the names, an mtime in nanoseconds, the writer's mark.
  private static let ownMetadata =
    "mtime".utf8.count + 21 + WriterMark.metadataName.utf8.count + WriterMark.digitCount

  /// - Throws: `MirrorError.invalid` with the cause and the remedy.
  func check(for name: String) throws(MirrorError) {
    func refuse(_ text: String) -> MirrorError { MirrorError(.invalid, "\(name): \(text)") }
    if let storageClass, !isWord(storageClass, of: { isUpper($0) || isDigit($0) || $0 == "_" }) {
      throw refuse("\"\(storageClass)\" is no storage class; write it as STANDARD_IA")
    }
    if let acl, !Self.cannedACLs.contains(acl) {
      let known = Self.cannedACLs.sorted().joined(separator: ", ")
      throw refuse("\"\(acl)\" is no canned ACL; there is \(known)")
    }
    if case .kms(let keyID?) = encryption, !isPrintable(keyID) || keyID.isEmpty {
      throw refuse("\"\(keyID)\" is no key of KMS; give its ID, ARN or alias")
    }
    guard tags.count <= Self.mostTags else {
      throw refuse("\(tags.count) tags; S3 takes \(Self.mostTags) for an object")
    }
    for (key, value) in tags {
      guard (1...Self.longestTagKey).contains(key.unicodeScalars.count),
        value.unicodeScalars.count <= Self.longestTagValue
      else {
        throw refuse("the tag \"\(key)\" is too long or empty; S3 takes 128 characters and 256 for the value")
      }
    }
    for (key, value) in metadata {
      guard
        isWord(key, of: { isLower($0) || isUpper($0) || isDigit($0) || "-_.".unicodeScalars.contains($0) })
      else { throw refuse("the metadata name \"\(key)\" may have letters, digits, -, _ and .") }
      guard !["mtime", WriterMark.metadataName].contains(key.lowercased()) else {
        throw refuse("the metadata name \(key.lowercased()) is the mirror's own; choose another")
      }
      guard isPrintable(value) else {
        throw refuse("the metadata value of \"\(key)\" may have printable ASCII only; encode it")
      }
    }
    let size = metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    let most = Self.mostMetadata - Self.ownMetadata
    guard size <= most else {
      throw refuse(
        "\(size) bytes of metadata; S3 takes \(Self.mostMetadata), of which the mirror needs \(Self.ownMetadata)"
      )
    }
  }

  /// Headers of requests that create an object.
  var headers: [String: String] {
    var headers: [String: String] = [:]
    headers["x-amz-storage-class"] = storageClass
    headers["x-amz-acl"] = acl
    switch encryption {
    case nil: break
    case .s3: headers["x-amz-server-side-encryption"] = "AES256"
    case .kms(let keyID):
      headers["x-amz-server-side-encryption"] = "aws:kms"
      headers["x-amz-server-side-encryption-aws-kms-key-id"] = keyID
    }
    if !tags.isEmpty { headers["x-amz-tagging"] = taggingText(tags) }
    return headers
  }
}

extension BucketAccess {
  /// AWS account IDs are 12 digits ("View AWS account identifiers").
  private static let accountDigits = 12

  func check() throws(MirrorError) {
    guard let expectedOwner else { return }
    guard expectedOwner.utf8.count == Self.accountDigits, isWord(expectedOwner, of: isDigit) else {
      throw MirrorError(
        .invalid,
        "\"\(expectedOwner)\" is no account for the bucket's owner; it has \(Self.accountDigits) digits")
    }
  }

  /// Headers of every request.
  var headers: HTTPHeaders {
    var headers = HTTPHeaders()
    if requesterPays { headers["x-amz-request-payer"] = "requester" }
    headers["x-amz-expected-bucket-owner"] = expectedOwner
    return headers
  }
}

private func isWord(_ text: String, of isKnown: (Unicode.Scalar) -> Bool) -> Bool {
  !text.isEmpty && text.unicodeScalars.allSatisfy(isKnown)
}

/// Whether text is printable ASCII without a space at either end, which HTTP would strip (RFC 9110 §5.5).
private func isPrintable(_ text: String) -> Bool {
  text.unicodeScalars.allSatisfy { (" "..."~").contains($0) } && text.first != " " && text.last != " "
}

private func isLower(_ scalar: Unicode.Scalar) -> Bool { ("a"..."z").contains(scalar) }
private func isUpper(_ scalar: Unicode.Scalar) -> Bool { ("A"..."Z").contains(scalar) }
private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
