import Digests
import Foundation
import HTTPTransport
import LocalTree
import LoopThread
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

@Suite struct PlanTests {
  @Test func `an upload's plan says what would go and why: data, then markers, then deletes`() async throws {
    let bench = try Workbench()
    for name in ["a/DONE", "a/new", "b", "same"] { try bench.tree.write(name, "1") }
    try bench.tree.write("changed", "2")
    await bench.store.place("b", Array("long".utf8), lastModified: future)
    await bench.store.place("changed", Array("1".utf8), lastModified: 0)
    await bench.store.place("same", Array("1".utf8), lastModified: 0)
    await bench.store.place("gone", [])
    #expect(
      try await bench.uploadPlan() == [
        "upload new a/new", "upload size b", "upload content changed", "upload new a/DONE (marker)",
        "delete extra gone",
      ])
    #expect(try await bench.uploadPlan(delete: false).last == "upload new a/DONE (marker)")
    #expect(await bench.writes == [])
  }

  @Test(.promise("DEL-14"))
  func `a plan says which deletes would be withheld and why`() async throws {
    let bench = try Workbench()
    try bench.tree.write("kept")
    for number in 10...30 { await bench.store.place("gone\(number)", []) }
    let lines = try await bench.uploadPlan()
    #expect(lines.first == "upload new kept")
    #expect(
      lines[1]
        == "withhold gone10: 21 of 21 objects would go, more than the bound; --max-delete N or none replaces it"
    )
    #expect(lines.count == 22)
    #expect(try await bench.uploadPlan(bound: .limit(21)).contains("delete extra gone10"))
    #expect(try await bench.uploadPlan(bound: .limit(20)).contains { $0.contains("withhold") })
    try bench.tree.remove("kept")
    let empty = try await bench.uploadPlan(bound: .limit(100))
    #expect(
      empty.allSatisfy { $0.hasSuffix("the local root is empty; --max-delete none deletes all the same") })
    #expect(try await bench.uploadPlan(bound: .unlimited).count == 21)
  }

  @Test(.promise("DEL-14"), arguments: [1, 1000]) func `an upload does what its plan said`(pageLimit: Int)
    async throws
  {
    let bench = try Workbench(.init(order: .tree, pageLimit: pageLimit))
    for name in ["a-b", "a/b", "a/c", "d"] { try bench.tree.write(name, name) }
    for key in ["a-b", "a/x", "y", "a/c"] { await bench.store.place(key, Array(key.utf8), lastModified: 0) }
    let plan = try await bench.uploadPlan()
    #expect(plan == ["upload new a/b", "upload new d", "delete extra a/x", "delete extra y"])
  }

  @Test func `a sync's upload leaves to its download what is later on S3`() async throws {
    let bench = try Workbench()
    try bench.tree.write("older", "12")
    try bench.tree.write("later", "12")
    await bench.store.place("older", [1], lastModified: future)
    await bench.store.place("later", [1], lastModified: 0)
    await bench.store.place("absent", [1])
    #expect(
      try await bench.uploadPlan(context: .afterDownload(.init(isOfPrefix: true))) == ["upload size later"])
    let job = try bench.job(mode: .resume)
    #expect(try await bench.downloadPlan(job) == ["download new absent", "download size older"])
  }

  @Test func `a download's plan makes no directory and fetches nothing`() async throws {
    let bench = try Workbench()
    for key in ["a/b", "c", "e/", "x", "x/y"] { await bench.store.place(key, [1]) }
    await bench.store.place("dir/", [])
    let local = bench.tree["not/yet"]
    let plan = try await bench.downloadPlan(bench.job(delete: true, local: local))
    #expect(
      plan == [
        "download new a/b", "download new c",
        "refuse x: S3 has both this object and objects below it; rename one of them", "download new x/y",
        "refuse e/: the key is refused: key \"e/\" has no safe local path: it ends in a slash, as a directory's does, "
          + "and has 1 bytes of content; rename the object or leave it out with exclude",
      ])
    #expect(try bench.tree.entries() == [])
    #expect(await bench.store.count(of: GetObject.name) == 0)
  }

  @Test(.promise("DEL-14"))
  func `a download's plan and the download agree, deletes included`() async throws {
    for order in [FakeBucket.ListingOrder.bytes, .tree] {
      let bench = try Workbench(.init(order: order, pageLimit: 2))
      for key in ["a-b", "a/b", "a/c", "d"] { await bench.store.place(key, Array(key.utf8)) }
      try bench.tree.write("a/b", "other")
      try bench.tree.write("mine/extra", "1")
      try bench.tree.write("d", "d")
      let job = try bench.job(delete: true)
      #expect(
        try await bench.downloadPlan(job) == [
          "download new a-b", "download size a/b", "download new a/c", "delete-local extra mine/extra",
        ])
      let outcome = try await job.run()
      #expect(outcome.files == 3)
      #expect(outcome.unchanged == 1)
      #expect(outcome.deleted == 1)
      #expect(try bench.tree.entries() == ["a-b", "a/", "a/b", "a/c", "d", "mine/"])
      #expect(try bench.tree.text("a/b") == "a/b")
      #expect(try await bench.downloadPlan(job) == [])
    }
  }

  @Test func `objects are fetched while the listing goes on`() async throws {
    let bench = try Workbench(.init(pageLimit: 1))
    for number in 10..<40 { await bench.store.place("\(number)", [1]) }
    let (fetched, signal) = AsyncStream<Void>.makeStream()
    await bench.store.hold { call in
      if call.operation == GetObject.name { signal.yield() }
      // The listing is at its tenth page: it does not go on until an object was asked for.
      if call.operation == ListObjectsV2.name, call.ordinal == 10 { for await _ in fetched { break } }
    }
    let outcome = try await bench.job().run()
    #expect(outcome.files == 30)
    #expect(await bench.store.count(of: ListObjectsV2.name) >= 30)
  }

  @Test func `a download that could not fetch everything deletes nothing`() async throws {
    let bench = try Workbench()
    await bench.store.place("a", [1])
    await bench.store.place("../climb", [1])
    try bench.tree.write("mine", "1")
    let job = try bench.job(delete: true)
    let outcome = try await job.run()
    #expect(outcome.withheldDeletes == 1)
    #expect(outcome.failures.map(\.path) == ["../climb"])
    #expect(bench.tree.exists("mine"))
    #expect(try await bench.downloadPlan(job).last == "withhold mine: . could not be seen in full")
  }

  /// Of the object alone, and of all that lies there.
  @Test(.promise("DOWN-9"), arguments: ["s3://bucket/a", "s3://bucket/"])
  func `a resumed run fetches nothing over what is later here, though the server's clock is ahead`(
    remote: String
  ) async throws {
    let bench = try Workbench(clock: { FakeClock.system() + 60_000_000_000 })
    await bench.store.place("a", [1])
    try bench.tree.write("a", "later")
    let local = remote.hasSuffix("/") ? bench.tree.path : bench.tree["a"]
    let job = try bench.job(remote, mode: .resume, local: local)
    #expect(try await bench.downloadPlan(job) == [])
    #expect(try await job.run().files == 0)
    #expect(try bench.tree.text("a") == "later")
  }

  @Test func `local deletes beyond the bound are withheld`() async throws {
    let bench = try Workbench()
    await bench.store.place("a", [1])
    for number in 10...30 { try bench.tree.write("mine\(number)") }
    let job = try bench.job(delete: true)
    #expect(
      try await bench.downloadPlan(job).last
        == "withhold mine30: 21 of 21 files would go, more than the bound; --max-delete N or none replaces it"
    )
    let outcome = try await job.run()
    #expect(outcome.withheldDeletes == 21)
    #expect(outcome.deleted == 0)
    let forced = try await bench.job(delete: true, bound: .limit(21)).run()
    #expect(forced.deleted == 21)
  }

  /// Such a listing is read anew, when what came first is here.
  @Test(arguments: [FakeBucket.ListingOrder.bytes, .tree])
  func `the bound counts the files that were here before, in whatever order S3 lists`(
    order: FakeBucket.ListingOrder
  ) async throws {
    let bench = try Workbench(.init(order: order, pageLimit: 5))
    for number in 10..<40 { await bench.store.place("a/\(number)", [1]) }
    await bench.store.place("a-b", [1])
    for number in 10..<21 { try bench.tree.write("mine\(number)") }
    let job = try bench.job(delete: true)
    #expect(try await bench.downloadPlan(job).count { $0.hasPrefix("withhold") } == 11)
    let outcome = try await job.run()
    #expect(outcome.files == 31)
    #expect(outcome.withheldDeletes == 11)
    #expect(outcome.deleted == 0)
  }

  @Test(.promise("DEL-16"))
  func `a local file that is written after the comparison is not deleted`() async throws {
    let bench = try Workbench()
    await bench.store.place("a", [1])
    try bench.tree.write("mine", "1")
    let tree = bench.tree
    await bench.store.hold { call in
      if call.operation == GetObject.name { try tree.write("mine", "newer") }
    }
    let outcome = try await bench.job(delete: true).run()
    #expect(outcome.withheld == ["mine": .rewritten])
    #expect(try bench.tree.text("mine") == "newer")
  }

  @Test func `a download with delete of nothing is an error`() async throws {
    let bench = try Workbench()
    try bench.tree.write("mine")
    await #expect(throws: MirrorError.self) { _ = try await bench.job(delete: true).run() }
    await #expect(throws: MirrorError.self) { _ = try await bench.downloadPlan(bench.job(delete: true)) }
    #expect(bench.tree.exists("mine"))
  }

  @Test func `planning a library's specs makes nothing, not even a log`() async throws {
    let bench = try Workbench()
    var options = Options()
    options.logDirectory = bench.tree["log"]
    options.endpointURL = "http://127.0.0.1:1"
    options.environment = ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "HOME": bench.tree.path]
    options.maxAttempts = 1
    let local = bench.tree["absent"]
    await #expect(throws: MirrorError.self) {
      _ = try await planMirror(["up": .upload("s3://bucket/x", local: local)], options: options) { _ in }
    }
    await #expect(throws: MirrorError.self) {
      _ = try await planMirror(["down": .download("s3://bucket/x", local: local)], options: options) { _ in }
    }
    #expect(try bench.tree.entries() == [])
  }
}

