import HTTPTransport
import S3Client
import TestSupport
import Testing

/// An operation and an answer to it that is right.
struct AnsweredOperation: Sendable, CustomTestStringConvertible {
  let operation: any S3Operation
  let answer: S3Response

  init(_ operation: any S3Operation, _ body: String = "", status: Int = 200, headers: HTTPHeaders = [:]) {
    self.operation = operation
    answer = S3Response(
      bucket: "b", key: operation.key,
      http: HTTPResponse(status: status, headers: headers, body: Array(body.utf8)))
  }

  var testDescription: String { type(of: operation).name }

  /// Reads an answer, as a store does.
  func read(_ answer: S3Response) throws {
    func read(_ operation: some S3Operation) throws { _ = try operation.output(from: answer) }
    try read(operation)
  }

  func answer(without header: String) -> S3Response {
    var answer = answer
    answer.http.headers[header] = nil
    return answer
  }

  func answer(with header: String, _ value: String) -> S3Response {
    var answer = answer
    answer.http.headers[header] = value
    return answer
  }

  func answer(replacing text: String, by other: String) -> S3Response {
    var answer = answer
    let body = String(decoding: answer.http.body, as: UTF8.self)
    answer.http.body = Array(
      body.split(separator: text, omittingEmptySubsequences: false).joined(separator: other).utf8)
    return answer
  }

