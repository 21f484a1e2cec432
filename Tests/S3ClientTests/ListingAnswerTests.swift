import HTTPTransport
import S3Client
import TestSupport
import Testing

@Suite struct ListObjectsV2Tests {
  @Test func `a page is read whatever its order, its ETags' spelling and its unknown elements`() throws {
    let page = try ListObjectsV2().output(
      from: answer(
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
          <IsTruncated>true</IsTruncated>
          <Contents><Size>5</Size><Owner><ID>x</ID></Owner><ETag>&#34;e1&#34;</ETag><Key>a</Key>
            <LastModified>2024-02-29T12:00:00.000Z</LastModified></Contents>
          <Unknown><Key>no</Key></Unknown>
          <Contents><Key>b+c%2Bd%25%26%23%22</Key><ETag>"e2"</ETag><Size>0</Size></Contents>
          <Contents><Key>caf%C3%A9%20</Key><ETag>e3</ETag><Size>7</Size></Contents>
          <CommonPrefixes><Prefix>dir+x/</Prefix></CommonPrefixes>
          <NextContinuationToken>t+%3D/==</NextContinuationToken>
          <EncodingType>url</EncodingType>
        </ListBucketResult>
        """, headers: ["date": "Thu, 29 Feb 2024 12:00:01 GMT"]))
    #expect(
      page.objects.map { Array($0.key.utf8) } == ["a", "b c+d%&#\"", "caf\u{e9} "].map { Array($0.utf8) })
    #expect(page.objects.map(\.etag) == ["e1", "e2", "e3"])
    #expect(page.objects.map(\.byteCount) == [5, 0, 7])
    #expect(page.objects[0].lastModified == 1_709_208_000_000_000_000)
    #expect(page.commonPrefixes == ["dir x/"])
    // A token is opaque: it is not encoded as keys are.
    #expect(page.nextContinuationToken == "t+%3D/==")
    #expect(page.isTruncated)
    #expect(page.serverDate == 1_709_208_001_000_000_000)
  }

  @Test func `a server that ignores encoding-type sends keys as they are`() throws {
    let page = try ListObjectsV2().output(
      from: answer(
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a+b%20</Key><Size>1</Size></Contents></ListBucketResult>"
      ))
    #expect(page.objects.map(\.key) == ["a+b%20"])
  }

  @Test func `a key that is not UTF-8 is told, not mended`() throws {
    let page = try ListObjectsV2().output(
      from: answer(
        "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
          + "<Contents><Key>%FF</Key><Size>1</Size></Contents></ListBucketResult>"))
    #expect(page.objects.isEmpty)
    #expect(page.unreadableKeys == ["%FF"])
  }

  @Test func `keys with characters that XML 1.0 forbids are read, each as itself`() throws {
    func page(_ written: [UInt8]) throws -> ListObjectsV2.Output {
      let head = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>"
      let rest =
        "</Key><Size>1</Size></Contents><Contents><Key>plain</Key><Size>2</Size></Contents></ListBucketResult>"
      let answer = S3Response(
        bucket: "b", key: nil,
        http: HTTPResponse(status: 200, body: Array(head.utf8) + written + Array(rest.utf8)))
      return try ListObjectsV2().output(from: answer)
    }
    for written in ["a\u{8}", "a&#8;", "a&#x8;", "<![CDATA[a\u{8}]]>"] {
      #expect(try page(Array(written.utf8)).objects.map(\.key) == ["a\u{8}", "plain"])
    }
    for written in [Array("a".utf8) + [0xFF], Array("a&#xD800;".utf8)] {
      let damaged = try page(written)
      #expect(damaged.objects.map(\.key) == ["plain"])
      #expect(damaged.unreadableKeys.count == 1)
    }
  }

  @Test func `forbidden characters in other listings and in errors are read too`() throws {
    let parts = try ListParts(key: "k", uploadID: "u").output(
      from: answer(
        "<ListPartsResult><Key>a\u{8}</Key><Owner><DisplayName>&#1;</DisplayName></Owner><IsTruncated>false"
          + "</IsTruncated><Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part></ListPartsResult>"
      ))
    #expect(parts.parts.count == 1)
    let uploads = try ListMultipartUploads().output(
      from: answer(
        "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>a\u{8}</Key>"
          + "<UploadId>u</UploadId></Upload></ListMultipartUploadsResult>"))
    #expect(uploads.uploads.map(\.key) == ["a\u{8}"])
    let error = S3Error(
      answer: answer("<Error><Code>SlowDown</Code><Message>a\u{8}&#0;</Message></Error>", status: 400),
      operation: "PutObject")
    #expect(error.code == "SlowDown")
    #expect(error.isRetryable)
  }

  @Test(arguments: ["", "<html>welcome</html>", "<ListBucketResult><Contents><Key>a"])
  func `a success that is no listing is an error worth another try`(body: String) {
    let error = #expect(throws: S3Error.self) { try ListObjectsV2().output(from: answer(body)) }
    #expect(error?.code == "MalformedAnswer")
    #expect(error?.isRetryable == true)
  }

  @Test func `the request asks for encoded keys and leaves out what is not given`() {
    let bare = ListObjectsV2().request()
    #expect(bare.query.map(\.name) == ["list-type", "encoding-type"])
    let full = ListObjectsV2(prefix: "p/", delimiter: "/", continuationToken: "t", limit: 5).request()
    let names = full.query.map { "\($0.name)=\($0.value ?? "")" }
    #expect(
      names == [
        "list-type=2", "encoding-type=url", "prefix=p/", "delimiter=/", "continuation-token=t", "max-keys=5",
      ])
  }
}

@Suite struct ObjectListingTests {
  @Test func `all pages come, each object once`() async throws {
    let store = FakeObjectStore(behaviour: FakeBucket.Behaviour(pageLimit: 3))
    let keys = (0..<10).map { "k \($0)" }
    for key in keys { await store.place(key, [1]) }
    var found: [String] = []
    for try await page in store.listing() { found += page.objects.map(\.key) }
    #expect(found == keys)
    #expect(await store.count(of: "ListObjectsV2") == 4)
  }

  private func page(_ token: String) -> String {
    "<ListBucketResult><IsTruncated>true</IsTruncated>\(token)</ListBucketResult>"
  }

  @Test(arguments: ["", "<NextContinuationToken>same</NextContinuationToken>"])
  func `a truncated page that leads nowhere is an error, not an end`(token: String) async throws {
    let client = ScriptedClient(Array(repeating: .answer(200, page(token)), count: 3))
    let store = S3Bucket.scripted(client)
    let error = await #expect(throws: S3Error.self) { for try await _ in store.listing() {} }
    #expect(error?.code == "MalformedAnswer")
  }

  @Test(arguments: [(0, 2), (3, 2), (0, 7), (40, 100)])
  func `tokens that go round in a circle end the listing with an error`(tail: Int, circle: Int) async throws {
    let steps = (0..<1_000).map { number in
      let position = number < tail ? number : tail + (number - tail) % circle
      return ScriptedClient.Step.answer(
        200, page("<NextContinuationToken>\(position)</NextContinuationToken>"))
    }
    let client = ScriptedClient(steps)
    let error = await #expect(throws: S3Error.self) {
      for try await _ in S3Bucket.scripted(client).listing() {}
    }
    #expect(error?.code == "BrokenListing")
    #expect(await client.requests.count <= 3 * (tail + circle) + 2)
  }

  @Test func `a listing that never comes back is no circle, however long`() throws {
    var trail = PageTrail()
    for number in 0..<100_000 { try trail.follow("\(number)", of: "b") }
    // NFC and NFD are two tokens.
    var spelled = PageTrail()
    for token in ["caf\u{e9}", "cafe\u{301}"] { try spelled.follow(token, of: "b") }
  }
}

@Suite struct ListPartsTests {
  @Test func `parts are read with their checksums`() throws {
    let page = try ListParts(key: "k", uploadID: "u").output(
      from: answer(
        """
        <ListPartsResult><Part><ETag>"e1"</ETag><Size>5</Size><PartNumber>1</PartNumber>
        <ChecksumCRC32>AAAAAA==</ChecksumCRC32><LastModified>1970-01-01T00:00:01Z</LastModified></Part>
        <Part><PartNumber> 2 </PartNumber><ETag>e2</ETag><Size>6</Size></Part>
        <IsTruncated>true</IsTruncated><ChecksumType>FULL_OBJECT</ChecksumType></ListPartsResult>
        """))
    #expect(page.parts.map(\.number) == [1, 2])
    #expect(page.parts.map(\.etag) == ["e1", "e2"])
    #expect(page.parts.map(\.checksumCRC32) == ["AAAAAA==", nil])
    #expect(page.parts[0].lastModified == 1_000_000_000)
    // Without a marker the last part is where the next page begins.
    #expect(page.next == 2)
    #expect(page.checksumType == .fullObject)
  }

  @Test func `a part that a server repeats on the next page is dropped`() throws {
    let page = try ListParts(key: "k", uploadID: "u", after: 1).output(
      from: answer(
        "<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>e</ETag><Size>5</Size></Part>"
          + "<Part><PartNumber>2</PartNumber><ETag>e</ETag><Size>5</Size></Part></ListPartsResult>"))
    #expect(page.parts.map(\.number) == [2])
    #expect(page.next == nil)
  }

  @Test func `a marker that does not move on is an error`() {
    #expect(throws: S3Error.self) {
      try ListParts(key: "k", uploadID: "u", after: 7).output(
        from: answer(
          "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>7</NextPartNumberMarker>"
            + "</ListPartsResult>"))
    }
  }
}

@Suite struct ListMultipartUploadsTests {
  @Test(arguments: ["a b+", "caf\u{e9}+", "100%+", "<+>"])
  func `keys that a server only claims to have encoded are taken as they are`(key: String) throws {
    var document = RequestDocument(root: "ListMultipartUploadsResult")
    document.element("EncodingType", "url")
    for (number, name) in [key, "x+y"].enumerated() {
      document.open("Upload")
      document.element("Key", name)
      document.element("UploadId", "\(number)")
      document.close("Upload")
    }
    document.close("ListMultipartUploadsResult")
    let page = try ListMultipartUploads().output(
      from: answer(String(decoding: document.bytes, as: UTF8.self)))
    #expect(page.uploads.map { Array($0.key.utf8) } == [key, "x+y"].map { Array($0.utf8) })
  }

  @Test func `uploads outside the prefix are not taken, whatever the server sends`() throws {
    let page = try ListMultipartUploads(prefix: "a b/").output(
      from: answer(
        """
        <ListMultipartUploadsResult><EncodingType>url</EncodingType>
        <Upload><UploadId>2</UploadId><Key>a+b/x%2By</Key><Initiated>1970-01-01T00:00:02.000Z</Initiated></Upload>
        <Upload><UploadId>1</UploadId><Key>a+bc</Key></Upload>
        <IsTruncated>true</IsTruncated><NextKeyMarker>a+b/x%2By</NextKeyMarker>
        <NextUploadIdMarker>2</NextUploadIdMarker></ListMultipartUploadsResult>
        """))
    #expect(page.uploads.map(\.key) == ["a b/x+y"])
    #expect(page.uploads.map(\.initiated) == [2_000_000_000])
    #expect(page.next == ListMultipartUploads.Marker(key: "a b/x+y", uploadID: "2"))
    let next = ListMultipartUploads(prefix: "a b/", after: page.next).request()
    #expect(next.query.first { $0.name == "key-marker" }?.value == "a b/x+y")
    #expect(next.query.first { $0.name == "upload-id-marker" }?.value == "2")
  }
}
