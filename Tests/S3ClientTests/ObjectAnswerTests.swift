import Digests
import HTTPTransport
import S3Client
import TestSupport
import Testing

@Suite struct ObjectHeadTests {
  @Test func `a header is read whatever the case of its names`() throws {
    let head = try HeadObject(key: "k").output(
      from: answer(
        headers: [
          "content-length": "12", "etag": "\"e\"", "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
          "X-Amz-Meta-MTime": "123.5", "X-Amz-Checksum-Crc32": "AAAAAA==",
          "x-amz-checksum-type": "FULL_OBJECT", "Content-Type": "text/plain",
          "Date": "Sun, 06 Nov 1994 08:49:38 GMT",
        ]))
    #expect(head.byteCount == 12)
    #expect(head.etag == "e")
    #expect(head.lastModified == 784_111_777_000_000_000)
    #expect(head.serverDate == 784_111_778_000_000_000)
    #expect(head.metadata == ["mtime": "123.5"])
    #expect(head.contentType == "text/plain")
    #expect(head.fullObjectCRC32 == CRC32())
  }

  @Test func `the head of a part is an answer where a part was asked for, and only there`() throws {
    let part = answer(
      status: 206, headers: ["Content-Length": "5", "Content-Range": "bytes 0-4/9", "ETag": "e-2"])
    let head = try HeadObject(key: "k", partNumber: 1).output(from: part)
    #expect(head.contentLength == 5)
    #expect(head.byteCount == 9)
    #expect(throws: S3Error.self) { try HeadObject(key: "k").output(from: part) }
  }

  private static let checksumHeaders: [(HTTPHeaders, Bool)] = [
    (["x-amz-checksum-crc32": "AAAAAA==", "ETag": "e"], true),
    (["x-amz-checksum-crc32": "AAAAAA==", "ETag": "e-2"], false),
    (["x-amz-checksum-crc32": "AAAAAA==", "ETag": "e-2", "x-amz-checksum-type": "FULL_OBJECT"], true),
    (["x-amz-checksum-crc32": "AAAAAA==-2", "ETag": "e-2", "x-amz-checksum-type": "COMPOSITE"], false),
    (["x-amz-checksum-crc32": "AAAAAA==", "ETag": "e", "x-amz-checksum-type": "COMPOSITE"], false),
    (["ETag": "e"], false),
  ]

  @Test(arguments: checksumHeaders)
  func `a checksum counts as the object's only where it must be`(headers: HTTPHeaders, counts: Bool)
    throws
  {
    var headers = headers
    headers["Content-Length"] = "9"
    let head = try HeadObject(key: "k").output(from: answer(headers: headers))
    #expect((head.fullObjectCRC32 != nil) == counts)
  }

  @Test func `a range tells the whole object's size`() throws {
    let output = try GetObject(key: "k", range: 10...19).output(
      from: answer(
        "0123456789", status: 206,
        headers: ["ETag": "e", "Content-Length": "10", "Content-Range": "bytes 10-19/100"]))
    #expect(output.head.byteCount == 100)
    #expect(output.contentRange?.bytes == 10...19)
    #expect(output.body.count == 10)
  }

  @Test func `a server that ignores the range is found out`() {
    let error = #expect(throws: S3Error.self) {
      try GetObject(key: "k", range: 10...19).output(from: answer("all of it"))
    }
    #expect(error?.code == "RangeIgnored")
  }

  @Test func `bytes of another range never reach the sink`() throws {
    let sink = RecordingSink()
    let wrapped = try #require(GetObject(key: "k", range: 10...19, sink: sink).request().sink)
    #expect(throws: S3Error.self) { try wrapped.begin(HTTPResponse(status: 200)) }
    #expect(throws: S3Error.self) {
      try wrapped.begin(HTTPResponse(status: 206, headers: ["Content-Range": "bytes 0-9/100"]))
    }
    #expect(sink.begun == 0)
    try wrapped.begin(
      HTTPResponse(
        status: 206, headers: ["ETag": "e", "Content-Length": "6", "Content-Range": "bytes 10-15/16"]))
    #expect(sink.begun == 1)
  }
}

