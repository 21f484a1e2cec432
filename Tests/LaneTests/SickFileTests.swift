import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// One file that S3 does not answer, or that takes long, holds nothing back that does not depend on it.
@Suite struct SickFileTests {
  /// Runs with PUTs of `sick…` that stay unanswered until `release` is opened.
  private func run(
    interval: Duration? = .milliseconds(50), delete: Bool = true,
    _ body: (LaneUnderTest, FakeObjectStore, Latch) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: .reported)
    configuration.delete = delete
    configuration.clockMoves = .duringPasses
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    let release = Latch()
    await store.hold { call in
      if call.operation == "PutObject", call.key?.contains("sick") == true { await release.wait() }
    }
    try await body(mirror, store, release)
    await release.open()
    try mirror.removeDirectory()
  }

  /// Writes a file that is not answered, and another one, for which the pass of the first ends.
  private func letFly(_ path: String, _ mirror: LaneUnderTest, _ store: FakeObjectStore) async throws {
    try mirror.write(path, "1")
    try await isOnItsWay(path, mirror)
    try mirror.write("other", "1")
    try await mirror.wait(for: "other", in: store)
    try await isInFlight(RelativePath(path), mirror)
  }

  private func isOnItsWay(_ path: String, _ mirror: LaneUnderTest) async throws {
    try await mirror.passTime(until: "\(path) is on its way") { mirror.lane.status.inFlightFiles == 1 }
  }

  private func isInFlight(_ path: RelativePath, _ mirror: LaneUnderTest) async throws {
    try await mirror.passTime(until: "\(path) outlives its pass") {
      mirror.lane.schedule.pathsInFlight.contains(path)
    }
  }

  @Test(.promise("PUB-16"), arguments: [Duration.milliseconds(50), .zero])
  func `other files and the markers of other directories are published while one file has no answer`(
    interval: Duration
  )
    async throws
  {
    try await run(interval: interval) { mirror, store, release in
      try mirror.write("a/sick", "1")
      try await isOnItsWay("a/sick", mirror)
      for number in 0..<50 { try mirror.write("b/\(number)", "data") }
      try mirror.write("b/latest", "49")
      try await mirror.wait(for: "b/latest", in: store)
      for number in 0..<50 { #expect(await store.text("t/b/\(number)") == "data") }
      #expect(await store.text("t/a/sick") == nil)
      try await mirror.passTime(until: "only the sick file waits") { mirror.lane.status.waitingFiles == 1 }
      await release.open()
      try await mirror.wait(for: "a/sick", in: store)
      #expect(await mirror.finish().failures == [])
    }
  }

  @Test(.promise("PUB-17"))
  func `a marker waits for a file in flight below its directory`()
    async throws
  {
    try await run { mirror, store, release in
      try await letFly("a/sick", mirror, store)
      try mirror.write("latest", "a")
      try mirror.write("c/data", "1")
      try await mirror.wait(for: "c/data", in: store)
      #expect(await store.text("t/latest") == nil)
      await release.open()
      try await mirror.wait(for: "latest", in: store)
      #expect(await store.text("t/a/sick") == "1")
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-16"))
  func `a file that changes in flight is published again`() async throws {
    try await run { mirror, store, release in
      try await letFly("sick", mirror, store)
      try mirror.write("sick", "2")
      try mirror.write("other", "2")
      try await mirror.wait(for: "other", toBe: "2", in: store)
      #expect(await store.count(of: "PutObject") == 3)
      await release.open()
      try await mirror.wait(for: "sick", toBe: "2", in: store)
      #expect(await mirror.finish().failures == [])
    }
  }

  /// What is on its way may be what replaces it.
  @Test(.promise("PUB-17"))
  func `a delete waits for earlier changes that are still in flight`() async throws {
    try await run { mirror, store, release in
      try mirror.write("old/data", "1")
      try await mirror.wait(for: "old/data", in: store)
      try await letFly("new/sick", mirror, store)
      try mirror.remove("old")
      try mirror.write("other", "2")
      try await mirror.wait(for: "other", toBe: "2", in: store)
      try mirror.write("other", "3")
      try await mirror.wait(for: "other", toBe: "3", in: store)
      #expect(await store.text("t/old/data") == "1")
      await release.open()
      try await mirror.wait(for: "new/sick", in: store)
      try await mirror.passTime(until: "the old object goes") { await store.text("t/old/data") == nil }
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-17"))
  func `a delete does not wait for later changes`() async throws {
    try await run { mirror, store, release in
      try mirror.write("old", "1")
      try await mirror.wait(for: "old", in: store)
      try mirror.remove("old")
      try mirror.write("sick", "2")
      try await mirror.passTime(until: "the old object goes") { await store.text("t/old") == nil }
      #expect(await store.text("t/sick") == nil)
      await release.open()
      try await mirror.wait(for: "sick", in: store)
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-17"))
  func `a file that is renamed in flight ends under its new name only`()
    async throws
  {
    try await run { mirror, store, release in
      try await letFly("sick.tmp", mirror, store)
      try mirror.move("tree/sick.tmp", "tree/whole")
      await release.open()
      try await mirror.wait(for: "whole", toBe: "1", in: store)
      try await mirror.passTime(until: "the first name goes") { await store.text("t/sick.tmp") == nil }
      await mirror.finish()
      #expect(await store.keys == ["t/other", "t/whole"])
    }
  }

  @Test(.promise("PUB-18"))
  func `a flush waits for earlier flights, and for the markers that waited for them`()
    async throws
  {
    try await run(interval: .seconds(3600)) { mirror, store, release in
      try mirror.write("a/sick", "1")
      let first = Task { try await mirror.lane.flush() }
      try await eventually("the sick file is on its way") { mirror.lane.status.inFlightFiles == 1 }
      try mirror.write("latest", "a")
      let second = Task { try await mirror.lane.flush() }
      try await isInFlight("a/sick", mirror)
      #expect(await store.text("t/latest") == nil)
      await release.open()
      try await first.value
      #expect(await store.text("t/a/sick") == "1")
      try await second.value
      #expect(await store.text("t/latest") == "a")
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-18"))
  func `a failure of a file in flight fails the flush that waited for it`() async throws {
    try await run(interval: .seconds(3600)) { mirror, store, release in
      await store.inject { call, _ in
        guard call.operation == "PutObject", call.key?.contains("sick") == true else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 403, code: "AccessDenied",
          message: "")
      }
      try mirror.write("sick", "1")
      let first = Task { try await mirror.lane.flush() }
      try await eventually("the sick file is on its way") { mirror.lane.status.inFlightFiles == 1 }
      try mirror.write("other", "1")
      let second = Task { try await mirror.lane.flush() }
      try await mirror.wait(for: "other", in: store)
      await release.open()
      for flush in [first, second] {
        let error = await #expect(throws: MirrorError.self) { try await flush.value }
        #expect(error?.failures.map(\.path) == ["sick"])
      }
      await mirror.finish()
    }
  }

  @Test(.promise("PUB-16"))
  func `the end publishes other files beside a flight, and waits for the flight`()
    async throws
  {
    try await run { mirror, store, release in
      try await letFly("a/sick", mirror, store)
      try mirror.write("b/latest", "1")
      try mirror.write("latest", "a")
      let report = Task { await mirror.finish() }
      try await mirror.wait(for: "b/latest", in: store)
      #expect(await store.text("t/latest") == nil)
      await release.open()
      #expect(await report.value.failures == [])
      #expect(await store.keys == ["t/a/sick", "t/b/latest", "t/latest", "t/other"])
    }
  }

  @Test(.promise("PUB-16"))
  func `a comparison goes on without a file that is not answered`() async throws {
    try await run { mirror, store, release in
      try await mirror.injectOverflow(losing: { [mirror] in
        try mirror.write("a/sick", "1")
        for number in 0..<20 { try mirror.write("b/\(number)", "data") }
        try mirror.write("b/latest", "19")
      })
      try await mirror.wait(for: "b/19", in: store)
      try mirror.write("c", "1")
      try await mirror.wait(for: "c", in: store)
      #expect(await store.text("t/a/sick") == nil)
      await release.open()
      try await mirror.wait(for: "a/sick", in: store)
      try await mirror.wait(for: "b/latest", in: store)
      #expect(await mirror.finish().failures == [])
    }
  }

  @Test(.promise("PUB-16")) func `a file in flight is no drift`() async throws {
    try await run { mirror, store, release in
      try await letFly("sick", mirror, store)
      await mirror.lane.audit()
      #expect(mirror.lane.status.drift == 0)
      await release.open()
      try await mirror.wait(for: "sick", in: store)
      #expect(await mirror.finish().drift == 0)
    }
  }

  @Test(.promise("CHG-6"))
  func `a rename of a file in flight at the end deletes the first name, even without delete`()
    async throws
  {
    try await run(delete: false) { mirror, store, release in
      try await letFly("sick.tmp", mirror, store)
      try mirror.move("tree/sick.tmp", "tree/whole")
      let report = Task { await mirror.finish() }
      await release.open()
      #expect(await report.value.failures == [])
      #expect(await store.keys == ["t/other", "t/whole"])
    }
  }
}
