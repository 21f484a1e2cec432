import Digests
import Foundation
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

/// Whatever the server answers to a copy, the object is the file.
@Suite struct DeltaFailureTests {
  private static let bytes = pattern(23 * mebibyte)

  private func fail(
    _ operation: String, of fixture: DeltaFixture, ordinals: ClosedRange<Int> = 1...99, status: Int,
    code: String
  ) async {
    await fixture.store.inject { call, moment in
      guard call.operation == operation, ordinals.contains(call.ordinal), moment == .beforeEffect else {
        return nil
      }
      return refusal(operation, code: code, status: status)
    }
  }

  @Test(.promise("XFER-16"))
  func `if another program wrote the object, the whole file is sent`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    await fixture.store.place("a", pattern(23 * mebibyte, seed: 5))
    try fixture.append([1])
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(try await fixture.isPublished())
    #expect(await fixture.store.openUploads.isEmpty)
    #expect(fixture.notices.withLock { $0.isEmpty })
    // The next one is a delta again.
    try fixture.append([2])
    #expect(try await fixture.publish().bytesCopied > 0)
    #expect(try await fixture.isPublished())
  }

  /// As with SSE-KMS.
  @Test(.promise("XFER-15"))
  func `where ETags are no MD5s files go whole, and after three no more are compared`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    for round in 1...4 {
      fixture.forgetMD5s()
      try fixture.append([UInt8(round)])
      #expect(try await fixture.publish().bytesCopied == 0)
      #expect(try await fixture.isPublished())
      #expect(fixture.notices.withLock { $0.count } == (round < 3 ? 0 : 1))
    }
    #expect(await fixture.copies == 0)
    #expect(!fixture.settings.deltaSupport.isUsable)
  }

  @Test func `if the object is gone, the whole file is sent`() async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    await fixture.store.remove("a")
    try fixture.append([1])
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(try await fixture.isPublished())
  }

  @Test(
    .promise("XFER-16"),
    arguments: [
      (501, "NotImplemented"), (400, "InvalidRequest"), (405, "MethodNotAllowed"), (403, "AccessDenied"),
    ])
  func `a server that does not copy parts gets the whole file, and is asked once a run`(
    status: Int, code: String
  ) async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    await fail("UploadPartCopy", of: fixture, status: status, code: code)
    for round in 1...3 {
      try fixture.append([UInt8(round)])
      #expect(try await fixture.publish().bytesCopied == 0)
      #expect(try await fixture.isPublished())
    }
    #expect(await fixture.copies == 1)
    #expect(fixture.notices.withLock { $0.count } == 1)
    #expect(fixture.notices.withLock { $0.first?.contains(code) } == true)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  /// The second: S3 sends the status line of a copy before its outcome is known.
  @Test(.promise("XFER-16"), arguments: [(500, "InternalError"), (200, "InternalError")])
  func `a copy that fails makes the file go whole, and after three the server is asked no more`(
    status: Int, code: String
  ) async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    await fail("UploadPartCopy", of: fixture, status: status, code: code)
    for round in 1...5 {
      try fixture.append([UInt8(round)])
      #expect(try await fixture.publish().bytesCopied == 0)
      #expect(try await fixture.isPublished())
    }
    #expect(await fixture.copies == 3)
    #expect(fixture.notices.withLock { $0.count } == 1)
  }

  @Test(arguments: [(0, "Interrupted"), (503, "SlowDown")])
  func `a network that is gone, or a server that is busy, gets no second upload`(status: Int, code: String)
    async throws
  {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    await fail("UploadPartCopy", of: fixture, ordinals: 1...1, status: status, code: code)
    try fixture.append([1])
    await #expect(throws: S3Error.self) { try await fixture.publish() }
    #expect(await fixture.store.openUploads.count == 1)
    // The next attempt takes the upload over.
    #expect(try await fixture.publish().bytesCopied > 0)
    #expect(try await fixture.isPublished())
    #expect(await fixture.store.openUploads.isEmpty)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 1)
  }

  @Test(.promise("XFER-15"))
  func `a server that copies something else is found out, and gets the whole file`() async throws {
    let fixture = try DeltaFixture { WrongCopies(base: $0, fault: .range) }
    try await fixture.begin(with: Self.bytes)
    try fixture.append([1])
    try fixture.files.overwrite("a", [200], at: 0)
    for _ in 1...2 { #expect(try await fixture.publish().bytesCopied == 0) }
    #expect(try await fixture.isPublished())
    #expect(fixture.notices.withLock { $0.count } == 1)
  }

  @Test(.promise("XFER-15"))
  func `a server that copies another version is found out`() async throws {
    let fixture = try DeltaFixture { WrongCopies(base: $0, fault: .condition) }
    try await fixture.begin(with: Self.bytes)
    await fixture.store.place("a", pattern(23 * mebibyte, seed: 5))
    try fixture.append([1])
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(try await fixture.isPublished())
  }

  @Test(.promise("XFER-15"))
  func `a server without checksums copies part by part, and each ETag is compared`() async throws {
    let fixture = try DeltaFixture(checksums: .unknown)
    try await fixture.begin(with: Self.bytes)
    try fixture.append([1, 2, 3])
    let receipt = try await fixture.publish()
    #expect(await fixture.copies == 4)
    #expect(receipt.bytesCopied == 20 * Int64(mebibyte))
    #expect(receipt.checksum == .md5Parts)
    #expect(try await fixture.isPublished())
    // The parts are those of a whole upload, so the ETag can be compared with the file.
    let etag = try #require(await fixture.store.object("a")).etag
    fixture.forget()
    #expect(try await fixture.publish().etag == etag)
  }

  @Test(.promise("XFER-15"), arguments: [WrongCopies.Fault.noChecksums, .shiftedWithoutChecksums])
  func `where the checksum of a whole object is not compared, the ETags of its copied parts are`(
    fault: WrongCopies.Fault
  ) async throws {
    let fixture = try DeltaFixture { WrongCopies(base: $0, fault: fault) }
    try fixture.files.write("a", pattern(5 * mebibyte))
    // A file in one request: its checksum is compared, and nothing is known yet of objects in parts.
    try await fixture.publish()
    try fixture.files.write("a", Self.bytes)
    try await fixture.publish()
    await fixture.store.forgetCalls()
    try fixture.append([1])
    let receipt = try await fixture.publish()
    #expect(try await fixture.isPublished())
    // That the completion of the upload before was not compared is known.
    #expect(receipt.bytesCopied == (fault == .noChecksums ? 20 * Int64(mebibyte) : 0))
  }

  @Test(.promise("XFER-15"))
  func `the first object of copies whose checksum is not compared is sent again whole`() async throws {
    let fixture = try DeltaFixture { WrongCopies(base: $0, fault: .noChecksums) }
    try await fixture.begin(with: Self.bytes)
    fixture.beginRun()
    try fixture.append([1])
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(await fixture.copies == 1)
    #expect(await fixture.store.count(of: "CompleteMultipartUpload") == 2)
    #expect(try await fixture.isPublished())
    // From now on the ETag of each copied block proves it.
    try fixture.append([2])
    #expect(try await fixture.publish().bytesCopied == 20 * Int64(mebibyte))
    #expect(try await fixture.isPublished())
  }

  @Test(.promise("XFER-15"), arguments: [WrongCopies.Fault.noChecksums, .noChecksumsAtAll])
  func `after a completion whose answer was lost the object's own checksum proves its copies`(
    fault: WrongCopies.Fault
  ) async throws {
    let fixture = try DeltaFixture { WrongCopies(base: $0, fault: fault) }
    try await fixture.begin(with: Self.bytes)
    fixture.beginRun()
    await fixture.store.inject { call, moment in
      guard call.operation == "CompleteMultipartUpload", call.ordinal == 1, moment == .afterEffect else {
        return nil
      }
      return refusal("CompleteMultipartUpload", code: "NoSuchUpload", status: 404)
    }
    try fixture.append([1])
    let receipt = try await fixture.publish()
    #expect(receipt.bytesCopied == (fault == .noChecksums ? 23 * Int64(mebibyte) : 0))
    #expect(try await fixture.isPublished())
  }

  @Test func `a wrong ETag in the answer to a completion makes the next file go whole`() async throws {
    let fixture = try DeltaFixture { WrongCopies(base: $0, fault: .completionTag) }
    try await fixture.begin(with: Self.bytes)
    try fixture.append([1])
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(try await fixture.isPublished())
  }

  @Test(.promise("XFER-16"), arguments: ["BadDigest", "InvalidPart", "EntityTooSmall"])
  func `a completion that does not take the copies makes the file go whole`(code: String) async throws {
    let fixture = try DeltaFixture()
    try await fixture.begin(with: Self.bytes)
    await fail(
      "CompleteMultipartUpload", of: fixture, ordinals: 1...(code == "BadDigest" ? 2 : 1), status: 400,
      code: code)
    try fixture.append([1])
    #expect(try await fixture.publish().bytesCopied == 0)
    #expect(try await fixture.isPublished())
    #expect(await fixture.store.openUploads.isEmpty)
    #expect(fixture.notices.withLock { $0.count } == 1)
  }

  @Test(.promise("XFER-1"), arguments: [true, false])
  func `a delta that was interrupted is resumed`(isSameRun: Bool) async throws {
    let fixture = try DeltaFixture(workers: 1)
    try await fixture.begin(with: Self.bytes)
    try fixture.append(pattern(9 * mebibyte, seed: 4))
    await fail("UploadPart", of: fixture, ordinals: 2...2, status: 418, code: "Teapot")
    await #expect(throws: S3Error.self) { try await fixture.publish() }
    await fixture.store.inject(nil)
    await fixture.store.forgetCalls()
    #expect(await fixture.store.openUploads.count == 1)
    // Another run does not know the object's parts, and sends the whole file by the upload that is there.
    if !isSameRun { fixture.forget() }
    let receipt = try await fixture.publish()
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 0)
    #expect((receipt.bytesCopied > 0) == isSameRun)
    #expect(receipt.partsReused == (isSameRun ? 1 : 0))
    #expect(try await fixture.isPublished())
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test(.promise("XFER-14"), arguments: 0..<6)
  func `after any edits and failures the object is the file`(seed: UInt64) async throws {
    var random = SplitMix64(seed: seed)
    let fixture = try DeltaFixture(checksums: seed.isMultiple(of: 3) ? .unknown : .verified)
    var content = pattern(12 * mebibyte)
    try await fixture.begin(with: content)
    for _ in 0..<8 {
      switch random.below(4) {
      case 0: content += pattern(random.below(6 * mebibyte) + 1, seed: UInt8(random.below(250)))
      case 1: content.removeLast(random.below(min(content.count, 5 * mebibyte)))
      default:
        let start = random.below(max(content.count, 1))
        for index in start..<min(content.count, start + random.below(200_000)) { content[index] &+= 1 }
      }
      try fixture.files.write("a", content)
      let (operation, ordinal) = (
        ["UploadPartCopy", "UploadPart", "CompleteMultipartUpload", "none"][random.below(4)],
        random.below(3) + 1
      )
      await fixture.store.forgetCalls()
      await fail(operation, of: fixture, ordinals: ordinal...ordinal, status: 500, code: "InternalError")
      do { try await fixture.publish() } catch is S3Error {
        await fixture.store.inject(nil)
        try await fixture.publish()
      }
      #expect(try await fixture.isPublished())
      #expect(await fixture.store.openUploads.isEmpty)
    }
  }
}
