import Digests
import Foundation
import HTTPTransport
import S3Client

/// Single objects: put, get, delete, copy.
extension FakeBucket {
  mutating func put(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    let bytes = try request.bodyBytes()
    let crc = try verify(bytes, request)
    try checkCondition(key, request)
    let etag = hexadecimal(md5(bytes))
    store(key, bytes, etag: etag, headers: request.headers, crc: crc)
    return HTTPResponse(status: 200, headers: stamped(etag, crc))
  }

  /// Every digest that came along; the CRC32 if there was one and it is looked at.
  func verify(_ bytes: [UInt8], _ request: S3Request) throws -> CRC32? {
    if let sent = request.headers["Content-MD5"], sent != base64(md5(bytes)) {
      throw Refusal(400, "BadDigest", "Content-MD5")
    }
    if let sent = request.payloadSHA256, sent != hexadecimal(sha256(bytes)) {
      throw Refusal(400, "XAmzContentSHA256Mismatch")
    }
    guard behaviour.checksums == .verified, let sent = request.headers["x-amz-checksum-crc32"] else {
      return nil
    }
    let crc = CRC32(bytes)
    if sent != crc.base64 { throw Refusal(400, "BadDigest", "x-amz-checksum-crc32") }
    return crc
  }

  func checkCondition(_ key: Key, _ request: S3Request) throws {
    switch behaviour.conditions {
    case .carriedOut: break
    case .ignored: return
    case .refused where request.headers["If-Match"] != nil: throw Refusal(501, "NotImplemented")
    case .refused: break
    }
    if request.headers["If-None-Match"] == "*", objects[key] != nil {
      throw Refusal(412, "PreconditionFailed")
    }
    if let wanted = request.headers["If-Match"] {
      guard let object = objects[key] else { throw Refusal(404, "NoSuchKey") }
      if ETag.bare(wanted) != object.etag { throw Refusal(412, "PreconditionFailed") }
    }
  }

  func stamped(_ etag: String, _ crc: CRC32?) -> HTTPHeaders {
    var headers: HTTPHeaders = ["ETag": "\"\(etag)\""]
    if let crc {
      headers["x-amz-checksum-crc32"] = crc.base64
      headers["x-amz-checksum-type"] = ChecksumType.fullObject.rawValue
    }
    return headers
  }

  func get(_ key: Key, _ request: S3Request, isHead: Bool) throws -> HTTPResponse {
    guard let object = objects[key] else { throw Refusal(404, "NoSuchKey") }
    if let wanted = request.headers["If-Match"], ETag.bare(wanted) != object.etag {
      throw Refusal(412, "PreconditionFailed")
    }
    let asksForChecksum = request.headers["x-amz-checksum-mode"] == "ENABLED"
    var headers = stamped(object.etag, asksForChecksum ? object.checksumCRC32 : nil)
    headers["Last-Modified"] = S3Date.httpDate(nanoseconds: object.lastModified)
    headers["Content-Type"] = object.contentType ?? "binary/octet-stream"
    for (name, value) in object.metadata { headers.add("x-amz-meta-\(name)", value) }
    headers["Content-Length"] = String(object.bytes.count)
    if asksForChecksum, let composite = object.compositeCRC32 {
      headers["x-amz-checksum-crc32"] = composite
      headers["x-amz-checksum-type"] = ChecksumType.composite.rawValue
    }
    if isHead, let number = request.parameter("partNumber").flatMap(Int.init), !object.partSizes.isEmpty {
      guard object.partSizes.indices.contains(number - 1) else { throw Refusal(416, "InvalidPartNumber") }
      headers["Content-Length"] = String(object.partSizes[number - 1])
      return HTTPResponse(status: 206, headers: headers)
    }
    if isHead { return HTTPResponse(status: 200, headers: headers) }
    guard let range = request.headers["Range"] else {
      return HTTPResponse(status: 200, headers: headers, body: object.bytes)
    }
    let bytes = try slice(object.bytes, range)
    headers["Content-Length"] = String(bytes.count)
    headers["Content-Range"] = "bytes \(bytes.startIndex)-\(bytes.endIndex - 1)/\(object.bytes.count)"
    // S3 sends no checksum of the whole with a part of it.
    headers["x-amz-checksum-crc32"] = nil
    headers["x-amz-checksum-type"] = nil
    return HTTPResponse(status: 206, headers: headers, body: Array(bytes))
  }