  private static let source = CopySource(bucket: "b", key: "s")
  static let put = AnsweredOperation(PutObject(key: "k", body: BytesBody([])), headers: ["ETag": "e"])
  static let part = AnsweredOperation(
    UploadPart(key: "k", uploadID: "u", number: 1, body: BytesBody([])), headers: ["ETag": "e"])
  static let head = AnsweredOperation(
    HeadObject(key: "k"), headers: ["ETag": "e", "Content-Length": "3"])
  static let get = AnsweredOperation(
    GetObject(key: "k"), "abc", headers: ["ETag": "e", "Content-Length": "3"])
  static let range = AnsweredOperation(
    GetObject(key: "k", range: 2...4), "abc", status: 206,
    headers: ["ETag": "e", "Content-Length": "3", "Content-Range": "bytes 2-4/9"])
  static let delete = AnsweredOperation(DeleteObject(key: "k"), status: 204)
  static let deleteMany = AnsweredOperation(
    DeleteObjects(keys: ["k"]), "<DeleteResult><Deleted><Key>k</Key></Deleted></DeleteResult>")
  static let copy = AnsweredOperation(
    CopyObject(key: "k", source: source), "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
  static let partCopy = AnsweredOperation(
    UploadPartCopy(key: "k", uploadID: "u", number: 1, source: source),
    "<CopyPartResult><ETag>e</ETag></CopyPartResult>")
  static let create = AnsweredOperation(
    CreateMultipartUpload(key: "k"),
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
  static let complete = AnsweredOperation(
    CompleteMultipartUpload(key: "k", uploadID: "u", parts: []),
    "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
  static let abort = AnsweredOperation(AbortMultipartUpload(key: "k", uploadID: "u"), status: 204)
  static let list = AnsweredOperation(
    ListObjectsV2(continuationToken: "t"),
    "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>n</NextContinuationToken>"
      + "<Contents><Key>k</Key><Size>1</Size></Contents></ListBucketResult>")
  static let parts = AnsweredOperation(
    ListParts(key: "k", uploadID: "u"),
    "<ListPartsResult><IsTruncated>false</IsTruncated>"
      + "<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part></ListPartsResult>")
  static let uploads = AnsweredOperation(
    ListMultipartUploads(),
    "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
      + "<Upload><Key>k</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>")
  static let headBucket = AnsweredOperation(HeadBucket())

  static let all = [
    put, part, head, get, range, delete, deleteMany, copy, partCopy, create, complete, abort, list, parts,
    uploads, headBucket,
  ]
}

@Suite struct MalformedAnswerTests {
  @Test(arguments: AnsweredOperation.all)
  func `an answer with what S3 must send is read`(operation: AnsweredOperation) throws {
    try operation.read(operation.answer)
  }

  private func expectMalformed(_ operation: AnsweredOperation, _ answer: S3Response) {
    let error = #expect(throws: S3Error.self) { try operation.read(answer) }
    #expect(["MalformedAnswer", "RangeIgnored"].contains(error?.code))
    #expect(error?.isRetryable == true)
  }

  @Test(
    .promise("XFER-6"),
    arguments: AnsweredOperation.all,
    [
      "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body><br>Welcome</body></html>",
      "<html><body>Welcome</body></html>", "<HTML></HTML>", "Welcome to the hotel", "{\"login\":true}",
    ])
  func `a success with a page of a captive portal is tried again`(operation: AnsweredOperation, page: String)
  {
    var http = HTTPResponse(
      status: 200, headers: ["Content-Type": "text/html", "Content-Length": String(page.utf8.count)])
    // HEAD's page is only announced.
    if !operation.testDescription.hasPrefix("Head") { http.body = Array(page.utf8) }
    expectMalformed(operation, S3Response(bucket: "b", key: operation.operation.key, http: http))
  }

  @Test(.promise("XFER-6"))
  func `a success without an ETag is tried again, whatever was written or read`() {
    let inHead = [AnsweredOperation.put, .part, .head, .get, .range]
    for operation in inHead {
      expectMalformed(operation, operation.answer(without: "ETag"))
      expectMalformed(operation, operation.answer(with: "ETag", "\"\""))
    }
    for operation in [AnsweredOperation.copy, .partCopy, .complete, .parts] {
      expectMalformed(operation, operation.answer(replacing: "<ETag>e</ETag>", by: ""))
      expectMalformed(operation, operation.answer(replacing: "<ETag>e</ETag>", by: "<ETag/>"))
    }
  }

  @Test(
    .promise("XFER-6"),
    arguments: [
      (AnsweredOperation.create, "<UploadId>u</UploadId>", ""), (.uploads, "<UploadId>u</UploadId>", ""),
      (.uploads, "<Key>k</Key>", ""), (.parts, "<Size>1</Size>", ""), (.parts, "<Size>1<", "<Size>-1<"),
      (.parts, "<PartNumber>1<", "<PartNumber>0<"), (.parts, "<PartNumber>1<", "<PartNumber>10001<"),
      (.list, "<IsTruncated>true</IsTruncated>", ""), (.list, "<IsTruncated>true<", "<IsTruncated>maybe<"),
      (.list, "<NextContinuationToken>n</NextContinuationToken>", ""),
      (.list, "<NextContinuationToken>n<", "<NextContinuationToken>t<"), (.list, "<Key>k</Key>", ""),
      (.list, "<Size>1</Size>", ""), (.list, "<Size>1<", "<Size>-1<"),
      (.list, "<Size>1<", "<Size>99999999999999999999<"),
    ])
  func `a document that lacks what S3 must send is tried again`(
    operation: AnsweredOperation, text: String, other: String
  ) {
    expectMalformed(operation, operation.answer(replacing: text, by: other))
  }

  @Test(arguments: ["true", " True\n", "TRUE"])
  func `a truncated page is told in every spelling`(value: String) throws {
    let answer = AnsweredOperation.list.answer(replacing: ">true<", by: ">\(value)<")
    #expect(try ListObjectsV2().output(from: answer).isTruncated)
  }

  @Test func `an object whose length is missing or wrong is tried again`() {
    for operation in [AnsweredOperation.head, .get, .range] {
      expectMalformed(operation, operation.answer(without: "Content-Length"))
      expectMalformed(operation, operation.answer(with: "Content-Length", "-3"))
      expectMalformed(operation, operation.answer(with: "Content-Length", "three"))
    }
    for operation in [AnsweredOperation.get, .range] {
      expectMalformed(operation, operation.answer(with: "Content-Length", "4"))
    }
  }

  @Test(
    .promise("XFER-6"),
    arguments: [
      "bytes 0-2/9", "bytes 2-3/9", "bytes 2-5/9", "bytes 2-4/*", "bytes 2-4/2", "bytes 4-2/9", "2-4/9",
      "bytes -2-4/9",
    ])
  func `a part of the object other than the one asked for is tried again`(contentRange: String) {
    expectMalformed(.range, AnsweredOperation.range.answer(with: "Content-Range", contentRange))
  }

  @Test func `the whole where a part was asked for, and a part where the whole was, are tried again`() {
    var whole = AnsweredOperation.range.answer(without: "Content-Range")
    whole.http.status = 200
    expectMalformed(.range, whole)
    expectMalformed(.range, AnsweredOperation.range.answer(without: "Content-Range"))
    var part = AnsweredOperation.get.answer(with: "Content-Range", "bytes 0-2/9")
    part.http.status = 206
    expectMalformed(.get, part)
  }

  @Test func `a server that does not know If-Match is found out before a byte is taken`() throws {
    let sink = RecordingSink()
    let get = GetObject(key: "k", ifMatch: "mine", sink: sink)
    let wrapped = try #require(get.request().sink)
    let error = #expect(throws: S3Error.self) { try wrapped.begin(AnsweredOperation.get.answer.http) }
    #expect(error?.isPreconditionFailed == true)
    #expect(error?.isRetryable == false)
    #expect(sink.begun == 0)
  }

  @Test func `a page never reaches a sink`() throws {
    let sink = RecordingSink()
    for range in [nil, Int64(0)...9] as [ClosedRange<Int64>?] {
      let wrapped = try #require(GetObject(key: "k", range: range, sink: sink).request().sink)
      #expect(throws: S3Error.self) {
        try wrapped.begin(HTTPResponse(status: 200, headers: ["Content-Length": "10"]))
      }
    }
    #expect(sink.begun == 0)
  }

  @Test func `a head without a body is no page, though its type says HTML, as OpenStack Swift's does`() throws
  {
    for operation in [AnsweredOperation.headBucket, .put, .delete] {
      var answer = operation.answer(with: "Content-Type", "text/html; charset=UTF-8")
      answer.http.headers["Content-Length"] = "0"
      try operation.read(answer)
    }
  }

  @Test func `an error under a success is that error, where no body is due`() {
    for operation in [AnsweredOperation.put, .part, .delete, .abort] {
      var answer = operation.answer
      answer.http.status = 200
      answer.http.body = Array("<Error><Code>SlowDown</Code></Error>".utf8)
      let error = #expect(throws: S3Error.self) { try operation.read(answer) }
      #expect(error?.code == "SlowDown")
      #expect(error?.isRetryable == true)
    }
  }

  @Test func `a page in the place of a publication does not publish: the request is sent again`() async throws
  {
    let client = ScriptedClient([
      .answer(200, "<html><body>Log in</body></html>", ["ETag": "\"page\""]),
      .answer(200, ""),
      .answer(200, "", ["ETag": "\"real\""]),
    ])
    let store = RetryingStore(S3Bucket.scripted(client), pause: { _ in })
    let answer = try await store.send(PutObject(key: "latest", body: BytesBody([1])))
    #expect(answer.etag == "real")
    #expect(await client.requests.count == 3)
  }

  @Test(.promise("XFER-6"))
  func `a key that the answer to a delete does not name is not deleted`() throws {
    let answered = DeleteObjects(keys: ["named", "caf\u{e9}", "cafe\u{301}", "failed", "silent"])
    let output = try answered.output(
      from: answer(
        "<DeleteResult><Deleted><Key>named</Key></Deleted><Deleted><Key>caf\u{e9}</Key></Deleted>"
          + "<Error><Key>failed</Key><Code>AccessDenied</Code></Error>"
          + "<Error><Code>InternalError</Code></Error></DeleteResult>"))
    #expect(output.failures.map(\.key) == ["failed", "cafe\u{301}", "silent"])
    #expect(output.failures.map(\.code) == ["AccessDenied", "MalformedAnswer", "MalformedAnswer"])
    #expect(output.failures.map(\.isRetryable) == [false, true, true])
  }
}
