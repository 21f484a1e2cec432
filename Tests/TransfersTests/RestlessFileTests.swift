import Foundation
import Glibc
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

/// Files that are replaced or written again before they are sent: some whole version goes all the same.
@Suite struct RestlessFileTests {
  private static let size = 11 * mebibyte
  private static let bytes = pattern(size)

  /// Parts go one after the other. A budget of 6 MiB streams what goes in one request.
  private func fixture(copyBytes: Int64 = 1 << 30, copyDirectory: String = "/dev/shm") throws
    -> TransferFixture
  {
    let fixture = try TransferFixture(
      budgetBytes: UploadPlan.Limit.smallestPart, copyBytes: copyBytes, copyDirectory: copyDirectory)
    try fixture.write("a", Self.bytes)
    return fixture
  }

  private func replace(_ fixture: TransferFixture, by bytes: [UInt8]) throws {
    try fixture.write("new", bytes)
    try #require(rename(fixture.url("new").path, fixture.url("a").path) == 0)
  }

  // MARK: Replaced

  @Test(.promise("PUB-14"))
  func `a file that is replaced during its upload is finished`() async throws {
    let fixture = try fixture(copyBytes: 0)
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart", call.ordinal == 2 else { return }
      try replace(fixture, by: pattern(Self.size, seed: 2))
    }
    let receipt = try await fixture.upload("a")
    #expect(await fixture.store.bytes("a") == Self.bytes)
    #expect(receipt.isSuperseded)
    #expect(receipt.proof == .closed)
    #expect(await fixture.store.count(of: "CreateMultipartUpload") == 1)
    await fixture.store.hold(nil)
    #expect(try await fixture.upload("a").isSuperseded == false)
    #expect(await fixture.store.bytes("a") == pattern(Self.size, seed: 2))
  }

  @Test func `a replaced file is not finished where only the current version will do`() async throws {
    let fixture = try fixture(copyBytes: 0)
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart", call.ordinal == 2 else { return }
      try replace(fixture, by: [1])
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.upload("a", versions: .current) }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test(.promise("PUB-14"))
  func `a replaced file that somebody still has open for writing is not finished`() async throws {
    let fixture = try fixture(copyBytes: 0)
    let late = Opener(fixture.url("a"))
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart", call.ordinal == 2 else { return }
      try await late.open()
      try replace(fixture, by: [1])
    }
    await #expect(throws: UploadAbandoned.openForWriting) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
    try await late.close()
  }

  @Test(.promise("PUB-14"))
  func `a file that was written to before it was replaced is not finished`() async throws {
    let fixture = try fixture(copyBytes: 0)
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart", call.ordinal == 2 else { return }
      try fixture.overwrite("a", [9], at: 0)
      try replace(fixture, by: [1])
    }
    await #expect(throws: UploadAbandoned.changed) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
  }

  @Test func `a file that is replaced all the time is published`() async throws {
    let fixture = try TransferFixture(copyBytes: 1 << 30)
    let versions = (1...7).map { pattern(200_000, seed: $0) }
    try fixture.write("a", versions[0])
    let isOver = Atomic(false)
    let writer = NativeWriter { [unowned fixture] in
      var next = 0
      while !isOver.load(ordering: .acquiring) {
        next += 1
        do { try replace(fixture, by: versions[next % versions.count]) } catch { Issue.record(error) }
      }
    }
    let result = await Task { try await fixture.upload("a", isCloseSeen: false) }.result
    isOver.store(true, ordering: .releasing)
    writer.join()
    _ = try result.get()
    let published = try #require(await fixture.store.bytes("a"))
    #expect(versions.contains(published))
  }

  // MARK: Written again

  /// In parts, and in one request that memory does not hold.
  @Test(.promise("PUB-15"), arguments: [5, 16])
  func `a file that is written to during its upload is sent from a private copy`(threshold: Int)
    async throws
  {
    let fixture = try fixture()
    var settings = fixture.settings
    settings.singleThreshold = Int64(threshold * mebibyte)
    let newer = pattern(Self.size, seed: 2)
    await fixture.store.hold { [unowned fixture] call in
      guard ["UploadPart", "PutObject"].contains(call.operation), call.ordinal == 1 else { return }
      try fixture.overwrite("a", newer, at: 0)
    }
    let receipt = try await fixture.uploader(settings).upload(
      "a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
    #expect(await fixture.store.bytes("a") == newer)
    #expect(!receipt.isSuperseded)
    #expect(receipt.proof == .closed)
    #expect(await fixture.store.openUploads.isEmpty)
    #expect(fixture.resources.copies.available == fixture.resources.copies.capacity)
  }

  @Test func `a file that is written again more often than it can be sent goes in some version`()
    async throws
  {
    let fixture = try fixture()
    let versions = Mutex<UInt8>(1)
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart" else { return }
      let seed = versions.withLock { version in
        version += 1
        return version
      }
      try fixture.overwrite("a", pattern(Self.size, seed: seed), at: 0)
    }
    let uploader = fixture.uploader()
    func upload() async throws -> UploadReceipt {
      try await uploader.upload("a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
    }
    #expect(try await upload().isSuperseded)
    let first = try #require(await fixture.store.bytes("a"))
    #expect((1...10).contains { pattern(Self.size, seed: $0) == first })
    await fixture.store.forgetCalls()
    #expect(try await upload().isSuperseded)
    // The next reading begins with a copy: no part is sent for nothing.
    #expect(await fixture.store.count(of: "UploadPart") == 3)
    #expect(await fixture.store.count(of: "AbortMultipartUpload") == 0)
  }

  @Test func `a file that rests again is sent without a copy`() async throws {
    let fixture = try fixture()
    let uploader = fixture.uploader()
    await fixture.store.hold { [unowned fixture] call in
      guard call.operation == "UploadPart", call.ordinal == 1 else { return }
      try fixture.overwrite("a", [7], at: 0)
    }
    for _ in 0..<2 {
      _ = try await uploader.upload("a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
    }
    #expect(!uploader.restless.contains("a"))
  }

  @Test(.promise("PUB-15"))
  func `a file that is too large to be copied is said to be, with what changed it and how often`()
    async throws
  {
    let fixture = try fixture(copyBytes: 1_000)
    let uploader = fixture.uploader()
    await fixture.store.hold { [unowned fixture] call in
      if call.operation == "UploadPart" { try fixture.overwrite("a", [7], at: 0) }
    }
    for readings in 1...2 {
      let error = await #expect(throws: UploadAbandoned.self) {
        try await uploader.upload("a", of: fixture.root, to: "a", isCloseSeen: true, openFiles: .wait)
      }
      guard case .restless(let restlessness) = error else {
        Issue.record("\(String(describing: error))")
        return
      }
      #expect(restlessness.readings == readings)
      #expect(restlessness.change == .written)
      #expect(restlessness.description.contains("at most 1000 are copied"))
      #expect(uploader.restless.takeNews(of: "a", restlessness))
      #expect(!uploader.restless.takeNews(of: "a", restlessness))
    }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
  }

  @Test(.promise("PUB-15"))
  func `where no copy can be made the message names the directory`() async throws {
    let fixture = try fixture(copyDirectory: "/nowhere")
    await fixture.store.hold { [unowned fixture] call in
      if call.operation == "UploadPart" { try fixture.overwrite("a", [7], at: 0) }
    }
    let error = await #expect(throws: UploadAbandoned.self) { try await fixture.upload("a") }
    #expect(error?.description.contains("/nowhere") == true)
  }

  @Test func `a file that is deleted while its copy is sent is gone`() async throws {
    let fixture = try fixture()
    await fixture.store.hold { [unowned fixture] call in
      if call.operation == "UploadPart", call.ordinal == 1 { try fixture.overwrite("a", [7], at: 0) }
      // The copy is made by then.
      if call.operation == "CreateMultipartUpload", call.ordinal == 2 {
        try FileManager.default.removeItem(at: fixture.url("a"))
      }
    }
    await #expect(throws: UploadAbandoned.vanished) { try await fixture.upload("a") }
    #expect(await fixture.store.keys.isEmpty)
    #expect(await fixture.store.openUploads.isEmpty)
  }
}

/// A thread that does as a program of its own would.
private final class NativeWriter: Sendable {
  private let isDone = DispatchSemaphore(value: 0)

  init(_ body: @escaping @Sendable () -> Void) {
    let isDone = isDone
    Thread.detachNewThread {
      body()
      isDone.signal()
    }
  }

  func join() { isDone.wait() }
}