  /// `bytes=first-last`, cut at the object's end.
  func slice(_ bytes: [UInt8], _ range: String) throws -> ArraySlice<UInt8> {
    let ends = range.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
    guard ends.count == 2, ends[0] <= ends[1], ends[0] < bytes.count else {
      throw Refusal(416, "InvalidRange")
    }
    return bytes[ends[0]...min(ends[1], bytes.count - 1)]
  }

  mutating func delete(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    try checkCondition(key, request)
    objects[key] = nil
    return HTTPResponse(status: 204)
  }

  mutating func deleteMany(_ request: S3Request) throws -> HTTPResponse {
    let bytes = try request.bodyBytes()
    guard request.headers["Content-MD5"] != nil || request.headers["x-amz-checksum-crc32"] != nil else {
      throw Refusal(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
    }
    _ = try verify(bytes, request)
    let targets = try document(bytes).all("Object")
    guard (1...DeleteObjects.keyLimit).contains(targets.count) else { throw Refusal(400, "MalformedXML") }
    var answer = RequestDocument(root: "DeleteResult")
    for target in targets {
      guard let key = target.text(of: "Key") else { throw Refusal(400, "MalformedXML") }
      let object = objects[Array(key.utf8)]
      if let etag = target.text(of: "ETag").map(ETag.bare), etag != object?.etag {
        answer.open("Error")
        answer.element("Key", key)
        answer.element("Code", object == nil ? "NoSuchKey" : "PreconditionFailed")
        answer.close("Error")
      } else {
        objects[Array(key.utf8)] = nil
        answer.open("Deleted")
        answer.element("Key", key)
        answer.close("Deleted")
      }
    }
    answer.close("DeleteResult")
    return HTTPResponse(status: 200, body: answer.bytes)
  }

  func document(_ bytes: [UInt8]) throws -> XMLTree {
    guard case .success(let tree) = XMLTree.parsing(bytes) else { throw Refusal(400, "MalformedXML") }
    return tree
  }

  func source(of request: S3Request) throws -> Object {
    guard let path = request.headers["x-amz-copy-source"]?.removingPercentEncoding,
      path.utf8.starts(with: "/\(name)/".utf8)
    else { throw Refusal(400, "InvalidArgument", "x-amz-copy-source") }
    guard let object = objects[Array(path.utf8.dropFirst(name.utf8.count + 2))] else {
      throw Refusal(404, "NoSuchKey")
    }
    if let wanted = request.headers["x-amz-copy-source-if-match"], ETag.bare(wanted) != object.etag {
      throw Refusal(412, "PreconditionFailed")
    }
    return object
  }

  mutating func copy(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    let source = try source(of: request)
    let replaces = request.headers["x-amz-metadata-directive"] == "REPLACE"
    // A copy in one request is no multipart object: its tag is the MD5.
    let etag = hexadecimal(md5(source.bytes))
    store(
      key, source.bytes, etag: etag, headers: replaces ? request.headers : source.headers,
      crc: source.checksumCRC32)
    return copyAnswer("CopyObjectResult", etag)
  }

  func copyAnswer(_ root: String, _ etag: String, _ crc: CRC32? = nil) -> HTTPResponse {
    var document = RequestDocument(root: root)
    document.element("LastModified", S3Date.iso8601(nanoseconds: clock()))
    document.element("ETag", "\"\(etag)\"")
    if let crc { document.element("ChecksumCRC32", crc.base64) }
    document.close(root)
    return HTTPResponse(status: 200, body: document.bytes)
  }
}
