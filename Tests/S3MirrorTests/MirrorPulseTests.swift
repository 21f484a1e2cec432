import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// What a watchdog learns of a mirror.
@Suite struct MirrorPulseTests {
  private typealias Signs = MirrorScope.VitalSigns
  private let start = Instant(nanoseconds: 0)

  private func signs(_ progress: Int = 0, hasWork: Bool = true, waits: Bool = false) -> Signs {
    Signs(hasWork: hasWork, isWaitingForOthers: waits, progress: progress)
  }

  /// Whether the mirror moves at each of these moments, in seconds from the start.
  private func moves(_ readings: [(signs: Signs, second: Int)]) -> [Bool] {
    var stillness = Stillness(patience: .seconds(10), startingAt: start)
    return readings.map { stillness.note($0.signs, at: start + .seconds($0.second)) }
  }

  @Test func `a mirror with nothing to do never counts as stopped`() {
    #expect(moves([(signs(hasWork: false), 5), (signs(hasWork: false), 5_000)]) == [true, true])
  }

  @Test(.promise("SVC-2")) func `a mirror whose work makes no progress counts as stopped`() {
    let readings = [(signs(1), 0), (signs(1), 10), (signs(1), 11), (signs(1), 60), (signs(2), 61)]
    #expect(moves(readings) == [true, true, false, false, true])
  }

  @Test func `an operation under way has time limits of its own`() {
    #expect(moves([(signs(waits: true), 500), (signs(), 509), (signs(), 511)]) == [true, true, false])
  }

  @Test func `work that has just begun is not late`() {
    #expect(moves([(signs(hasWork: false), 100), (signs(), 109), (signs(), 111)]) == [true, true, false])
  }

  @Test func `a scope at rest has no work until its tick is due`() async throws {
    try await Stage.play { stage in
      try stage.directory.makeDirectory("out")
      let scope = try stage.scope()
      try await scope.enter([
        (name: "out", spec: .upload(stage.url("out"), local: stage.local("out"), interval: .seconds(3600)))
      ])
      try await eventually("the lane rests") { !scope.vitalSigns().hasWork }
      let before = scope.vitalSigns().progress
      try stage.directory.write("out/a", "a")
      _ = try await scope.flush("out")
      try await eventually("the lane rests again") { !scope.vitalSigns().hasWork }
      #expect(scope.vitalSigns().progress > before)
      // Its tick is an hour away; a lane that rested beyond it would have been forgotten.
      #expect(scope.vitalSigns(at: .now + .seconds(7200)).hasWork)
      await scope.loopsAnswer()
      _ = await scope.exit(.returned)
    }
  }

  @Test func `a scope that enters or ends has work`() async throws {
    try await Stage.play { stage in
      let scope = try stage.scope()
      #expect(scope.vitalSigns().hasWork)
      try await scope.enter([])
      #expect(!scope.vitalSigns().hasWork)
      _ = await scope.exit(.returned)
      #expect(scope.vitalSigns().hasWork)
    }
  }

  @Test func `a loop that does not answer stops the pulse`() async throws {
    try await Stage.play { stage in
      let gate = AsyncStream<Void>.makeStream()
      let asked = AsyncStream<Void>.makeStream()
      let scope = try MirrorScope(options: stage.options()) { _, _, _ in
        StuckBuckets(base: FakeBuckets(store: stage.fake), asked: asked.continuation, gate: gate.stream)
      }
      let hasAnswered = Mutex(false)
      let asking = Task {
        var pulse = MirrorPulse(of: scope, patience: .seconds(1))
        let isMoving = await pulse.isMoving()
        hasAnswered.withLock { $0 = true }
        return isMoving
      }
      for await _ in asked.stream { break }
      #expect(!hasAnswered.withLock { $0 })
      gate.continuation.finish()
      #expect(await asking.value)
      _ = await scope.exit(.threw)
    }
  }
}

/// Buckets whose loops come round when a test lets them.
private struct StuckBuckets: BucketSource {
  let base: FakeBuckets
  let asked: AsyncStream<Void>.Continuation
  let gate: AsyncStream<Void>

  func bucket(of location: S3Location, access: BucketAccess?) throws -> OpenBucket {
    try base.bucket(of: location, access: access)
  }

  func answer() async {
    asked.yield()
    for await _ in gate {}
  }

  func close() async { await base.close() }
}
