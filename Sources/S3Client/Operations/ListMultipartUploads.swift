/// Unfinished multipart uploads below a prefix, page by page. Not every server sorts them.
package struct ListMultipartUploads: S3Operation {
  package static let name = "ListMultipartUploads"

  package struct Marker: Sendable, Hashable {
    package var key: String
    package var uploadID: String?

    package init(key: String, uploadID: String?) {
      self.key = key
      self.uploadID = uploadID
    }

    /// An opaque text for `PageTrail`.
    package var text: String { "\(key)\u{0}\(uploadID ?? "")" }

    package static func == (left: Marker, right: Marker) -> Bool {
      left.key.utf8.elementsEqual(right.key.utf8) && left.uploadID == right.uploadID
    }
  }

  package var prefix: String
  package var after: Marker?
  /// At most 1,000.
  package var limit: Int?

  package init(prefix: String = "", after: Marker? = nil, limit: Int? = nil) {
    self.prefix = prefix
    self.after = after
    self.limit = limit
  }

  package struct Upload: Sendable, Hashable {
    package var key: String
    package var uploadID: String
    /// Nanoseconds since 1970-01-01 UTC.
    package var initiated: Int64?
    package var checksumAlgorithm: String?
    package var checksumType: ChecksumType?
  }

  package struct Output: Sendable {
    package var uploads: [Upload]
    /// `after` of the next page; nil on the last.
    package var next: Marker?
  }

  package var key: String? { nil }

  package func request() -> S3Request {
    var query: [(name: String, value: String?)] = [("uploads", nil), ("encoding-type", "url")]
    if !prefix.isEmpty { query.append(("prefix", prefix)) }
    if let limit { query.append(("max-uploads", String(limit))) }
    if let after {
      query.append(("key-marker", after.key))
      // Without a key, S3 ignores the upload ID. With a key, it selects where the page begins among that
      // key's uploads.
      if let uploadID = after.uploadID { query.append(("upload-id-marker", uploadID)) }
    }
    return S3Request(method: .get, query: query)
  }

  package func output(from response: S3Response) throws -> Output {
    let tree = try document("ListMultipartUploadsResult", in: response)
    // SeaweedFS 4.48 claims to encode these keys and does not. If a page does not show this, a `+` or `%2B`
    // may be decoded wrongly. The upload's key then does not match, which prevents a resumption but never
    // produces a wrong object.
    let isEncoded =
      tree.encodesKeys && tree.all("Upload").allSatisfy { canBeEncoded($0.text(of: "Key") ?? "") }
    let uploads = try tree.all("Upload").compactMap { element -> Upload? in
      guard element["Key"] != nil, let uploadID = element.text(of: "UploadId"), !uploadID.isEmpty else {
        throw S3Error.malformed(response, operation: Self.name, "an <Upload> without Key or UploadId")
      }
      // A key that is not UTF-8 does not belong to this program, because no local path makes such a key.
      guard let key = element.key(of: "Key", isEncoded: isEncoded), key.utf8.starts(with: prefix.utf8) else {
        return nil
      }
      return Upload(
        key: key, uploadID: uploadID,
        initiated: element.text(of: "Initiated").flatMap(S3Date.nanoseconds(iso8601:)),
        checksumAlgorithm: element.text(of: "ChecksumAlgorithm"),
        checksumType: ChecksumType(element.text(of: "ChecksumType")))
    }
    return Output(uploads: uploads, next: try next(tree, isEncoded, response))
  }

  private func next(_ tree: XMLTree, _ isEncoded: Bool, _ response: S3Response) throws -> Marker? {
    // A page without this element counts as the last one. The consequence is only that an unseen upload is
    // not resumed.
    guard tree.truth(of: "IsTruncated") == true else { return nil }
    guard let key = tree.key(of: "NextKeyMarker", isEncoded: isEncoded), !key.isEmpty else {
      throw S3Error.malformed(response, operation: Self.name, "a truncated page without a marker")
    }
    let uploadID = tree.text(of: "NextUploadIdMarker").flatMap { $0.isEmpty ? nil : $0 }
    let marker = Marker(key: key, uploadID: uploadID)
    guard marker != after else {
      throw S3Error.malformed(response, operation: Self.name, "a truncated page that leads nowhere")
    }
    return marker
  }
}
