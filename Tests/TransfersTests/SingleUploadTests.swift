import Digests
import Foundation
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing
import Transfers

@Suite struct SingleUploadTests {
  @Test(.promise("PUB-2", "PROP-1"))
  func `a closed file arrives whole, with its type, time and checksum`() async throws {
    let fixture = try TransferFixture()
    let bytes = pattern(100_000)
    try fixture.write("a.json", bytes)
    let receipt = try await fixture.upload("a.json")
    let object = try #require(await fixture.store.object("a.json"))
    #expect(object.bytes == bytes)
    #expect(object.contentType == "application/json")
    #expect(object.checksumCRC32 == CRC32(bytes))
    #expect(object.metadata["mtime"] == ModificationTime.text(nanoseconds: receipt.stamp.modified))
    #expect(receipt.proof == .closed)
    #expect(receipt.checksum == .crc32)
    #expect(receipt.attempts == 1)
    #expect(receipt.byteCount == 100_000)
    #expect(receipt.etag == object.etag)
    #expect(receipt.crc32 == CRC32(bytes).base64)
    #expect(await fixture.store.calls.map(\.operation) == ["PutObject"])
  }

  @Test func `an empty file is an empty object`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("empty", [])
    let receipt = try await fixture.upload("empty")
    #expect(receipt.byteCount == 0)
    #expect(await fixture.store.bytes("empty") == [])
  }

  @Test(.promise("PUB-2"))
  func `a file whose close nobody saw is proved by a lease`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", [1, 2, 3])
    #expect(try await fixture.upload("a", isCloseSeen: false).proof == .leased)
  }

  @Test func `a file that is open for writing waits, or goes as a snapshot`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", pattern(1_000))
    let writer = try SoleWriter(fixture.url("a").path)
    await #expect(throws: UploadAbandoned.openForWriting) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
    let receipt = try await fixture.upload("a", openFiles: .append(to: nil))
    #expect(receipt.proof == .reread)
    #expect(await fixture.store.bytes("a") == pattern(1_000))
    try writer.close()
  }

  @Test func `an uploader tells that a file had to be read twice`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", pattern(1_000))
    let writer = try SoleWriter(fixture.url("a").path)
    let uploader = fixture.uploader()
    #expect(!uploader.hasPaused)
    let receipt = try await uploader.upload(
      "a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .append(to: nil))
    #expect(receipt.proof == .reread)
    #expect(uploader.hasPaused)
    try writer.close()
  }

  @Test func `what is gone has vanished`() async throws {
    let fixture = try TransferFixture()
    await #expect(throws: UploadAbandoned.vanished) { try await fixture.upload("gone") }
  }

  @Test func `what is no file any more has changed`() async throws {
    let fixture = try TransferFixture()
    try FileManager.default.createDirectory(at: fixture.url("d"), withIntermediateDirectories: false)
    await #expect(throws: UploadAbandoned.changed) { try await fixture.upload("d") }
  }

  @Test(.promise("PUB-9"))
  func `what fails before the publication leaves nothing behind`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", [1])
    await #expect(throws: S3Error.self) {
      try await fixture.upload("a", beforePublication: { throw refusal("test") })
    }
    #expect(await fixture.store.calls.isEmpty)
    #expect(fixture.resources.budget.available == fixture.resources.budget.capacity)
    #expect(fixture.resources.slots.available == fixture.resources.slots.capacity)
  }
}

/// The proofs of one reading, each at the moment that matters.
@Suite struct PublicationCheckTests {
  private let fixture: TransferFixture

  init() throws {
    fixture = try TransferFixture()
    try fixture.write("a", pattern(1_000))
  }

  private func check(isCloseSeen: Bool = true, stamps: StampTrust = .trusted) throws -> PublicationCheck {
    let file = try #require(try fixture.root.open("a"))
    return PublicationCheck(
      root: fixture.root, path: "a", file: file, isCloseSeen: isCloseSeen, stamps: stamps)
  }

  @Test(.promise("PUB-1"))
  func `an untouched file is proved by what is known of it`() throws {
    #expect(try check().verdict() == .proved(.closed))
    #expect(try check(isCloseSeen: false).verdict() == .proved(.leased))
  }

  @Test(.promise("PUB-1"))
  func `a write during the reading is a change`() throws {
    let check = try check()
    try fixture.overwrite("a", [9], at: 3_000)
    #expect(try check.verdict() == .changed)
  }

  @Test(.promise("PUB-4"))
  func `a store through a mapping that came and went during the reading is a change`() throws {
    let check = try check()
    try fixture.addMapped("a", at: 500)
    #expect(try check.verdict() == .changed)
  }

