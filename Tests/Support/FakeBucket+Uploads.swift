import Digests
import HTTPTransport
import S3Client

/// Multipart uploads, from their creation to their end.
extension FakeBucket {
  mutating func createUpload(_ key: Key, _ request: S3Request) -> HTTPResponse {
    let uploadID = "upload-\(uploads.count + completed.count + 1)-\(clock())"
    let wantsChecksum =
      behaviour.checksums == .verified && request.headers["x-amz-checksum-algorithm"] == "CRC32"
    uploads[uploadID] = Upload(
      key: key, initiated: clock(), headers: request.headers, wantsChecksum: wantsChecksum)
    var document = RequestDocument(root: "InitiateMultipartUploadResult")
    document.element("Bucket", name)
    document.element("UploadId", uploadID)
    document.close("InitiateMultipartUploadResult")
    return HTTPResponse(
      status: 200, headers: wantsChecksum ? ["x-amz-checksum-algorithm": "CRC32"] : [:], body: document.bytes)
  }

  private func upload(_ key: Key, _ request: S3Request) throws -> (id: String, upload: Upload) {
    let id = request.parameter("uploadId") ?? ""
    guard let upload = uploads[id], upload.key == key else { throw Refusal(404, "NoSuchUpload") }
    return (id, upload)
  }

  private func partNumber(of request: S3Request) throws -> Int {
    guard let number = request.parameter("partNumber").flatMap(Int.init), (1...10_000).contains(number) else {
      throw Refusal(400, "InvalidArgument", "partNumber")
    }
    return number
  }

  mutating func uploadPart(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    let (id, _) = try upload(key, request)
    let number = try partNumber(of: request)
    let (bytes, crc) = try content(ofPart: request)
    let etag = hexadecimal(md5(bytes))
    uploads[id]?.parts[number] = Part(bytes: bytes, etag: etag, checksumCRC32: crc, lastModified: clock())
    var headers = stamped(etag, crc)
    headers["x-amz-checksum-type"] = nil
    return HTTPResponse(status: 200, headers: headers)
  }

  private func content(ofPart request: S3Request) throws -> (bytes: [UInt8], crc: CRC32?) {
    guard request.hasTrailer else {
      let bytes = try request.bodyBytes()
      return (bytes, try verify(bytes, request))
    }
    switch behaviour.trailers {
    case .understood:
      let (bytes, checksum) = try request.chunkedContent()
      let crc = CRC32(bytes)
      guard checksum == crc.base64 else { throw Refusal(400, "BadDigest", "x-amz-checksum-crc32") }
      return (bytes, crc)
    case .stored: return (try request.bodyBytes(), nil)
    case .storedAndEchoed:
      let bytes = try request.bodyBytes()
      return (bytes, CRC32(bytes))
    case .notOffered, .refused: throw Refusal(501, "NotImplemented", "aws-chunked")
    }
  }

  mutating func uploadPartCopy(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    let (id, upload) = try upload(key, request)
    let number = try partNumber(of: request)
    let source = try source(of: request)
    var bytes = source.bytes
    if let range = request.headers["x-amz-copy-source-range"] { bytes = Array(try slice(bytes, range)) }
    let etag = hexadecimal(md5(bytes))
    let crc = CRC32(bytes)
    uploads[id]?.parts[number] = Part(bytes: bytes, etag: etag, checksumCRC32: crc, lastModified: clock())
    return copyAnswer("CopyPartResult", etag, upload.wantsChecksum ? crc : nil)
  }

  mutating func abort(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    let (id, _) = try upload(key, request)
    uploads[id] = nil
    return HTTPResponse(status: 204)
  }

