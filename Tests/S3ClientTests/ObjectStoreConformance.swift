import Digests
import HTTPTransport
import S3Client
import TestSupport
import Testing

/// What every store must do for the mirror to keep its promises; the fake and a real server alike.
@Suite struct ObjectStoreConformance {
  static let stores = StoreUnderTest.available

  /// Keys that something on the way may be tempted to change.
  static let oddKeys = [
    "space in it", "plus+plus", "percent%41%2F%", "amp&lt;", "hash#x", "question?x=y", "quotes\"'`",
    "emoji-\u{1F600}",
    "nfc-caf\u{e9}", "nfd-cafe\u{301}", "semi;colon=equals", "<angle>", "~tilde!*'()",
    "comma,at@colon:",
    "brackets[]{}|^", "trailing space ", "\u{65e5}\u{672c}", "deep/er/path", "dot.and..dots",
  ]

  /// SeaweedFS 4.48 takes a backslash for a slash, so this one is asked of the fakes only.
  static let backslashed = "back\\slash"

  private func put(_ store: any ObjectStore, _ key: String, _ text: String) async throws -> PutObject.Output {
    try await store.send(PutObject(key: key, body: BytesBody(Array(text.utf8))))
  }

  private func keys(of store: any ObjectStore, prefix: String) async throws -> [[UInt8]] {
    var keys: [[UInt8]] = []
    for try await page in store.listing(prefix: prefix) { keys += page.objects.map { Array($0.key.utf8) } }
    return keys.sorted { $0.lexicographicallyPrecedes($1) }
  }