@Suite struct WriteAnswerTests {
  @Test func `an echoed checksum is told, and another one is an error`() throws {
    let crc = CRC32(Array("123456789".utf8))
    let put = PutObject(key: "k", body: BytesBody([]), checksumCRC32: crc)
    let echoed = try put.output(from: answer(headers: ["ETag": "\"e\"", "x-amz-checksum-crc32": crc.base64]))
    #expect(echoed.checksumWasEchoed)
    #expect(try !put.output(from: answer(headers: ["ETag": "e"])).checksumWasEchoed)
    let error = #expect(throws: S3Error.self) {
      try put.output(from: answer(headers: ["ETag": "e", "x-amz-checksum-crc32": "AAAAAA=="]))
    }
    #expect(error?.isRetryable == true)
  }

  @Test func `a put carries what it was given`() {
    let request = PutObject(
      key: "k", body: BytesBody([]), contentType: "text/plain", metadata: ["mtime": "1"],
      checksumCRC32: CRC32(), condition: .ifAbsent, extraHeaders: ["x-amz-storage-class": "STANDARD_IA"]
    ).request()
    let fields = request.headers.fields.map { "\($0.name): \($0.value)" }
    #expect(
      fields == [
        "Content-Type: text/plain", "x-amz-checksum-crc32: AAAAAA==", "x-amz-meta-mtime: 1",
        "If-None-Match: *", "x-amz-storage-class: STANDARD_IA",
      ])
  }

  @Test func `a completion is read after white space`() throws {
    let output = try CompleteMultipartUpload(key: "k", uploadID: "u", parts: [], fullObjectCRC32: CRC32())
      .output(
        from: answer(
          "\n\n   \n<?xml version=\"1.0\"?><CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag>"
            + "<ChecksumCRC32>AAAAAA==</ChecksumCRC32></CompleteMultipartUploadResult>"))
    #expect(output.etag == "e-2")
    #expect(output.checksumWasEchoed)
  }

  @Test func `a root element with the SOAP interface's ending is read`() throws {
    let complete = CompleteMultipartUpload(key: "k", uploadID: "u", parts: [])
    let body = { (root: String) in "<\(root)><ETag>e-2</ETag></\(root)>" }
    let output = try complete.output(from: answer(body("CompleteMultipartUploadResponse")))
    #expect(output.etag == "e-2")
    #expect(throws: S3Error.self) { _ = try complete.output(from: answer(body("Response"))) }
  }

  @Test(arguments: ["InternalError", "SlowDown"])
  func `a 200 that carries an error is that error`(code: String) {
    let body =
      " <?xml version=\"1.0\"?><Error><Code>\(code)</Code><Message>m</Message><RequestId>r</RequestId></Error>"
    func check(_ operation: some S3Operation) {
      let error = #expect(throws: S3Error.self) { _ = try operation.output(from: answer(body)) }
      #expect(error?.code == code)
      #expect(error?.isRetryable == true)
      #expect(error?.requestID == "r")
    }
    let source = CopySource(bucket: "b", key: "s")
    check(CompleteMultipartUpload(key: "k", uploadID: "u", parts: []))
    check(CopyObject(key: "k", source: source))
    check(UploadPartCopy(key: "k", uploadID: "u", number: 1, source: source))
  }

  @Test func `a completion names parts, checksums, size and condition`() throws {
    let request = CompleteMultipartUpload(
      key: "k", uploadID: "u",
      parts: [.init(number: 1, etag: "e1", checksumCRC32: CRC32()), .init(number: 2, etag: "\"e2\"")],
      fullObjectCRC32: CRC32(), byteCount: 9, condition: .ifMatch("old")
    ).request()
    #expect(request.headers["x-amz-checksum-type"] == "FULL_OBJECT")
    #expect(request.headers["x-amz-mp-object-size"] == "9")
    #expect(request.headers["If-Match"] == "\"old\"")
    let tree = try XMLTree.parsing(Array(try text(of: request.body).utf8)).get()
    #expect(tree.all("Part").map { $0.text(of: "ETag") } == ["\"e1\"", "\"e2\""])
    #expect(tree.all("Part").map { $0.text(of: "ChecksumCRC32") } == ["AAAAAA==", nil])
  }

  @Test func `a copy's source is encoded and pinned`() {
    let request = CopyObject(
      key: "k", source: CopySource(bucket: "b", key: "a b/+%\u{e9}", ifMatch: "e"),
      metadata: .replaced(["mtime": "2"], contentType: "text/plain")
    ).request()
    #expect(request.headers["x-amz-copy-source"] == "/b/a%20b/%2B%25%C3%A9")
    #expect(request.headers["x-amz-copy-source-if-match"] == "\"e\"")
    #expect(request.headers["x-amz-metadata-directive"] == "REPLACE")
    #expect(request.headers["x-amz-meta-mtime"] == "2")
  }

  @Test func `copies are read in every order of elements`() throws {
    let source = CopySource(bucket: "b", key: "s")
    let copied = try CopyObject(key: "k", source: source).output(
      from: answer(
        "<CopyObjectResult><ETag>&#34;e&#34;</ETag><LastModified>1970-01-01T00:00:03Z</LastModified></CopyObjectResult>"
      ))
    #expect(copied.etag == "e")
    #expect(copied.lastModified == 3_000_000_000)
    let part = try UploadPartCopy(key: "k", uploadID: "u", number: 1, source: source).output(
      from: answer("<CopyPartResult><LastModified>x</LastModified><ETag>e</ETag></CopyPartResult>"))
    #expect(part.etag == "e")
  }

  @Test func `an upload's creation answers its ID and whether the checksum is known`() throws {
    let create = CreateMultipartUpload(key: "k", checksum: .fullObjectCRC32)
    #expect(create.request().headers["x-amz-checksum-type"] == "FULL_OBJECT")
    let body = "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
    let known = try create.output(from: answer(body, headers: ["x-amz-checksum-algorithm": "CRC32"]))
    #expect(known.uploadID == "u1")
    #expect(known.knowsChecksum)
    #expect(try !create.output(from: answer(body)).knowsChecksum)
    #expect(throws: S3Error.self) {
      try create.output(from: answer("<InitiateMultipartUploadResult></InitiateMultipartUploadResult>"))
    }
  }
}

