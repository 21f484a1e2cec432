import Foundation
import HTTPTransport
import S3Client
import TestSupport
import Testing

@testable import Transfers

@Suite struct PressureTests {
  @Test func `who holds a slot keeps it, who comes waits for the lower limit`() async throws {
    let slots = FairSemaphore(capacity: 4)
    let (all, release) = (Meeting(of: 5), Latch())
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          try await slots.withPermit {
            await all.join()
            await release.wait()
          }
        }
      }
      await all.join()
      slots.slowDown(begunAfter: 0, at: 0)
      #expect(slots.limit == 2)
      #expect(slots.available == 0)
      for _ in 0..<4 {
        group.addTask { try await slots.withPermit { #expect(slots.available >= 2) } }
      }
      try await eventually("the other four wait") { slots.waiterCount == 4 }
      await release.open()
      try await group.waitForAll()
    }
    #expect(slots.available == 4)
  }

  @Test func `more than the lowered limit goes alone rather than never`() async throws {
    let slots = FairSemaphore(capacity: 4)
    slots.slowDown(begunAfter: 0, at: 0)
    #expect(try await slots.withPermit(4) { true })
  }

  @Test func `the server's word reaches the slots, below the retries`() async throws {
    let fake = FakeObjectStore()
    let slots = FairSemaphore(capacity: 8)
    await fake.inject { call, moment in
      guard moment == .beforeEffect, call.ordinal <= 2 else { return nil }
      var error = refusal("HeadBucket", code: "SlowDown", status: 503)
      error.isRetryable = true
      return error
    }
    let store = RetryingStore(PressureSensingStore(fake, slots: slots, clock: { 0 }), pause: { _ in })
    // The second attempt began after the first refusal, so it is another sign.
    _ = try await store.send(HeadBucket())
    #expect(slots.limit == 2)
    for number in 0..<50 {
      _ = try await store.send(PutObject(key: "\(number)", body: BytesBody([1])))
    }
    #expect(slots.limit == 7)
  }

  @Test(.promise("XFER-7", "FAIL-2"))
  func `a request that waits to be sent again holds no slot`() async throws {
    let fake = FakeObjectStore()
    let resources = try TransferResources(workers: 2)
    defer { resources.stop() }
    await fake.inject { call, moment in
      guard moment == .beforeEffect, call.ordinal <= 4, call.operation == PutObject.name else { return nil }
      var error = refusal(PutObject.name, code: "SlowDown", status: 503)
      error.isRetryable = true
      return error
    }
    // All four have been refused, and pause at one time, though there are two slots. The fifth is this test.
    let (allPause, release) = (Meeting(of: 5), Latch())
    let store = RetryingStore(
      fake,
      pause: { _ in
        try await FairSemaphore.yieldingPermit {
          await allPause.join()
          await release.wait()
        }
      })
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<4 {
        group.addTask {
          let put = PutObject(key: "\(number)", body: BytesBody([1]))
          _ = try await resources.send(put, through: store)
        }
      }
      await allPause.join()
      #expect(resources.slots.available == 2)
      // One that comes now is served while they pause.
      _ = try await resources.send(HeadBucket(), through: store)
      #expect(resources.slots.available == 2)
      await release.open()
      try await group.waitForAll()
    }
    #expect(await fake.keys == ["0", "1", "2", "3"])
    #expect(resources.slots.available == 2)
    #expect(await fake.maxInFlight <= 2)
  }

  @Test func `a transfer that is cancelled while it pauses gives its slot back once`() async throws {
    let slots = FairSemaphore(capacity: 2, pauses: .yielding)
    let pausing = Latch()
    let transfer = Task {
      try await slots.withPermit {
        try await FairSemaphore.yieldingPermit {
          await pausing.open()
          try await Task.sleep(for: .seconds(3_600))
        }
      }
    }
    await pausing.wait()
    transfer.cancel()
    await #expect(throws: CancellationError.self) { try await transfer.value }
    #expect(slots.available == 2)
  }

  @Test func `memory that is filled stays taken while its request pauses`() async throws {
    let memory = FairSemaphore(capacity: 2)
    try await memory.withPermit {
      try await FairSemaphore.yieldingPermit { #expect(memory.available == 1) }
      #expect(memory.available == 1)
    }
    #expect(memory.available == 2)
  }

  @Test func `other errors are no pressure`() async {
    let fake = FakeObjectStore()
    let slots = FairSemaphore(capacity: 8)
    await fake.inject { _, _ in refusal("HeadBucket", code: "InternalError", status: 500) }
    let store = PressureSensingStore(fake, slots: slots, clock: { 0 })
    await #expect(throws: S3Error.self) { try await store.send(HeadBucket()) }
    #expect(slots.limit == 8)
  }
}

