import HTTPTransport
import TestSupport
import Testing

@testable import S3Client

/// Answers that are damaged, cut, swollen and mixed. A parser may refuse them; it must neither trap nor take them for what they are not.
///
/// `S3MIRROR_FUZZ_ROUNDS=1000000 swift test --filter AnswerFuzzTests` gives them as many as one likes.
@Suite struct AnswerFuzzTests {
  private static let tokens = [
    "<", ">", "&", ";", "&#8;", "&#x0;", "&#xD800;", "&amp;", "%", "%2", "%FF", "+", "\u{8}", "\0",
    "\u{10FFFD}",
    "<![CDATA[", "]]>", "<!--", "-->", "<!DOCTYPE x>", "<Contents>", "</Contents>", "<Key>", "</Key>",
    "<Size>",
    "</ListBucketResult>", "<IsTruncated>true</IsTruncated>", "<Error>", "xmlns:s3=\"x\"", "\r\n", "'", "\"",
    "/>",
  ]

  private static func response(_ bytes: [UInt8], status: Int = 200) -> S3Response {
    S3Response(bucket: "b", key: "k", http: HTTPResponse(status: status, body: bytes))
  }

  /// What holds for every page, and for both parsers of it.
  ///
  /// - Parameter scan: the parser that is tried.
  private static func checkListing(_ bytes: [UInt8], scan: ([UInt8]) -> ListObjectsV2.Output?) throws {
    let parsed: ListObjectsV2.Output?
    do {
      parsed = try ListObjectsV2().parsedOutput(from: response(bytes))
    } catch is S3Error {
      parsed = nil
    }
    for page in [scan(bytes), parsed].compactMap(\.self) {
      if page.objects.contains(where: { $0.byteCount < 0 }) { throw Fuzzer.Complaint("a negative size") }
      if page.nextContinuationToken?.isEmpty == true { throw Fuzzer.Complaint("an empty token") }
    }
    guard let scanned = scan(bytes) else { return }
    guard let parsed else { throw Fuzzer.Complaint("the scanner takes what is no XML, or no whole page") }
    if String(describing: scanned) != String(describing: parsed) {
      throw Fuzzer.Complaint("the scanner reads \(scanned), the general parser \(parsed)")
    }
  }

  private static var listings: Fuzzer {
    Fuzzer("listings", corpus: ListingScannerTests.readable + ListingScannerTests.unknown, tokens: tokens)
  }

  @Test func `listings`() throws {
    try Self.listings.run { try Self.checkListing($0, scan: ListingScanner.page) }
  }