@Suite struct VerifyTests {
  @Test(.promise("CHG-9"))
  func `differences are told by size, then by content`() async throws {
    let bench = try Workbench()
    for name in ["equal", "missing", "sized", "unproved"] { try bench.tree.write(name, "12") }
    await bench.store.place("equal", Array("12".utf8))
    await bench.store.place("sized", Array("1".utf8))
    await bench.store.place("unproved", Array("13".utf8))
    await bench.store.place("extra", Array("1".utf8))
    await bench.store.place("marker/", [])
    #expect(
      try await bench.differences() == ["missing missing", "size sized", "unproved unproved", "extra extra"])
    #expect(
      try await bench.differences(.whereNeeded) == [
        "missing missing", "size sized", "content unproved", "extra extra",
      ])
    #expect(await bench.writes == [])
  }

  @Test(.promise("CHG-9"))
  func `a stored checksum settles what the ETag does not`() async throws {
    let bench = try Workbench(.init(minimumPartByteCount: 1))
    try bench.tree.write("a", "12")
    try bench.tree.write("b", "13")
    for key in ["a", "b"] {
      let upload = try await bench.store.send(CreateMultipartUpload(key: key, checksum: .fullObjectCRC32))
      let part = try await bench.store.send(
        UploadPart(
          key: key, uploadID: upload.uploadID, number: 1, body: BytesBody(Array("12".utf8)),
          checksumCRC32: CRC32(Array("12".utf8))))
      _ = try await bench.store.send(
        CompleteMultipartUpload(
          key: key, uploadID: upload.uploadID,
          parts: [.init(number: 1, etag: part.etag, checksumCRC32: CRC32(Array("12".utf8)))],
          fullObjectCRC32: CRC32(Array("12".utf8))))
    }
    #expect(try await bench.differences() == ["content b"])
    #expect(await bench.store.count(of: GetObject.name) == 0)
  }

  /// A record that ends in its own CRC-32 gives the whole the same CRC-32, whatever else is in it.
  @Test(.promise("CHG-10"))
  func `records that end in their own checksum hide a change from a comparison`() async throws {
    let bench = try Workbench(.init(minimumPartByteCount: 1))
    let (old, new) = (Self.record("old"), Self.record("new"))
    try #require(old != new && CRC32(old) == CRC32(new))
    try Data(new).write(to: URL(fileURLWithPath: bench.tree["a"]))
    let upload = try await bench.store.send(CreateMultipartUpload(key: "a", checksum: .fullObjectCRC32))
    let part = try await bench.store.send(
      UploadPart(
        key: "a", uploadID: upload.uploadID, number: 1, body: BytesBody(old), checksumCRC32: CRC32(old)))
    _ = try await bench.store.send(
      CompleteMultipartUpload(
        key: "a", uploadID: upload.uploadID,
        parts: [.init(number: 1, etag: part.etag, checksumCRC32: CRC32(old))], fullObjectCRC32: CRC32(old)))
    #expect(try await bench.differences() == [])
    // An ETag that is an MD5 cannot be told from one that is none (SSE-KMS), so the checksum decides there too.
    _ = try await bench.store.send(PutObject(key: "a", body: BytesBody(old), checksumCRC32: CRC32(old)))
    #expect(try await bench.differences() == [])
  }

  private static func record(_ text: String) -> [UInt8] {
    let bytes = Array(text.utf8)
    let checksum = CRC32(bytes).value
    return bytes + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * $0)) }
  }

  @Test(arguments: [ForeignChecksum.none, .compositeCRC32])
  func `the digest of another client's parts settles it without a download`(checksum: ForeignChecksum)
    async throws
  {
    let bench = try Workbench()
    let text = String(repeating: "x", count: 9 << 20)
    for name in ["equal", "other"] { try bench.tree.write(name, text) }
    for (key, bytes) in [("equal", Array(text.utf8)), ("other", Array(text.utf8.dropLast()) + [0])] {
      await bench.store.place(key, bytes, partSizes: [8 << 20, 1 << 20], checksum: checksum)
    }
    #expect(try await bench.differences() == ["unproved other"])
    #expect(await bench.store.count(of: GetObject.name) == 0)
    #expect(try await bench.differences(.whereNeeded) == ["content other"])
  }

  @Test func `objects are read in ranges where S3 keeps no checksum`() async throws {
    let bench = try Workbench()
    let long = String(repeating: "x", count: (16 << 20) + 5)
    try bench.tree.write("long", long)
    await bench.store.place("long", Array(long.utf8.dropLast()) + [0])
    #expect(try await bench.differences() == ["unproved long"])
    #expect(try await bench.differences(.whereNeeded) == ["content long"])
    #expect(await bench.store.count(of: GetObject.name) == 2)
  }

  @Test func `one file is verified against its own key`() async throws {
    let bench = try Workbench()
    try bench.tree.write("x", "1")
    try bench.tree.write("y", "1")
    await bench.store.place("k", Array("1".utf8))
    await bench.store.place("k2", Array("1".utf8))
    #expect(try await bench.differences(mapping: .file(name: "x", key: "k")) == [])
  }
}
