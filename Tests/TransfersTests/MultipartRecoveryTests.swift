import Digests
import Foundation
import HTTPTransport
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

/// What S3 may answer in the middle of an upload, and what becomes of it.
@Suite struct MultipartRecoveryTests {
  private static let bytes = pattern(11 * mebibyte)

  private func fixture(_ checksums: FakeBucket.Checksums = .verified) throws -> TransferFixture {
    let fixture = try TransferFixture(
      budgetBytes: UploadPlan.Limit.smallestPart, behaviour: FakeBucket.Behaviour(checksums: checksums))
    try fixture.write("a", Self.bytes)
    return fixture
  }

  /// Ends the first `count` calls of an operation.
  private func fail(
    _ store: FakeObjectStore, _ operation: String, ordinals: ClosedRange<Int> = 1...1, status: Int,
    code: String, message: String = "", moment: FakeObjectStore.Moment = .beforeEffect
  ) async {
    await store.inject { call, now in
      guard call.operation == operation, ordinals.contains(call.ordinal), now == moment else { return nil }
      return refusal(operation, code: code, status: status, message: message)
    }
  }

  @Test(arguments: [FakeBucket.Checksums.verified, .unknown])
  func `a completion whose answer was lost is found to have worked`(checksums: FakeBucket.Checksums)
    async throws
  {
    let fixture = try fixture(checksums)
    await fail(
      fixture.store, "CompleteMultipartUpload", status: 404, code: "NoSuchUpload", moment: .afterEffect)
    let receipt = try await fixture.upload("a")
    #expect(receipt.etag == (await fixture.store.object("a"))?.etag)
    #expect(await fixture.store.count(of: "UploadPart") == 3)
    #expect(await fixture.store.count(of: "HeadObject") == 1)
    #expect(fixture.pending.all.isEmpty)
  }

  @Test(arguments: [mebibyte, 11 * mebibyte])
  func `a store that signs bodies is given the hash of each`(byteCount: Int) async throws {
    let fixture = try fixture()
    try fixture.write("a", pattern(byteCount))
    let store = SigningStore(fixture.store)
    _ = try await fixture.uploader(store: store).upload(
      "a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
    // The fake compares each with the bytes that arrive.
    #expect(await fixture.store.bytes("a") == pattern(byteCount))
    #expect(store.unhashed.withLock { $0 } == 0)
  }

  @Test(
    .promise("XFER-5"),
    arguments: [
      (403, "AccessDenied"), (404, "NotFound"), (400, "InvalidRequest"), (500, "InternalError"),
      (200, "MalformedAnswer"), (0, "Interrupted"),
    ])
  func `where parts cannot be listed all are sent, it is said once, and the upload stays known`(
    status: Int, code: String
  ) async throws {
    let fixture = try fixture()
    let told = Mutex<[String]>([])
    let pending = PendingUploads(onFirstFailure: { error in told.withLock { $0.append(error.code) } })
    for number in 1...2 {
      let left = try await fixture.store.send(CreateMultipartUpload(key: "a")).uploadID
      pending.add(.init(uploadID: left, initiated: Int64(number)), for: "a")
    }
    await fail(fixture.store, "ListParts", ordinals: 1...99, status: status, code: code)
    let receipt = try await fixture.upload("a", pending: pending)
    #expect(receipt.partsReused == 0)
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(told.withLock { $0 } == [code])
    #expect(pending.all.count == 2)
  }

  @Test func `a completion that found no upload and no such object begins anew`() async throws {
    let fixture = try fixture()
    // Another object of the same size is there: it is not taken for ours.
    await fixture.store.place("a", pattern(11 * mebibyte, seed: 7))
    await fail(fixture.store, "CompleteMultipartUpload", status: 404, code: "NoSuchUpload")
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(await fixture.store.count(of: "UploadPart") == 6)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 2)
  }

