import Digests
import Foundation
import LocalTree
import MirrorModel
import S3Client
import TestSupport
import Testing
import Transfers

@Suite struct MultipartUploadTests {
  private static let onePart = UploadPlan.Limit.smallestPart
  /// Three parts, the last of them short.
  private static let bytes = pattern(11 * mebibyte)

  @Test func `parts go up in parallel and become the file`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("model.pt", Self.bytes)
    let all = Meeting(of: 3)
    await fixture.store.hold { if $0.operation == "UploadPart" { await all.join() } }
    let receipt = try await fixture.upload("model.pt")
    let object = try #require(await fixture.store.object("model.pt"))
    #expect(object.bytes == Self.bytes)
    #expect(object.checksumCRC32 == CRC32(Self.bytes))
    #expect(object.metadata["mtime"] == ModificationTime.text(nanoseconds: receipt.stamp.modified))
    #expect(receipt.parts == 3)
    #expect(receipt.partsReused == 0)
    #expect(receipt.proof == .closed)
    #expect(receipt.checksum == .crc32)
    #expect(receipt.attempts == 1)
    #expect(receipt.crc32 == CRC32(Self.bytes).base64)
    #expect(await fixture.store.openUploads.isEmpty)
    #expect(fixture.resources.budget.available == fixture.resources.budget.capacity)
  }

  @Test(.promise("XFER-9"))
  func `parts wait for memory rather than exceed it`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    try await fixture.upload("a")
    #expect(await fixture.store.maxInFlight == 1)
  }

  /// Ends the upload of `a` at its third part, as a broken network would.
  private func interrupt(_ fixture: TransferFixture) async {
    await fixture.store.inject { call, moment in
      call.operation == "UploadPart" && call.ordinal == 3 && moment == .beforeEffect
        ? refusal("UploadPart") : nil
    }
    await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    await fixture.store.inject(nil)
    await fixture.store.forgetCalls()
  }

  @Test(.promise("XFER-1"), arguments: [FakeBucket.Checksums.verified, .unknown])
  func `the next run keeps the parts that are on S3`(checksums: FakeBucket.Checksums) async throws {
    let fixture = try TransferFixture(
      budgetBytes: Self.onePart, behaviour: FakeBucket.Behaviour(checksums: checksums))
    try fixture.write("a", Self.bytes)
    await interrupt(fixture)
    #expect(await fixture.store.openUploads.count == 1)
    // Another process knows only what S3 tells it.
    let pending = PendingUploads()
    try await pending.load(from: fixture.store, prefix: "")
    let receipt = try await fixture.upload("a", pending: pending)
    #expect(receipt.partsReused == 2)
    #expect(receipt.parts == 3)
    #expect(await fixture.store.count(of: "UploadPart") == 1)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 0)
    #expect(await fixture.store.bytes("a") == Self.bytes)
  }

  @Test func `this run too keeps the parts of what it could not finish`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    await interrupt(fixture)
    #expect(try await fixture.upload("a").partsReused == 2)
    #expect(fixture.pending.all.isEmpty)
  }

  @Test(.promise("XFER-1"))
  func `parts of a file that changed since are sent again`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    await interrupt(fixture)
    try fixture.overwrite("a", [0xFF, 0xFE, 0xFD], at: 7 << 20)
    _ = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == (try fixture.read("a")))
  }

  @Test func `an upload that is gone meanwhile is begun anew`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    await interrupt(fixture)
    for upload in await fixture.store.openUploads {
      _ = try await fixture.store.send(AbortMultipartUpload(key: upload.key, uploadID: upload.uploadID))
    }
    #expect(try await fixture.upload("a").partsReused == 0)
    #expect(await fixture.store.bytes("a") == Self.bytes)
  }

  @Test(.promise("XFER-2"))
  func `a file that changes under its upload is not published, and its upload ends`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart", call.ordinal == 2 else { return }
      try fixture.overwrite("a", [1, 2, 3], at: 0)
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
    #expect(fixture.pending.all.isEmpty)
  }

  @Test func `a writer who comes during the upload keeps it from being published`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    let writer = try SoleWriter(fixture.url("a").path)
    try writer.close()
    let late = Opener(fixture.url("a"))
    await fixture.store.hold { if $0.operation == "UploadPart", $0.ordinal == 3 { try await late.open() } }
    await #expect(throws: UploadAbandoned.openForWriting) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
    try await late.close()
  }

  @Test(.promise("PUB-4"))
  func `a writer who stored through a mapping and went during the upload keeps it from being published`()
    async throws
  {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    await fixture.store.hold { [unowned fixture] call in
      // The first part is on its way with old bytes; the later ones are read with new ones.
      guard call.operation == "UploadPart", call.ordinal == 1 else { return }
      try fixture.addMapped("a", at: 1)
      try fixture.addMapped("a", at: Self.bytes.count - 1)
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test(.promise("PUB-2"))
  func `an open file goes as a snapshot when two readings agree`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", Self.bytes)
    let writer = try SoleWriter(fixture.url("a").path)
    await #expect(throws: UploadAbandoned.openForWriting) { try await fixture.upload("a") }
    #expect(await fixture.store.calls.isEmpty)
    #expect(try await fixture.upload("a", openFiles: .append(to: nil)).proof == .reread)
    #expect(await fixture.store.bytes("a") == Self.bytes)
    try writer.close()
  }

  @Test func `a snapshot whose second reading differs is not published`() async throws {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", Self.bytes)
    let writer = try SoleWriter(fixture.url("a").path)
    // Between the readings: parts two and three are read again after the first is on its way.
    await fixture.store.hold { [unowned fixture] call in
      if call.operation == "UploadPart", call.ordinal == 1 { try fixture.overwrite("a", [7], at: 6 << 20) }
    }
    await #expect(throws: UploadAbandoned.changed) {
      try await fixture.upload("a", openFiles: .append(to: nil))
    }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
    try writer.close()
  }

  @Test(.promise("PUB-2"))
  func `a snapshot whose readings differ is not published though their checksums agree`() async throws {
    let (old, new) = (records(1_500, seed: 1), records(1_500, seed: 2))
    try #require(CRC32(old) == CRC32(new) && old != new)
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    try fixture.write("a", old)
    let writer = try SoleWriter(fixture.url("a").path)
    await fixture.store.hold { [unowned fixture] call in
      if call.operation == "UploadPart", call.ordinal == 1 { try fixture.overwrite("a", new, at: 0) }
    }
    await #expect(throws: UploadAbandoned.changed) {
      try await fixture.upload("a", openFiles: .append(to: nil))
    }
    #expect(await fixture.store.keys.isEmpty)
    try writer.close()
  }

  @Test(arguments: [UnfinishedUploads.abort, .leave])
  func `cancellation aborts the upload, or leaves it for the next run`(choice: UnfinishedUploads) async throws
  {
    let fixture = try TransferFixture(budgetBytes: Self.onePart)
    fixture.pending.whenCancelled = choice
    try fixture.write("a", Self.bytes)
    let (reached, never) = (Latch(), Latch())
    await fixture.store.hold { call in
      guard call.operation == "UploadPart", call.ordinal == 2 else { return }
      await reached.open()
      await never.wait()
    }
    let task = Task { try await fixture.upload("a") }
    await reached.wait()
    task.cancel()
    await never.open()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(await fixture.store.openUploads.count == (choice == .leave ? 1 : 0))
    #expect(fixture.pending.all.count == (choice == .leave ? 1 : 0))
    #expect(await fixture.store.keys.isEmpty)
    #expect(fixture.resources.budget.available == fixture.resources.budget.capacity)
    #expect(fixture.resources.slots.available == fixture.resources.slots.capacity)
  }

  @Test func `what fails before the completion leaves the parts for the next try`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", Self.bytes)
    await #expect(throws: S3Error.self) {
      try await fixture.upload("a", beforePublication: { throw refusal("test") })
    }
    #expect(await fixture.store.keys.isEmpty)
    #expect(try await fixture.upload("a").partsReused == 3)
  }
}

/// Has a file open for writing between two calls.
actor Opener {
  private let url: URL
  private var writer: SoleWriter?

  init(_ url: URL) { self.url = url }

  func open() throws { writer = try SoleWriter(url.path) }

  func close() throws {
    try writer?.close()
    writer = nil
  }
}