  @Test(arguments: stores)
  func `an object is read back as it was written`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let bytes = Array("hello, object".utf8)
      let written = try await store.send(
        PutObject(
          key: prefix + "o", body: BytesBody(bytes), contentType: "text/plain",
          metadata: ["mtime": "1700000000.5"],
          checksumCRC32: CRC32(bytes), payloadSHA256: hexadecimal(sha256(bytes))))
      #expect(written.etag == hexadecimal(md5(bytes)))
      let head = try await store.send(HeadObject(key: prefix + "o"))
      #expect(head.byteCount == Int64(bytes.count))
      #expect(head.etag == written.etag)
      #expect(head.contentType == "text/plain")
      #expect(head.metadata["mtime"] == "1700000000.5")
      if written.checksumWasEchoed { #expect(head.fullObjectCRC32 == CRC32(bytes)) }
      let modified = try #require(head.lastModified)
      // AWS allows clocks 15 minutes apart.
      #expect(abs(modified - FakeClock.system()) < 15 * 60 * 1_000_000_000)
      let read = try await store.send(GetObject(key: prefix + "o"))
      #expect(read.body == bytes)
      #expect(read.contentRange == nil)
      let sink = RecordingSink()
      _ = try await store.send(GetObject(key: prefix + "o", sink: sink))
      #expect(sink.bytes == bytes)
    }
  }

  @Test(arguments: stores)
  func `an empty object is an object`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      _ = try await put(store, prefix + "empty", "")
      #expect(try await store.send(HeadObject(key: prefix + "empty")).byteCount == 0)
      #expect(try await store.send(GetObject(key: prefix + "empty")).body.isEmpty)
    }
  }

  @Test(arguments: stores)
  func `keys arrive, are listed and deleted byte for byte`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let oddKeys = Self.oddKeys + (kind == .server ? [] : [Self.backslashed])
      for key in oddKeys { _ = try await put(store, prefix + key, key) }
      let written = oddKeys.map { Array((prefix + $0).utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
      #expect(try await keys(of: store, prefix: prefix) == written)
      for key in oddKeys {
        let body = try await store.send(GetObject(key: prefix + key)).body
        #expect(body == Array(key.utf8), "\(key)")
      }
      let output = try await store.send(DeleteObjects(keys: oddKeys.map { prefix + $0 }))
      #expect(output.failures.isEmpty)
      #expect(try await keys(of: store, prefix: prefix).isEmpty)
    }
  }

  @Test(arguments: stores)
  func `a delete with a condition spares what is another object`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let (one, two, three) = (prefix + "one", prefix + "two &", prefix + "three")
      let etag = try await put(store, one, "1").etag
      for key in [two, three] { _ = try await put(store, key, "2") }
      let alone = await #expect(throws: S3Error.self) {
        _ = try await store.send(DeleteObject(key: three, ifMatch: etag))
      }
      #expect(alone?.isPreconditionFailed == true)
      let together = try await store.send(
        DeleteObjects([.init(key: one, ifMatch: etag), .init(key: two, ifMatch: etag), .init(key: three)]))
      // Where the first answer was lost, the key is missing the second time.
      let spared = together.failures.filter { !$0.isMissingKey }
      #expect(spared.map(\.key) == [two])
      #expect(spared.map(\.isPreconditionFailed) == [true])
      let left = try await keys(of: store, prefix: prefix)
      #expect(left == [Array(two.utf8)])
    }
  }

  @Test(arguments: stores)
  func `a listing begins after any key`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      for key in ["a", "b/1", "b/2", "c +%"] { _ = try await put(store, prefix + key, "x") }
      for (start, rest) in [("b/1", ["b/2", "c +%"]), ("b/15", ["b/2", "c +%"]), ("c +", ["c +%"])] {
        let page = try await store.send(ListObjectsV2(prefix: prefix, startAfter: prefix + start))
        #expect(page.objects.map(\.key) == rest.map { prefix + $0 })
      }
    }
  }

  @Test(arguments: stores)
  func `a prefix is bytes, and paging loses nothing`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let inside = (0..<7).map { "a b+/x \($0)" }
      for key in inside + ["a b+2", "a", "a b/y"] { _ = try await put(store, prefix + key, "x") }
      var found: [String] = []
      var operation = ListObjectsV2(prefix: prefix + "a b+/", limit: 3)
      var pages = 0
      while true {
        let page = try await store.send(operation)
        #expect(page.objects.count <= 3)
        found += page.objects.map(\.key)
        pages += 1
        guard page.isTruncated, pages < 10 else { break }
        operation.continuationToken = page.nextContinuationToken
      }
      #expect(found.sorted() == inside.map { prefix + $0 })
      #expect(pages >= 3)
    }
  }

  @Test(arguments: stores)
  func `a delimiter shows one level`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      for key in ["top", "d 1/a", "d 1/b/c", "d+2/a"] { _ = try await put(store, prefix + key, "x") }
      var objects: [String] = []
      var directories: [String] = []
      for try await page in store.listing(prefix: prefix, delimiter: "/") {
        objects += page.objects.map(\.key)
        directories += page.commonPrefixes
      }
      #expect(objects == [prefix + "top"])
      #expect(directories.sorted() == [prefix + "d 1/", prefix + "d+2/"])
    }
  }

  @Test(arguments: stores)
  func `a listing tells size, tag and time as HEAD does`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let written = try await put(store, prefix + "o", "12345")
      let page = try await store.send(ListObjectsV2(prefix: prefix))
      let listed = try #require(page.objects.first)
      let head = try await store.send(HeadObject(key: prefix + "o"))
      #expect(listed.byteCount == 5)
      #expect(listed.etag == written.etag)
      let listedAt = try #require(listed.lastModified)
      let headAt = try #require(head.lastModified)
      // HEAD has whole seconds.
      #expect(listedAt / 1_000_000_000 == headAt / 1_000_000_000)
      #expect(page.serverDate != nil)
    }
  }

  @Test(arguments: stores)
  func `what is not there is not found, and deleting it succeeds`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let missing = prefix + "none"
      let head = await #expect(throws: S3Error.self) { try await store.send(HeadObject(key: missing)) }
      #expect(head?.isNotFound == true)
      let get = await #expect(throws: S3Error.self) { try await store.send(GetObject(key: missing)) }
      #expect(get?.code == "NoSuchKey")
      _ = try await store.send(DeleteObject(key: missing))
      #expect(try await store.send(DeleteObjects(keys: [missing])).failures.isEmpty)
      #expect(try await keys(of: store, prefix: prefix).isEmpty)
    }
  }

  @Test(arguments: stores)
  func `ranges are cut at the end and pinned to a version`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let key = prefix + "o"
      let first = try await put(store, key, "0123456789")
      let middle = try await store.send(GetObject(key: key, range: 2...4, ifMatch: first.etag))
      #expect(middle.body == Array("234".utf8))
      #expect(middle.head.byteCount == 10)
      let end = try await store.send(GetObject(key: key, range: 8...99))
      #expect(end.body == Array("89".utf8))
      #expect(end.contentRange?.bytes == 8...9)
      let beyond = await #expect(throws: S3Error.self) {
        try await store.send(GetObject(key: key, range: 10...20))
      }
      #expect(beyond?.status == 416)
      _ = try await put(store, key, "another...")
      let stale = await #expect(throws: S3Error.self) {
        try await store.send(GetObject(key: key, range: 2...4, ifMatch: first.etag))
      }
      #expect(stale?.status == 412)
    }
  }

  @Test(arguments: stores)
  func `damaged bytes are refused where the server knows the checksum`(kind: StoreUnderTest) async throws {
    try await kind.run { store, prefix in
      let right = try await store.send(
        PutObject(key: prefix + "right", body: BytesBody([1]), checksumCRC32: CRC32([1])))
      guard right.checksumWasEchoed else { return }
      let error = await #expect(throws: S3Error.self) {
        try await store.send(
          PutObject(key: prefix + "wrong", body: BytesBody([1]), checksumCRC32: CRC32([2])))
      }
      #expect(error?.isRetryable == true)
      #expect(try await keys(of: store, prefix: prefix) == [Array((prefix + "right").utf8)])
    }
  }

  @Test(arguments: stores)
  func `a copy on the server keeps bytes and metadata, and is pinned to its source`(kind: StoreUnderTest)
    async throws
  {
    try await kind.run { store, prefix in
      let from = prefix + "from +%\u{e9}"
      let to = prefix + "to"
      let written = try await store.send(
        PutObject(key: from, body: BytesBody([1, 2, 3]), metadata: ["mtime": "5"]))
      let source = CopySource(bucket: store.bucket, key: from, ifMatch: written.etag)
      let copied = try await store.send(CopyObject(key: to, source: source))
      #expect(copied.etag == written.etag)
      let head = try await store.send(HeadObject(key: to))
      #expect(head.metadata["mtime"] == "5")
      #expect(head.byteCount == 3)
      let replaced = CopyObject(
        key: to, source: source, metadata: .replaced(["mtime": "6"], contentType: "a/b"))
      _ = try await store.send(replaced)
      #expect(try await store.send(HeadObject(key: to)).metadata["mtime"] == "6")
      _ = try await put(store, from, "changed")
      let stale = await #expect(throws: S3Error.self) {
        try await store.send(CopyObject(key: to, source: source))
      }
      #expect(stale?.status == 412)
      #expect(try await store.send(GetObject(key: to)).body == [1, 2, 3])
    }
  }

  @Test(arguments: stores)
  func `the bucket answers for itself`(kind: StoreUnderTest) async throws {
    try await kind.run { store, _ in
      let bucket = try await store.send(HeadBucket())
      #expect(bucket.serverDate != nil)
    }
  }
}