  @Test func `a conflict with another write begins anew, and fails when it comes again`() async throws {
    let fixture = try fixture()
    await fail(
      fixture.store, "CompleteMultipartUpload", status: 409, code: "ConditionalRequestConflict")
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(await fixture.store.openUploads.isEmpty)
    await fixture.store.forgetCalls()
    await fail(
      fixture.store, "CompleteMultipartUpload", ordinals: 1...9, status: 409,
      code: "ConditionalRequestConflict")
    let error = await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    #expect(error?.code == "ConditionalRequestConflict")
    #expect(await fixture.store.count(of: "CompleteMultipartUpload") == 2)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test func `an upload that vanishes under its parts is begun anew, and fails when it vanishes again`()
    async throws
  {
    let fixture = try fixture()
    await fail(fixture.store, "UploadPart", ordinals: 2...2, status: 404, code: "NoSuchUpload")
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == Self.bytes)
    await fixture.store.forgetCalls()
    await fail(fixture.store, "UploadPart", ordinals: 1...9, status: 404, code: "NoSuchUpload")
    let error = await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    #expect(error?.code == "NoSuchUpload")
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 2)
  }

  @Test func `a missing bucket is no vanished upload`() async throws {
    let fixture = try fixture()
    await fail(fixture.store, "UploadPart", status: 404, code: "NoSuchBucket")
    let error = await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    #expect(error?.code == "NoSuchBucket")
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 1)
  }

  @Test func `a resumed upload that S3 cannot complete is replaced by a new one`() async throws {
    let fixture = try fixture()
    await fail(fixture.store, "UploadPart", ordinals: 3...3, status: 418, code: "Teapot")
    await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    await fixture.store.forgetCalls()
    await fail(fixture.store, "CompleteMultipartUpload", status: 400, code: "InvalidPart")
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  /// Parts of an older version whose records each end in their own CRC-32, which gives every version the same one.
  @Test(.promise("XFER-1"))
  func `a part with the checksum of other bytes is not taken up`() async throws {
    let fixture = try fixture()
    let older = selfChecked(seed: 1)
    let newer = selfChecked(seed: 2)
    try #require(CRC32(older) == CRC32(newer))
    try await begin(with: older, in: fixture, initiated: FakeClock.system())
    try fixture.write("a", newer)
    #expect(try await fixture.upload("a").partsReused == 0)
    #expect(await fixture.store.bytes("a") == newer)
  }

  /// SSE-KMS: then the checksum alone must tell.
  @Test(.promise("XFER-1"), arguments: [(-3_600, 0), (3_600, 1)])
  func `a part whose tag is no MD5 is taken up when the file is older than the upload`(
    secondsAfterWrite: Int64, reused: Int
  ) async throws {
    let fixture = try fixture()
    let initiated = FakeClock.system() + secondsAfterWrite * 1_000_000_000
    try await begin(with: Self.bytes, in: fixture, initiated: initiated)
    let receipt = try await fixture.uploader(store: OpaqueTags(fixture.store)).upload(
      "a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
    #expect(receipt.partsReused == reused)
    #expect(await fixture.store.bytes("a") == Self.bytes)
  }

  /// Leaves an upload of `a` with its first part.
  private func begin(with bytes: [UInt8], in fixture: TransferFixture, initiated: Int64) async throws {
    let create = CreateMultipartUpload(key: "a", checksum: .fullObjectCRC32)
    let uploadID = try await fixture.store.send(create).uploadID
    let part = Array(bytes[..<(5 * mebibyte)])
    _ = try await fixture.store.send(
      UploadPart(
        key: "a", uploadID: uploadID, number: 1, body: BytesBody(part), checksumCRC32: CRC32(part)))
    fixture.pending.add(.init(uploadID: uploadID, initiated: initiated), for: "a")
  }

  @Test func `an older object with the checksum of other bytes is not taken for the one that was made`()
    async throws
  {
    let fixture = try fixture()
    try fixture.write("a", selfChecked(seed: 1))
    _ = try await fixture.upload("a")
    try fixture.write("a", selfChecked(seed: 2))
    await fixture.store.forgetCalls()
    await fail(fixture.store, "CompleteMultipartUpload", status: 404, code: "NoSuchUpload")
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == selfChecked(seed: 2))
  }

  /// 11 MiB of records of 4 KiB, each closed by the CRC-32 of what came before in it.
  private func selfChecked(seed: UInt8) -> [UInt8] {
    var bytes: [UInt8] = []
    for record in 0..<(11 * 256) {
      var content = pattern(4_092, seed: seed &+ UInt8(truncatingIfNeeded: record))
      let crc = CRC32(content).value
      content += (0..<4).map { UInt8(truncatingIfNeeded: crc >> (8 * $0)) }
      bytes += content
    }
    return bytes
  }

  @Test func `an upload that was begun with other checksums is not taken up`() async throws {
    let fixture = try fixture()
    let create = CreateMultipartUpload(
      key: "a", checksum: .none, extraHeaders: ["x-amz-checksum-algorithm": "SHA256"])
    let foreign = try await fixture.store.send(create).uploadID
    fixture.pending.add(.init(uploadID: foreign, initiated: 1), for: "a")
    await fixture.store.forgetCalls()
    // As S3 answers parts whose checksum is of another kind than the upload's.
    await fail(
      fixture.store, "UploadPart", status: 400, code: "InvalidRequest",
      message: "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32")
    let receipt = try await fixture.upload("a")
    #expect(receipt.checksum == .crc32)
    #expect(await fixture.store.object("a")?.checksumCRC32 == CRC32(Self.bytes))
  }
}