@Suite struct StaleUploadTests {
  private static let day: Int64 = 86_400 * 1_000_000_000
  private static let now: Int64 = 1_700_000_000 * 1_000_000_000

  private func begin(_ store: FakeObjectStore, _ key: String, daysAgo: Int64) async throws -> String {
    let uploadID = try await store.send(CreateMultipartUpload(key: key)).uploadID
    _ = try await store.send(
      UploadPart(key: key, uploadID: uploadID, number: 1, body: PartBodyOfZeros(byteCount: 10)))
    await store.backdate(uploadID: uploadID, to: Self.now - daysAgo * Self.day)
    return uploadID
  }

  private func sweep(_ store: FakeObjectStore) async throws -> (PendingUploads, PendingUploads.Sweep) {
    let pending = PendingUploads()
    try await pending.load(from: store, prefix: "")
    let sweep = await pending.sweep(
      store, olderThan: .seconds(7 * 86_400), now: Self.now, where: { $0 != "theirs" })
    return (pending, sweep)
  }

  @Test func `only what is old and ours is aborted`() async throws {
    let store = FakeObjectStore()
    let old = try await begin(store, "old", daysAgo: 8)
    _ = try await begin(store, "young", daysAgo: 6)
    _ = try await begin(store, "theirs", daysAgo: 9)
    let (pending, sweep) = try await sweep(store)
    #expect(sweep.aborted.map(\.uploadID) == [old])
    #expect(sweep.failures.isEmpty)
    #expect(Set(await store.openUploads.map(\.key)) == ["young", "theirs"])
    #expect(Set(pending.all.map(\.key)) == ["young", "theirs"])
  }

  @Test func `an old upload with a new part is alive`() async throws {
    let store = FakeObjectStore(
      behaviour: FakeBucket.Behaviour(pageLimit: 1), clock: { Self.now - 3 * Self.day })
    let uploadID = try await begin(store, "slow", daysAgo: 30)
    // On a later page than the old part.
    _ = try await store.send(
      UploadPart(key: "slow", uploadID: uploadID, number: 2, body: PartBodyOfZeros(byteCount: 10)))
    let (_, sweep) = try await sweep(store)
    #expect(sweep.aborted.isEmpty)
    #expect(await store.openUploads.count == 1)
  }

  @Test func `an upload without a date is left alone`() async throws {
    let store = FakeObjectStore()
    let uploadID = try await begin(store, "a", daysAgo: 100)
    let pending = PendingUploads()
    pending.add(.init(uploadID: uploadID, initiated: 0), for: "a")
    let sweep = await pending.sweep(store, olderThan: .seconds(1), now: Self.now, where: { _ in true })
    #expect(sweep.aborted.isEmpty)
  }

  @Test(.timeLimit(.minutes(1)))
  func `markers that go round in a circle end the list, and what was listed is known`() async throws {
    let pending = PendingUploads()
    try await pending.load(from: CirclingUploads(), prefix: "")
    #expect(Set(pending.all.map(\.key)) == ["0", "1"])
  }

  @Test func `what cannot be aborted is told and stays`() async throws {
    let store = FakeObjectStore()
    _ = try await begin(store, "old", daysAgo: 8)
    await store.inject { call, _ in call.operation == "AbortMultipartUpload" ? refusal("Abort") : nil }
    let (pending, sweep) = try await sweep(store)
    #expect(sweep.aborted.isEmpty)
    #expect(sweep.failures.map(\.key) == ["old"])
    #expect(pending.all.count == 1)
  }
}

/// Leads from one of two pages of uploads to the other for ever.
private struct CirclingUploads: ObjectStore {
  var bucket: String { "bucket" }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let list = operation as? ListMultipartUploads
    let page = list?.after?.key == "0" ? 1 : 0
    var document = RequestDocument(root: "ListMultipartUploadsResult")
    document.element("IsTruncated", "true")
    document.element("NextKeyMarker", "\(page)")
    document.open("Upload")
    document.element("Key", "\(page)")
    document.element("UploadId", "u\(page)")
    document.close("Upload")
    document.close("ListMultipartUploadsResult")
    let http = HTTPResponse(status: 200, body: document.bytes)
    return try operation.output(from: S3Response(bucket: bucket, key: nil, http: http))
  }
}