  @Test(.promise("PUB-4"))
  func `content that is no longer what was read is a change, whatever the stamps say`() throws {
    let file = try #require(try fixture.root.open("a"))
    let check = PublicationCheck(
      root: fixture.root, path: "a", file: file, isCloseSeen: true, stamps: .trusted, vigil: .content)
    let read = PartBuffer(capacity: 1_000)
    try read.fill(from: file, at: 0, byteCount: 1_000)
    #expect(try check.verdict(on: read) == .proved(.closed))
    try fixture.addMapped("a", at: 500)
    #expect(try check.verdict(on: read) == .changed)
  }

  @Test func `another file under the name is a change`() throws {
    let check = try check()
    // Written beside it and renamed over it: the file that was read stays as it was.
    try fixture.write("b", pattern(1_000))
    try #require(rename(fixture.url("b").path, fixture.url("a").path) == 0)
    #expect(try check.verdict() == .changed)
    #expect(try !check.isSameFileGrown())
  }

  private func replace() throws {
    try fixture.write("b", pattern(1_000))
    try #require(rename(fixture.url("b").path, fixture.url("a").path) == 0)
  }

  @Test func `a file that was replaced is whole`() throws {
    let check = try check()
    try replace()
    #expect(try check.standing() == .replaced)
    #expect(try check.verdict(of: .anyWhole) == .proved(.closed))
    #expect(try check.confirmsReread(.wait, of: .anyWhole))
  }

  @Test func `a file that was replaced while it was open for writing is not known to be whole`() throws {
    let writer = try SoleWriter(fixture.url("a").path)
    let check = try check()
    try replace()
    #expect(try check.verdict(of: .anyWhole) == .writerPresent)
    #expect(try !check.confirmsReread(.wait, of: .anyWhole))
    try writer.close()
    #expect(try check.verdict(of: .anyWhole) == .writerPresent)
  }

  @Test func `a file that lost its name to a rename of its own is not taken for replaced`() throws {
    let check = try check()
    try #require(rename(fixture.url("a").path, fixture.url("old").path) == 0)
    #expect(try check.standing() == .gone)
    try fixture.write("a", [1])
    #expect(try check.standing() == .changed)
  }

  @Test(arguments: [
    ("written", PublicationCheck.Change.written), ("resized", .resized), ("touched", .touched),
    ("replaced", .replaced), ("gone", .gone), ("unseen", .unseen),
  ])
  func `what changed a file is named`(action: String, change: PublicationCheck.Change) throws {
    let check = try check()
    switch action {
    case "written":
      try fixture.overwrite("a", [9], at: 0)
      // The kernel's clock may not have moved since the file was made.
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: fixture.url("a").path)
    case "resized": try fixture.overwrite("a", [9], at: 5_000)
    case "touched":
      let before = try fixture.root.look(at: "a")?.stamp
      // Until the kernel's clock has moved: 10 ms at the most.
      try blockUntil("the stamp moves") {
        try #require(chmod(fixture.url("a").path, 0o600) == 0)
        return try fixture.root.look(at: "a")?.stamp != before
      }
    case "replaced":
      try fixture.write("b", [1])
      try #require(rename(fixture.url("b").path, fixture.url("a").path) == 0)
    case "gone": try FileManager.default.removeItem(at: fixture.url("a"))
    default: try fixture.addMapped("a", at: 3)
    }
    #expect(check.change == change)
  }

  @Test func `a file that is gone is a change`() throws {
    let check = try check()
    try FileManager.default.removeItem(at: fixture.url("a"))
    #expect(try check.verdict() == .changed)
    #expect(try !check.isSameFileGrown())
  }

  @Test(.promise("PUB-3"))
  func `a writer at either end of the reading shows`() throws {
    var writer = try SoleWriter(fixture.url("a").path)
    let early = try check()
    try writer.close()
    #expect(early.outlook == .writerPresent)
    #expect(try early.verdict() == .writerPresent)
    let late = try check()
    writer = try SoleWriter(fixture.url("a").path)
    #expect(try late.verdict() == .writerPresent)
    try writer.close()
  }

  @Test(.promise("PUB-5"))
  func `a stamp too fresh to show the next write proves nothing`() throws {
    #expect(try check(stamps: .tooFresh).verdict() == .untold)
  }

  @Test(.promise("PUB-2"))
  func `a file that only grew is the same file, one that shrank is not`() throws {
    let check = try check()
    try fixture.overwrite("a", [1, 2, 3], at: 1_000)
    #expect(try check.isSameFileGrown())
    try DiskFiles().truncate(fixture.url("a").path, to: 10)
    #expect(try !check.isSameFileGrown())
  }
}