@Suite struct ChecksumFallbackTests {
  @Test(.promise("XFER-4"))
  func `a server that refuses checksums is asked once, and the log says what was checked`() async throws {
    let fixture = try TransferFixture(behaviour: FakeBucket.Behaviour(checksums: .refused))
    let settings = fixture.settings
    try fixture.write("small", pattern(1_000))
    try fixture.write("large", pattern(11 * mebibyte))
    for (name, expected) in [("small", IntegrityCheck.md5), ("large", .md5Parts)] {
      let receipt = try await fixture.uploader(settings).upload(
        RelativePath(name), of: fixture.root, to: name, isCloseSeen: true, openFiles: .wait)
      #expect(receipt.checksum == expected)
    }
    #expect(await fixture.store.count(of: "PutObject") == 2)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 1)
    #expect(await fixture.store.count(of: "UploadPart") == 3)
    #expect(await fixture.store.bytes("large") == pattern(11 * mebibyte))
    #expect(!settings.checksums.isSent)
  }

  @Test func `a multipart upload finds the refusal out as well`() async throws {
    let fixture = try TransferFixture(behaviour: FakeBucket.Behaviour(checksums: .refused))
    try fixture.write("large", pattern(11 * mebibyte))
    #expect(try await fixture.upload("large").checksum == .md5Parts)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 2)
  }

