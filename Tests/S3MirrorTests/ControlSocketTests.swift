import Foundation
import Glibc
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// A running mirror answers what waits and what failed, and publishes now when it is asked to.
@Suite struct ControlSocketTests {
  private func found(on stage: Stage) throws -> [RunningMirror] {
    try RunningMirror.all(overriding: stage.options().environment, complaint: { Issue.record("\($0)") })
  }

  @Test func `a mirror is found while it runs, and not after`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)],
        { $0.controlSocket = true }
      ) { _ async throws in
        #expect(try found(on: stage).map(\.pid) == [getpid()])
      }
      #expect(try found(on: stage).isEmpty)
      #expect(stage.directory.everything().filter { $0.hasSuffix(".sock") }.isEmpty)
    }
  }

  @Test func `the library opens no socket unless it is told to`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)]) {
        _ async throws in
        #expect(try found(on: stage).isEmpty)
      }
    }
  }

  @Test func `flush publishes, and says what it could not; status says what waits`() async throws {
    try await Stage.play { stage async throws in
      let specs: KeyValuePairs<String, MirrorSpec> = [
        "bad": .upload(stage.url("bad"), local: stage.local("bad"), interval: nil),
        "good": .upload(stage.url("good"), local: stage.local("good"), interval: nil),
      ]
      let scope = try stage.scope { $0.controlSocket = true }
      try await scope.enter(specs.map { (name: $0.key, spec: $0.value) })
      try stage.directory.write("bad/file", "xx")
      try stage.directory.write("good/file", "x")
      await stage.fake.inject { call, _ in
        guard call.operation == PutObject.name, call.key?.contains("/bad/") == true else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 403, code: "AccessDenied",
          message: "")
      }
      let good = await scope.control(Array(#"{"request":"flush","upload":"good"}"#.utf8))
      #expect(good.flushed == ["good"])
      #expect(try await stage.keys() == ["good/file"])
      let all = await scope.control(Array(#"{"request":"flush"}"#.utf8))
      #expect(all.error?.kind == .incomplete)
      #expect(all.error?.failures.map(\.path) == ["file"])

      let answer = await scope.control(Array(#"{"request":"status"}"#.utf8))
      let state = try #require(answer.status)
      #expect(state.phase == .running)
      let bad = try #require(state.uploads.first { $0.name == "bad" })
      #expect(bad.remote == stage.url("bad"))
      #expect(bad.local == stage.local("bad"))
      #expect(bad.waitingFiles == 1)
      #expect(bad.waitingBytes == 2)
      #expect(bad.failedFiles == 1)
      #expect(bad.failures.map(\.path) == ["file"])
      #expect(bad.recoveryPoint != nil)
      let other = try #require(state.uploads.first { $0.name == "good" })
      #expect(other.publishedFiles == 1)
      #expect(other.recoveryPoint == nil)
      await stage.fake.inject(nil)
      #expect(await scope.exit(.returned).isComplete)
    }
  }

  @Test(arguments: [
    "", "junk", "{}", #"{"request":"stop"}"#, #"{"request":"flush","upload":"nothing"}"#, "[1]",
  ])
  func `a line that is no request is answered with an error`(_ line: String) async throws {
    try await Stage.play { stage async throws in
      let scope = try stage.scope()
      try await scope.enter([
        (name: "out", spec: .upload(stage.url("out"), local: stage.local("out"), interval: nil))
      ])
      #expect(await scope.control(Array(line.utf8)).error?.kind == .request)
      _ = await scope.exit(.returned)
    }
  }

  @Test func `during the entry the status says so, and a flush waits for the entry`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/file", "x")
      let (held, hold) = AsyncStream<Void>.makeStream()
      let (gate, open) = AsyncStream<Void>.makeStream()
      await stage.fake.hold { call in
        guard call.operation == PutObject.name else { return }
        hold.yield()
        for await _ in gate {}
      }
      let scope = try stage.scope()
      async let entry: Void = scope.enter([
        (name: "out", spec: .upload(stage.url("out"), local: stage.local("out"), interval: nil))
      ])
      for await _ in held { break }
      let state = scope.mirrorState
      #expect(state.phase == .entering)
      #expect(state.uploads.map(\.inFlightFiles) == [1])
      async let answer = scope.control(Array(#"{"request":"flush"}"#.utf8))
      open.finish()
      try await entry
      #expect(await answer.flushed == ["out"])
      #expect(try await stage.keys() == ["out/file"])
      #expect(scope.mirrorState.phase == .running)
      _ = await scope.exit(.returned)
      #expect(scope.mirrorState.phase == .ending)
      #expect(await scope.control(Array(#"{"request":"flush"}"#.utf8)).error?.kind == .interrupted)
    }
  }

  @Test(.promise("END-7"))
  func `a flush that waits when the mirror ends is answered with the result of the end`() async throws {
    try await Stage.play { stage async throws in
      let schedule = LaneSchedule(policy: .init(interval: nil))
      async let flushed = schedule.flush()
      try await eventually("a flush waits") { schedule.hasFlushes }
      var outcome = PassOutcome(summary: PassSummary(name: "out", kind: .exit, number: 1))
      outcome.summary.published = 7
      schedule.close(answering: outcome)
      #expect(await flushed?.summary.published == 7)
    }
  }

  @Test func `sockets of another kernel are ignored`() throws {
    #expect(ControlPlaces.pid(of: "0a1b2c3d-42-1.sock", kernel: "0a1b2c3d") == 42)
    #expect(ControlPlaces.pid(of: "ffffffff-42-1.sock", kernel: "0a1b2c3d") == nil)
    #expect(ControlPlaces.pid(of: ".0a1b2c3d-42-1.sock.new", kernel: "0a1b2c3d") == nil)
    #expect(ControlPlaces.pid(of: "else", kernel: "0a1b2c3d") == nil)
  }

  @Test func `without a runtime directory the socket is in the state directory`() throws {
    let home = FilePath("/home/user")
    let places = ControlPlaces(environment: ["XDG_STATE_HOME": "/state"], home: home)
    #expect(places.preferred == "/state/s3mirror/run")
    #expect(ControlPlaces(environment: [:], home: home).preferred == "/home/user/.local/state/s3mirror/run")
    // A relative one counts as none (XDG base directory specification).
    #expect(ControlPlaces(environment: ["XDG_RUNTIME_DIR": "run"], home: home).all.count == 1)
    #expect(ControlPlaces(environment: ["XDG_RUNTIME_DIR": "/tmp"], home: home).preferred == "/tmp/s3mirror")
  }
}
