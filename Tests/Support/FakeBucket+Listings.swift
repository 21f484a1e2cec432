import HTTPTransport
import S3Client
import SigV4

/// Listings of objects and of uploads under way.
extension FakeBucket {
  private enum Line {
    case object(Key, Object)
    case prefix(Key)

    var key: Key {
      switch self {
      case .object(let key, _), .prefix(let key): key
      }
    }
  }

  func list(_ request: S3Request) throws -> HTTPResponse {
    let prefix = Array((request.parameter("prefix") ?? "").utf8)
    let limit = min(request.parameter("max-keys").flatMap(Int.init) ?? 1_000, behaviour.pageLimit)
    let lines = lines(prefix: prefix, delimiter: request.parameter("delimiter").map { Array($0.utf8) })
    var start = 0
    if let token = request.parameter("continuation-token") {
      guard let last = Self.key(ofToken: token) else {
        throw Refusal(400, "InvalidArgument", "continuation-token")
      }
      start = lines.firstIndex { precedes(last, $0.key) } ?? lines.count
    } else if let last = request.parameter("start-after") {
      let key = Array(last.utf8)
      // In tree order a listing that begins after a directory's name leaves out what it holds, as SeaweedFS' do.
      let held = behaviour.order == .tree ? key + [UInt8(ascii: "/")] : nil
      start =
        lines.firstIndex { line in
          precedes(key, line.key) && !(held.map { line.key.starts(with: $0) } ?? false)
        } ?? lines.count
    }
    let page = lines[start...].prefix(limit)
    var document = RequestDocument(root: "ListBucketResult")
    document.element("Name", name)
    document.element("EncodingType", "url")
    document.element("KeyCount", String(page.count))
    let isTruncated = start + page.count < lines.count
    document.element("IsTruncated", String(isTruncated))
    if isTruncated, let last = page.last {
      document.element("NextContinuationToken", Self.token(after: last.key))
    }
    for line in page { write(line, to: &document) }
    document.close("ListBucketResult")
    return HTTPResponse(status: 200, body: document.bytes)
  }

  private func write(_ line: Line, to document: inout RequestDocument) {
    switch line {
    case .prefix(let prefix):
      document.open("CommonPrefixes")
      document.element("Prefix", Self.encoded(prefix))
      document.close("CommonPrefixes")
    case .object(let key, let object):
      document.open("Contents")
      document.element("Key", Self.encoded(key))
      document.element("LastModified", S3Date.iso8601(nanoseconds: object.lastModified))
      document.element("ETag", "\"\(object.etag)\"")
      document.element("Size", String(object.bytes.count))
      document.element("StorageClass", "STANDARD")
      document.close("Contents")
    }
  }

  /// Objects and rolled-up prefixes in one order, as pages cut them.
  private func lines(prefix: Key, delimiter: Key?) -> [Line] {
    var lines: [Line] = []
    for key in objects.keys.filter({ $0.starts(with: prefix) && !isHidden($0) }).sorted(by: precedes) {
      if let delimiter, let end = Self.end(of: delimiter, in: key, from: prefix.count) {
        let common = Array(key[..<end])
        if lines.last?.key != common { lines.append(.prefix(common)) }
      } else if let object = objects[key] {
        lines.append(.object(key, object))
      }
    }
    return lines
  }

  private func isHidden(_ key: Key) -> Bool {
    guard behaviour.hidesBelowObjects else { return false }
    return key.indices.contains { key[$0] == UInt8(ascii: "/") && objects[Array(key[..<$0])] != nil }
  }

  private static func end(of delimiter: Key, in key: Key, from start: Int) -> Int? {
    var position = start
    while position + delimiter.count <= key.count {
      if key[position...].starts(with: delimiter) { return position + delimiter.count }
      position += 1
    }
    return nil
  }

  private func precedes(_ left: Key, _ right: Key) -> Bool {
    switch behaviour.order {
    case .bytes: left.lexicographicallyPrecedes(right)
    // A slash before every other byte keeps a directory together.
    case .tree:
      left.lexicographicallyPrecedes(right) { a, b in
        (a == UInt8(ascii: "/") ? 0 : Int(a) + 1) < (b == UInt8(ascii: "/") ? 0 : Int(b) + 1)
      }
    }
  }

  /// As AWS encodes keys: a space is `+`.
  private static func encoded(_ key: Key) -> String {
    uriEncode(String(decoding: key, as: UTF8.self), as: .path).split(
      separator: "%20", omittingEmptySubsequences: false
    ).joined(separator: "+")
  }

  /// Opaque to clients: it ends on characters that must be encoded in a query.
  private static func token(after key: Key) -> String {
    "after/" + key.map { String($0, radix: 16) }.joined(separator: " ") + "+="
  }

  private static func key(ofToken token: String) -> Key? {
    guard token.hasPrefix("after/"), token.hasSuffix("+=") else { return nil }
    return token.dropFirst(6).dropLast(2).split(separator: " ").compactMap { UInt8($0, radix: 16) }
  }

  func listUploads(_ request: S3Request) -> HTTPResponse {
    let prefix = Array((request.parameter("prefix") ?? "").utf8)
    let limit = min(request.parameter("max-uploads").flatMap(Int.init) ?? 1_000, behaviour.pageLimit)
    let after = Array((request.parameter("key-marker") ?? "").utf8)
    let afterID = request.parameter("upload-id-marker")
    let rest = uploads.filter { id, upload in
      guard upload.key.starts(with: prefix) else { return false }
      if upload.key == after { return afterID.map { id > $0 } ?? false }
      return after.isEmpty || after.lexicographicallyPrecedes(upload.key)
    }
    .sorted { left, right in
      left.value.key == right.value.key
        ? left.key < right.key : left.value.key.lexicographicallyPrecedes(right.value.key)
    }
    let page = rest.prefix(limit)
    var document = RequestDocument(root: "ListMultipartUploadsResult")
    document.element("EncodingType", "url")
    document.element("IsTruncated", String(rest.count > page.count))
    if rest.count > page.count, let last = page.last {
      document.element("NextKeyMarker", Self.encoded(last.value.key))
      document.element("NextUploadIdMarker", last.key)
    }
    for (id, upload) in page {
      document.open("Upload")
      document.element("Key", Self.encoded(upload.key))
      document.element("UploadId", id)
      document.element("Initiated", S3Date.iso8601(nanoseconds: upload.initiated))
      document.close("Upload")
    }
    document.close("ListMultipartUploadsResult")
    return HTTPResponse(status: 200, body: document.bytes)
  }
}