@Suite struct DeleteObjectsTests {
  @Test func `each key's own error is read`() throws {
    let output = try DeleteObjects(keys: ["a", "b & c", "d"]).output(
      from: answer(
        "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Message>no</Message><Code>AccessDenied</Code>"
          + "<Key>b &amp; c</Key></Error><Error><Key>d</Key><Code>InternalError</Code></Error></DeleteResult>"
      ))
    #expect(output.failures.map(\.key) == ["b & c", "d"])
    #expect(output.failures.map(\.code) == ["AccessDenied", "InternalError"])
    #expect(output.failures.map(\.isRetryable) == [false, true])
  }

  @Test func `the request carries both digests of its body`() throws {
    let request = try DeleteObjects(keys: ["a&b", "c<d"]).request()
    let body = try text(of: request.body)
    #expect(body.contains("<Object><Key>a&amp;b</Key></Object><Object><Key>c&lt;d</Key></Object>"))
    #expect(request.headers["Content-MD5"] == base64(md5(Array(body.utf8))))
    #expect(request.headers["x-amz-checksum-crc32"] == CRC32(Array(body.utf8)).base64)
  }

  @Test func `a condition is each key's own`() throws {
    let request = try DeleteObjects([.init(key: "a", ifMatch: "abc"), .init(key: "b")]).request()
    let body = try text(of: request.body)
    #expect(
      body.contains(
        "<Object><Key>a</Key><ETag>&quot;abc&quot;</ETag></Object><Object><Key>b</Key></Object>"))
    #expect(DeleteObject(key: "a", ifMatch: "abc").request().headers["If-Match"] == "\"abc\"")
  }

  @Test func `no keys, too many and keys that XML cannot carry are refused before anything is sent`() {
    #expect(throws: S3Error.self) { try DeleteObjects(keys: []).request() }
    #expect(throws: S3Error.self) { try DeleteObjects(keys: Array(repeating: "k", count: 1_001)).request() }
    #expect(throws: S3Error.self) { try DeleteObjects(keys: ["a\u{1}"]).request() }
    #expect(throws: Never.self) { try DeleteObjects(keys: Array(repeating: "k", count: 1_000)).request() }
  }
}