  mutating func complete(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    if let answer = completed[request.parameter("uploadId") ?? ""] { return answer }
    let (id, upload) = try upload(key, request)
    let parts = try namedParts(of: upload, in: try document(try request.bodyBytes()))
    try checkCondition(key, request)
    let bytes = parts.flatMap(\.bytes)
    if let size = request.headers["x-amz-mp-object-size"], size != String(bytes.count) {
      throw Refusal(400, "InvalidRequest", "x-amz-mp-object-size")
    }
    let crc = upload.wantsChecksum ? CRC32(bytes) : nil
    if let crc, let sent = request.headers["x-amz-checksum-crc32"], sent != crc.base64 {
      throw Refusal(400, "BadDigest", "x-amz-checksum-crc32")
    }
    let digests = parts.flatMap { decodeHexadecimal($0.etag) ?? [] }
    let etag = "\(hexadecimal(md5(digests)))-\(parts.count)"
    // AWS dates a multipart object by its start.
    store(key, bytes, etag: etag, headers: upload.headers, crc: crc, lastModified: upload.initiated)
    uploads[id] = nil
    let answer = completion(etag, crc)
    completed[id] = answer
    return answer
  }

  private func completion(_ etag: String, _ crc: CRC32?) -> HTTPResponse {
    var document = RequestDocument(root: "CompleteMultipartUploadResult")
    document.element("Bucket", name)
    document.element("ETag", "\"\(etag)\"")
    if let crc {
      document.element("ChecksumCRC32", crc.base64)
      document.element("ChecksumType", ChecksumType.fullObject.rawValue)
    }
    document.close("CompleteMultipartUploadResult")
    return HTTPResponse(status: 200, body: document.bytes)
  }

  private func namedParts(of upload: Upload, in document: XMLTree) throws -> [Part] {
    var last = 0
    var parts: [Part] = []
    for element in document.all("Part") {
      let number = element.number(of: "PartNumber").map(Int.init) ?? 0
      guard number > last else { throw Refusal(400, "InvalidPartOrder") }
      last = number
      let etag = ETag.bare(element.text(of: "ETag") ?? "")
      guard let part = upload.parts[number], part.etag == etag else { throw Refusal(400, "InvalidPart") }
      if let sent = element.text(of: "ChecksumCRC32"), let crc = part.checksumCRC32, sent != crc.base64 {
        throw Refusal(400, "InvalidPart", "ChecksumCRC32")
      }
      parts.append(part)
    }
    if parts.isEmpty { throw Refusal(400, "MalformedXML") }
    if parts.dropLast().contains(where: { $0.bytes.count < behaviour.minimumPartByteCount }) {
      throw Refusal(400, "EntityTooSmall")
    }
    return parts
  }

  func listParts(_ key: Key, _ request: S3Request) throws -> HTTPResponse {
    let (_, upload) = try upload(key, request)
    let after = request.parameter("part-number-marker").flatMap(Int.init) ?? 0
    let limit = min(request.parameter("max-parts").flatMap(Int.init) ?? 1_000, behaviour.pageLimit)
    let rest = upload.parts.filter { $0.key > after }.sorted { $0.key < $1.key }
    let page = rest.prefix(limit)
    var document = RequestDocument(root: "ListPartsResult")
    if upload.wantsChecksum {
      document.element("ChecksumAlgorithm", "CRC32")
      document.element("ChecksumType", ChecksumType.fullObject.rawValue)
    }
    document.element("IsTruncated", String(rest.count > page.count))
    if let last = page.last { document.element("NextPartNumberMarker", String(last.key)) }
    for (number, part) in page {
      document.open("Part")
      document.element("PartNumber", String(number))
      document.element("LastModified", S3Date.iso8601(nanoseconds: part.lastModified))
      document.element("ETag", "\"\(part.etag)\"")
      document.element("Size", String(part.bytes.count))
      if upload.wantsChecksum, let crc = part.checksumCRC32 { document.element("ChecksumCRC32", crc.base64) }
      document.close("Part")
    }
    document.close("ListPartsResult")
    return HTTPResponse(status: 200, body: document.bytes)
  }
}
