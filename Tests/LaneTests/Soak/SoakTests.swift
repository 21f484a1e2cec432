import Foundation
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Random writers against a mirror: at the end the bucket is the tree, and at no moment was an object torn.
///
/// `S3MIRROR_SOAK_OPERATIONS` makes a run longer, `S3MIRROR_SOAK_SEED` repeats one.
@Suite(.serialized) struct SoakTests {
  private static let operations = number("S3MIRROR_SOAK_OPERATIONS") ?? 20_000
  private static let seed = number("S3MIRROR_SOAK_SEED").map(UInt64.init) ?? .random(in: 0..<1_000_000)

  private static func number(_ name: String) -> Int? {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
  }

  private func check(_ run: SoakRun, over store: any ObjectStore, prefix: String) async throws {
    let start = ContinuousClock.now
    let outcome = try await run.run(over: store, prefix: prefix)
    print(
      "soak: seed \(run.seed), \(run.operations) operations, \(outcome.looked) objects looked at, \(outcome.snapshots) of them snapshots of open files, \(outcome.checkpointsRead.count) checkpoints read, \(outcome.report.ticks) passes, \(outcome.report.published) published, \(outcome.report.deleted) deleted, \(ContinuousClock.now - start), requests \(outcome.report.requests)"
    )
    let note = Comment("seed \(run.seed); S3MIRROR_SOAK_SEED repeats it")
    #expect(outcome.torn == [], note)
    #expect(outcome.wronglyProved == [], note)
    #expect(outcome.brokenMarkers == [], note)
    #expect(!outcome.checkpointsRead.isEmpty, note)
    // What a comparison finds superfluous waits for the exit.
    let isWatched = run.overflows == 0 && run.maxWatches == nil
    #expect(outcome.differencesBeforeExit.filter { isWatched || !$0.hasPrefix("extra") } == [], note)
    #expect(outcome.differences == [], note)
    #expect(outcome.failures == [], note)
  }

  private func check(_ run: ScriptedRun) async throws {
    for round in 0..<UInt64(max(1, Self.operations / 1000)) {
      let script = ScriptedRun.script(seed: Self.seed &+ round, count: 100)
      let differences = try await run.differences(after: script)
      guard !differences.isEmpty else { continue }
      let short = try await run.shortened(script)
      let found = try await run.differences(after: short)
      Issue.record("seed \(Self.seed &+ round): \(differences); shortened to \(short): \(found)")
      return
    }
  }

  @Test func `what one writer does is on S3 after a flush`() async throws {
    try await check(ScriptedRun())
  }

  @Test func `what one writer does is on S3 after some flushes where watches are few`() async throws {
    try await check(ScriptedRun(maxWatches: 4))
  }

  @Test func `after random changes the bucket is the tree, and no object was ever torn`() async throws {
    let store = FakeObjectStore()
    try await check(SoakRun(seed: Self.seed, operations: Self.operations), over: store, prefix: "t/")
  }

  @Test(.enabled(if: SoakServer.fromEnvironment != nil))
  func `the same on a real server`() async throws {
    let server = try #require(SoakServer.fromEnvironment)
    try await server.run { store, prefix in
      try await check(SoakRun(seed: Self.seed, operations: Self.operations), over: store, prefix: prefix)
    }
  }

  @Test func `lost events leave nothing behind`() async throws {
    let store = FakeObjectStore()
    let run = SoakRun(seed: Self.seed, operations: Self.operations / 4, overflows: 20)
    try await check(run, over: store, prefix: "t/")
  }

  @Test func `too few watches leave nothing behind`() async throws {
    let store = FakeObjectStore()
    let run = SoakRun(seed: Self.seed, operations: Self.operations / 4, maxWatches: 12)
    try await check(run, over: store, prefix: "t/")
  }
}