  @Test func `a server that refuses them only with the parts gets a new upload without`() async throws {
    let fixture = try TransferFixture(behaviour: FakeBucket.Behaviour(checksums: .unknown))
    try fixture.write("large", pattern(11 * mebibyte))
    let store = PartChecksumsRefused(fixture.store)
    let receipt = try await fixture.uploader(store: store).upload(
      "large", of: fixture.root, to: "large", isCloseSeen: true, openFiles: .wait)
    #expect(receipt.checksum == .md5Parts)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 2)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test func `a server that takes the whole's checksum for one of the parts' gets none`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("large", pattern(11 * mebibyte))
    let uploader = fixture.uploader(store: WholeChecksumsRefused(fixture.store))
    for key in ["first", "second"] {
      let receipt = try await uploader.upload(
        "large", of: fixture.root, to: key, isCloseSeen: true, openFiles: .wait)
      #expect(receipt.checksum == .crc32Parts)
      #expect(await fixture.store.bytes(key) == pattern(11 * mebibyte))
    }
    // One refused, and one for each upload.
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 2)
    #expect(await fixture.store.count(of: "CompleteMultipartUpload") == 2)
  }

  @Test func `a server that ignores them is held to its ETag`() async throws {
    let fixture = try TransferFixture(behaviour: FakeBucket.Behaviour(checksums: .unknown))
    try fixture.write("small", pattern(1_000))
    try fixture.write("large", pattern(11 * mebibyte))
    #expect(try await fixture.upload("small").checksum == .md5)
    #expect(try await fixture.upload("large").checksum == .md5Parts)
  }

  @Test(arguments: [
    (400, "InvalidArgument", "Unsupported header 'x-amz-checksum-crc32'", true),
    (501, "NotImplemented", "x-amz-checksum-algorithm", true),
    (400, "InvalidRequest", "no such Checksum type", true),
    (400, "BadDigest", "The CRC32 checksum you specified did not match", false),
    (400, "XAmzContentSHA256Mismatch", "the computed checksum differs", false),
    (400, "XAmzContentChecksumMismatch", "", false),
    (403, "AccessDenied", "checksum", false),
    (400, "InvalidArgument", "partNumber", false),
  ])
  func `only the fields' refusal is one`(status: Int, code: String, message: String, isRefusal: Bool) {
    let error = refusal("PutObject", code: code, status: status, message: message)
    #expect(S3ErrorTriage.refusesChecksum(error) == isRefusal)
  }
}

/// Counts the bodies of files that come without their hash.
private final class SigningStore: ObjectStore {
  private let base: any ObjectStore
  let unhashed = Mutex(0)

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }
  var signsBodies: Bool { true }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let request = try operation.request()
    let isUpload = [PutObject.name, UploadPart.name].contains(Operation.name)
    if isUpload, request.payloadSHA256 == nil { unhashed.withLock { $0 += 1 } }
    return try await base.send(operation)
  }
}

/// A server that knows checksums of uploads but not of parts.
/// Answers a completion that carries a checksum of the whole as a server that knows only checksums of checksums.
private struct WholeChecksumsRefused: ObjectStore {
  private let base: any ObjectStore

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    if let complete = operation as? CompleteMultipartUpload, complete.fullObjectCRC32 != nil {
      throw refusal("CompleteMultipartUpload", code: "BadDigest", status: 400, message: "CRC32")
    }
    return try await base.send(operation)
  }
}

private struct PartChecksumsRefused: ObjectStore {
  private let base: any ObjectStore

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    if let part = operation as? UploadPart, part.checksumCRC32 != nil {
      throw refusal("UploadPart", code: "InvalidArgument", status: 400, message: "x-amz-checksum-crc32")
    }
    return try await base.send(operation)
  }
}

/// Lists parts as S3 does under SSE-KMS, with tags that are digests of nothing we know.
private struct OpaqueTags: ObjectStore {
  private let base: any ObjectStore

  init(_ base: any ObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    if var complete = operation as? CompleteMultipartUpload {
      let known = try await base.send(ListParts(key: complete.objectKey, uploadID: complete.uploadID)).parts
      for (index, part) in known.enumerated() { complete.parts[index].etag = part.etag }
      guard let answer = try await base.send(complete) as? Operation.Output else {
        throw refusal("CompleteMultipartUpload", code: "WrongOutput")
      }
      return answer
    }
    let output = try await base.send(operation)
    guard var listed = output as? ListParts.Output else { return output }
    listed.serverDate = FakeClock.system()
    for index in listed.parts.indices {
      listed.parts[index].etag = hexadecimal(md5(Array(listed.parts[index].etag.utf8)))
    }
    guard let changed = listed as? Operation.Output else { return output }
    return changed
  }
}