  @Test
  func `a scanner that is wrong is found: one that loses an object, one that needs no end, one that wraps`()
    throws
  {
    func expectFound(_ scan: ([UInt8]) -> ListObjectsV2.Output?) {
      #expect(throws: Fuzzer.Finding.self) {
        try Self.listings.run { try Self.checkListing($0, scan: scan) }
      }
    }
    expectFound { bytes in
      var page = ListingScanner.page(bytes)
      if (page?.objects.count ?? 0) > 1 { page?.objects.removeLast() }
      return page
    }
    expectFound { bytes in
      ListingScanner.page(bytes) ?? ListingScanner.page(bytes + Array("</ListBucketResult>".utf8))
    }
    expectFound { bytes in
      var page = ListingScanner.page(bytes)
      for index in page?.objects.indices ?? 0..<0 { page?.objects[index].byteCount &+= .max }
      return page
    }
  }

  /// Every other document, and every operation that reads one.
  private static let documents = [
    "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"
      + "<ChecksumType>FULL_OBJECT</ChecksumType><Part><PartNumber>1</PartNumber><Size>5242880</Size>"
      + "<ETag>&quot;e&quot;</ETag><LastModified>2026-01-31T12:00:00.000Z</LastModified></Part></ListPartsResult>",
    "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
      + "<NextKeyMarker>a%2Bb</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>a+b</Key>"
      + "<UploadId>u</UploadId><Initiated>2026-01-31T12:00:00.000Z</Initiated></Upload></ListMultipartUploadsResult>",
    "<DeleteResult><Deleted><Key>k</Key></Deleted><Error><Key>l</Key><Code>AccessDenied</Code></Error></DeleteResult>",
    "<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>"
      + "</CompleteMultipartUploadResult>",
    "<CopyObjectResult><ETag>e</ETag><LastModified>2026-01-31T12:00:00Z</LastModified></CopyObjectResult>",
    "<CopyPartResult><ETag>e</ETag></CopyPartResult>",
    "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SlowDown</Code><Message>m &#8;</Message>"
      + "<RequestId>r</RequestId><Region>eu-west-1</Region><ArgumentName>x</ArgumentName></Error>",
    "<html><body>no</body></html>", "",
  ]

  @Test func `documents of every operation, and errors`() throws {
    let source = CopySource(bucket: "b", key: "s")
    let operations: [any S3Operation] = [
      ListParts(key: "k", uploadID: "u", after: 1), ListMultipartUploads(), DeleteObjects(keys: ["k", "l"]),
      CompleteMultipartUpload(key: "k", uploadID: "u", parts: [], fullObjectCRC32: .init()),
      CopyObject(key: "k", source: source),
      UploadPartCopy(key: "k", uploadID: "u", number: 1, source: source),
      CreateMultipartUpload(key: "k"), DeleteObject(key: "k"), PutObject(key: "k", body: BytesBody([])),
    ]
    try Fuzzer("documents", corpus: Self.documents, tokens: Self.tokens).run { bytes in
      for operation in operations {
        do {
          try Self.check(operation, bytes)
        } catch let error as S3Error {
          if error.code.isEmpty { throw Fuzzer.Complaint("an error without a code") }
        }
      }
      let error = S3Error(answer: Self.response(bytes, status: 503), operation: "PutObject")
      if error.code.isEmpty || !error.isRetryable { throw Fuzzer.Complaint("a 503 that is not tried again") }
    }
  }

  private static func check(_ operation: some S3Operation, _ bytes: [UInt8]) throws {
    switch try operation.output(from: response(bytes)) {
    case let parts as ListParts.Output:
      let isSound = parts.parts.allSatisfy { (1...10_000).contains($0.number) && $0.byteCount >= 0 }
      if !isSound || parts.next.map({ $0 <= 1 }) == true { throw Fuzzer.Complaint("a part that is none") }
    case let answer as DeleteObjects.Output:
      let text = String(decoding: bytes, as: UTF8.self)
      if answer.failures.isEmpty, !text.contains("Deleted") {
        throw Fuzzer.Complaint("a delete that nothing confirms")
      }
    case let answer as CreateMultipartUpload.Output:
      if answer.uploadID.isEmpty { throw Fuzzer.Complaint("an upload without an ID") }
    case is PutObject.Output: throw Fuzzer.Complaint("a publication without an ETag")
    default: break
    }
  }

  @Test func `text with any characters is read as it was written, or is known to be damaged`() throws {
    var random = SplitMix64(seed: 7)
    let scalars: [UInt32] = [
      0, 1, 8, 9, 10, 0x1F, 0x20, 0x26, 0x3C, 0x5D, 0x7F, 0xE9, 0xFFFD, 0xFFFE, 0xFFFF, 0x10FFFD, 0x10FFFF,
    ]
    for _ in 0..<2_000 {
      var (written, expected) = ("", "")
      for _ in 0..<random.below(8) {
        guard let scalar = Unicode.Scalar(scalars[random.below(scalars.count)]) else { continue }
        expected.unicodeScalars.append(scalar)
        let isMarkup = [0x26, 0x3C, 0x5D].contains(scalar.value)
        if isMarkup || random.below(2) == 0 {
          written += random.below(2) == 0 ? "&#\(scalar.value);" : "&#x\(String(scalar.value, radix: 16));"
        } else {
          written.unicodeScalars.append(scalar)
        }
      }
      let tree = try XMLTree.parsing(Array("<A>\(written)</A>".utf8)).get()
      #expect(Array(tree.text.utf8) == Array(expected.utf8))
      #expect(!tree.isDamaged)
    }
  }

  @Test func `heads: dates, lengths, ranges and tags`() throws {
    let corpus = [
      "Sun, 06 Nov 1994 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "2026-01-31T12:00:00.000Z",
      "2026-01-31T12:00:00+02:00", "bytes 0-499/1234", "bytes 0-499/*", "12345", "\"abc-2\"", "W/\"abc\"",
      "1.5",
    ]
    try Fuzzer("heads", corpus: corpus, tokens: ["-", "/", ":", ".", " ", "GMT", "bytes", "*", "nan", "inf"])
      .run {
        bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        let headers: HTTPHeaders = [
          "ETag": text, "Content-Length": text, "Content-Range": text, "Date": text, "Last-Modified": text,
          "Retry-After": text,
        ]
        for range in [nil, Int64(0)...499] as [ClosedRange<Int64>?] {
          let http = HTTPResponse(status: range == nil ? 200 : 206, headers: headers)
          guard ObjectHead.fault(in: http, range: range) == nil else { continue }
          if ObjectHead(headers).byteCount < 0 { throw Fuzzer.Complaint("a negative length") }
        }
        for date in [S3Date.nanoseconds(httpDate: text), S3Date.nanoseconds(iso8601: text)].compactMap(\.self)
        {
          // A difference of two must not overflow.
          _ = date - Int64.max / 2
          _ = S3Date.httpDate(nanoseconds: date)
        }
        let response = S3Response(bucket: "b", key: nil, http: HTTPResponse(status: 503, headers: headers))
        let error = S3Error(answer: response, operation: "PutObject")
        let delay = RetryPolicy().delaySeconds(retry: 1, random: 0.5, retryAfter: error.retryAfterSeconds)
        if !(0...120).contains(delay) { throw Fuzzer.Complaint("a pause of \(delay) s") }
      }
  }
}
