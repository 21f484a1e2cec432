import MirrorModel
import S3Client
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// The files of a unit appear together.
@Suite struct UnitTests {
  private static let large = String(repeating: "x", count: 2_000)

  /// Runs with parts of keys that hold `slow` unanswered until `release` is opened.
  private func run(
    interval: Duration? = .milliseconds(50),
    _ body: (LaneUnderTest, FakeObjectStore, Latch) async throws -> Void
  ) async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: .reported)
    configuration.singleThreshold = 1_000
    configuration.clockMoves = .duringPasses
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    let release = Latch()
    await store.hold { call in
      if call.operation == "UploadPart", call.key?.contains("slow") == true { await release.wait() }
    }
    try await body(mirror, store, release)
    await release.open()
    try mirror.removeDirectory()
  }

  /// A unit of which all bytes but those of `slow` are on their way or there.
  private func writeUnit(_ mirror: LaneUnderTest, _ store: FakeObjectStore) async throws {
    for name in ["config", "latest", "model", "optimizer", "rng", "slow"] {
      let isLarge = ["model", "optimizer", "slow"].contains(name)
      try mirror.writeOutside("X/" + name, isLarge ? Self.large : "small")
    }
    try mirror.move("outside/X", "tree/X")
    try await mirror.passTime(until: "all parts are on their way") {
      await store.count(of: "UploadPart") == 3
    }
  }

  private static let unit = ["config", "latest", "model", "optimizer", "rng", "slow"].map { "t/X/" + $0 }

  @Test(.promise("UNIT-1"), arguments: [Duration.milliseconds(50), .zero])
  func `no object of a unit appears before all bytes of its large files are on the server`(interval: Duration)
    async throws
  {
    try await run(interval: interval) { mirror, store, release in
      try await writeUnit(mirror, store)
      // What follows goes while the unit waits.
      for number in 0..<3 {
        try mirror.write("other\(number)", "1")
        try await mirror.wait(for: "other\(number)", in: store)
        #expect(await store.keys.allSatisfy { !$0.hasPrefix("t/X/") })
      }
      #expect(await store.count(of: "CompleteMultipartUpload") == 0)
      await release.open()
      try await mirror.wait(for: "X/latest", in: store)
      #expect(await store.keys.filter { $0.hasPrefix("t/X/") } == Self.unit)
      #expect(await mirror.finish().failures == [])
    }
  }

  @Test(.promise("UNIT-3")) func `files that are added to a unit in flight are published after the unit`()
    async throws
  {
    try await run { mirror, store, release in
      try await writeUnit(mirror, store)
      try mirror.write("X/late", "1")
      try mirror.write("X/train.log", "1")
      try mirror.write("Y/a", "1")
      try await mirror.wait(for: "Y/a", in: store)
      try await mirror.wait(for: "X/train.log", in: store)
      #expect(await store.keys.filter { $0.hasPrefix("t/X/") } == ["t/X/train.log"])
      await release.open()
      try await mirror.wait(for: "X/late", in: store)
      try await mirror.wait(for: "X/latest", in: store)
      #expect(await mirror.finish().failures == [])
    }
  }

  @Test(.promise("UNIT-1")) func `a flush returns when the unit is there`() async throws {
    try await run(interval: nil) { mirror, store, release in
      for name in ["X/model", "X/slow"] { try mirror.write(name, Self.large) }
      try mirror.write("X/config", "small")
      async let flushed: Void = mirror.lane.flush()
      try await eventually("all parts are on their way") { await store.count(of: "UploadPart") == 2 }
      #expect(await store.keys == [])
      await release.open()
      try await flushed
      #expect(await store.keys == ["t/X/config", "t/X/model", "t/X/slow"])
      #expect(await mirror.finish().failures == [])
    }
  }

  @Test(.promise("UNIT-1")) func `a large file that cannot be sent holds back only markers`() async throws {
    try await run(interval: nil) { mirror, store, release in
      await store.hold { call in
        if call.operation == "UploadPart", call.key?.contains("slow") == true {
          throw call.refusal(status: 403, code: "AccessDenied")
        }
      }
      for name in ["X/model", "X/slow"] { try mirror.write(name, Self.large) }
      for name in ["X/config", "X/latest"] { try mirror.write(name, "small") }
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      #expect(await store.keys == ["t/X/config", "t/X/model"])
      #expect(await mirror.finish().failures.map(\.path).sorted() == ["X/latest", "X/slow"])
    }
  }

  @Test(.promise("UNIT-3")) func `the end waits for a unit on its way`() async throws {
    try await run { mirror, store, release in
      try await writeUnit(mirror, store)
      try mirror.write("other", "1")
      try await mirror.wait(for: "other", in: store)
      async let report = mirror.finish()
      await release.open()
      #expect(await report.failures == [])
      #expect(await store.keys.filter { $0.hasPrefix("t/X/") } == Self.unit)
    }
  }

  @Test(.promise("UNIT-3")) func `an end that leaves S3 as it is publishes nothing of a unit in flight`()
    async throws
  {
    try await run { mirror, store, release in
      try await writeUnit(mirror, store)
      try mirror.write("other", "1")
      try await mirror.wait(for: "other", in: store)
      async let report = mirror.finish(.skipped)
      try await eventually("the flights are cancelled") { mirror.lane.flights.isCancelled }
      await release.open()
      _ = await report
      #expect(await store.keys == ["t/other"])
    }
  }

  @Test(.promise("END-10"))
  func `before an announced deadline the newest checkpoint goes first`() async throws {
    try await run(interval: nil) { mirror, store, _ in
      mirror.lane.noteDeadline(in: .seconds(3600))
      for step in 1...3 {
        for name in ["a", "b", "c"] { try mirror.write("step-\(step)/\(name)", "\(step)") }
      }
      try mirror.write("config", "1")
      try await mirror.settle()
      let order = await store.calls.filter { $0.operation == "PutObject" }.compactMap(\.key).map {
        $0.split(separator: "/")[1]
      }
      let groups = ["step-3", "config", "step-2", "step-1"].flatMap { name in
        [Substring](repeating: name[...], count: name == "config" ? 1 : 3)
      }
      #expect(order == groups)
    }
  }
}
