import HTTPTransport
import MirrorModel
import S3Client
import TestSupport
import Testing
import Transfers

/// What becomes of multipart uploads that are unfinished when a run ends.
@Suite struct SettlementTests {
  private let store = FakeObjectStore()
  private let pending = PendingUploads()

  private func settle(isResumable: Bool = false) async -> PendingUploads.Settlement {
    await pending.settle(
      store, prefix: "p/", isUnderPrefix: { $0.hasPrefix("p/") }, isResumable: { _ in isResumable })
  }

  private func begin(_ key: String) async throws -> String {
    try await store.send(CreateMultipartUpload(key: key)).uploadID
  }

  /// As another process does: an upload of a key whose first answer is lost.
  private func uploadWithLostAnswer(_ fixture: TransferFixture, retried: Bool) async throws {
    try fixture.write("a", pattern(11 * mebibyte))
    await fixture.store.inject { call, moment in
      guard call.operation == "CreateMultipartUpload", call.ordinal == 1, moment == .afterEffect else {
        return nil
      }
      var lost = refusal(call.operation, code: "Timeout", status: 0)
      lost.isRetryable = retried
      return lost
    }
    let uploader = fixture.uploader(store: RetryingStore(fixture.store, pause: { _ in }))
    do {
      _ = try await uploader.upload("a", of: fixture.root, to: "p/a", isCloseSeen: true, openFiles: .wait)
      #expect(retried)
    } catch is S3Error {
      #expect(!retried)
    }
    #expect(await fixture.store.openUploads.count == 1)
  }

  @Test func `an upload whose file is gone is aborted`() async throws {
    let uploadID = try await begin("p/a")
    pending.add(.init(uploadID: uploadID, initiated: .max, isOurs: true), for: "p/a")
    let settlement = await settle()
    #expect(settlement.aborted.map(\.uploadID) == [uploadID])
    #expect(settlement.left == [])
    #expect(await store.openUploads.isEmpty)
    #expect(pending.all.isEmpty)
    // Nothing else was to be asked.
    #expect(await store.count(of: "ListMultipartUploads") == 0)
  }

  @Test func `an upload whose file is still to be published stays for the next run`() async throws {
    let uploadID = try await begin("p/a")
    pending.add(.init(uploadID: uploadID, initiated: .max, isOurs: true), for: "p/a")
    let settlement = await settle(isResumable: true)
    #expect(settlement.left == [.init(key: "p/a", uploadID: uploadID, reason: .resumable)])
    #expect(await store.openUploads.count == 1)
  }

  @Test func `an upload that cannot be aborted is told`() async throws {
    let uploadID = try await begin("p/a")
    pending.add(.init(uploadID: uploadID, initiated: .max, isOurs: true), for: "p/a")
    await store.inject { call, _ in call.operation == "AbortMultipartUpload" ? call.refusal() : nil }
    let left = await settle().left
    #expect(left.map(\.uploadID) == [uploadID])
    guard case .failed = left.first?.reason else {
      Issue.record("\(left)")
      return
    }
  }

  @Test(.promise("XFER-3"))
  func `what was there at the entry is told, not aborted, and only while it is there`() async throws {
    let stays = try await begin("p/theirs")
    let ends = try await begin("p/finished")
    _ = try await begin("q/elsewhere")
    try await pending.load(from: store, prefix: "p/")
    _ = try await store.send(AbortMultipartUpload(key: "p/finished", uploadID: ends))
    let later = try await begin("p/later")
    let settlement = await settle()
    #expect(settlement.left == [.init(key: "p/theirs", uploadID: stays, reason: .foreign)])
    #expect(settlement.aborted.isEmpty)
    #expect(await store.openUploads.contains { $0.uploadID == later })
  }

  @Test(arguments: [true, false])
  func `an upload whose answer was lost is found and aborted`(retried: Bool) async throws {
    let fixture = try TransferFixture()
    try await uploadWithLostAnswer(fixture, retried: retried)
    let settlement = await fixture.pending.settle(
      fixture.store, prefix: "p/", isUnderPrefix: { _ in true }, isResumable: { _ in false })
    #expect(settlement.aborted.map(\.key) == ["p/a"])
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test(arguments: ["a part", "an earlier beginning"])
  func `another writer's upload under such a key is left alone`(evidence: String) async throws {
    let fixture = try TransferFixture()
    try await uploadWithLostAnswer(fixture, retried: true)
    let upload = try #require(await fixture.store.openUploads.first)
    if evidence == "a part" {
      _ = try await fixture.store.send(
        UploadPart(key: upload.key, uploadID: upload.uploadID, number: 1, body: BytesBody([1])))
    } else {
      await fixture.store.backdate(
        uploadID: upload.uploadID, to: FakeClock.system() - 3_600 * 1_000_000_000)
    }
    let settlement = await fixture.pending.settle(
      fixture.store, prefix: "p/", isUnderPrefix: { _ in true }, isResumable: { _ in false })
    #expect(settlement.left == [.init(key: "p/a", uploadID: upload.uploadID, reason: .foreign)])
    #expect(await fixture.store.openUploads.count == 1)
  }

  @Test func `a creation that was refused leaves nothing in doubt`() async throws {
    let fixture = try TransferFixture()
    try fixture.write("a", pattern(11 * mebibyte))
    await fixture.store.inject { call, _ in
      call.operation == "CreateMultipartUpload" ? call.refusal(status: 403, code: "AccessDenied") : nil
    }
    await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    _ = await fixture.pending.settle(
      fixture.store, prefix: "", isUnderPrefix: { _ in true }, isResumable: { _ in false })
    #expect(await fixture.store.count(of: "ListMultipartUploads") == 0)
  }

  @Test func `where uploads cannot be listed any more that is told`() async throws {
    _ = try await begin("p/theirs")
    try await pending.load(from: store, prefix: "p/")
    await store.inject { call, _ in call.operation == "ListMultipartUploads" ? call.refusal() : nil }
    #expect(await settle().unlisted != nil)
  }

  @Test func `one refusal to list parts does not forget them`() async throws {
    let fixture = try TransferFixture(budgetBytes: UploadPlan.Limit.smallestPart)
    try fixture.write("a", pattern(11 * mebibyte))
    await #expect(throws: S3Error.self) {
      try await fixture.upload("a", beforePublication: { throw refusal("test") })
    }
    await fixture.store.inject { call, moment in
      guard moment == .beforeEffect else { return nil }
      switch (call.operation, call.ordinal) {
      case ("ListParts", 1): return call.refusal(status: 403, code: "AccessDenied")
      case ("UploadPart", 4): return refusal("UploadPart")
      default: return nil
      }
    }
    await #expect(throws: S3Error.self) { try await fixture.upload("a") }
    #expect(fixture.pending.all.count == 2)
    #expect(try await fixture.upload("a").partsReused > 0)
    let settlement = await fixture.pending.settle(
      fixture.store, prefix: "", isUnderPrefix: { _ in true }, isResumable: { _ in false })
    #expect(settlement.aborted.count == 1)
    #expect(await fixture.store.openUploads.isEmpty)
  }
}
