import Foundation
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// Hosts of one job that write shards of one checkpoint, each with a mirror of its own, as PyTorch's distributed
/// checkpoints do: `__k_0.distcp` on each host, and `.metadata` on host 0 when all shards are written.
@Suite struct GroupScopeTests {
  private func enter(
    _ member: Int, of count: Int = 2, on stage: Stage, tree: String? = nil,
    _ change: @escaping @Sendable (inout Options.Group) -> Void = { _ in }
  ) async throws -> GroupHost {
    try await GroupHost(entering: member, of: count, on: stage, tree: tree, change)
  }

  /// The keys without the tool's own.
  private func data(_ stage: Stage) async throws -> [String] {
    try await stage.keys().filter { !$0.contains(".s3mirror/") }
  }

  @Test(.promise("GRP-1"), .promise("GRP-2"), .promise("GRP-3"), arguments: Stage.Kind.available)
  func `a marker appears after the shards of all hosts, and no exit deletes another host's`(
    _ kind: Stage.Kind
  ) async throws {
    try await Stage.play(kind) { stage async throws in
      let first = try await enter(0, on: stage)
      let second = try await enter(1, on: stage)
      try first.writeShard("step-1")
      try second.writeShard("step-1")
      try first.write("step-1/.metadata", "both")
      // The other host is asked to publish; it has no interval.
      try await first.flush()
      let all = ["out/step-1/.metadata", "out/step-1/__0_0.distcp", "out/step-1/__1_0.distcp"]
      #expect(try await data(stage) == all)

      // A file that goes on one host goes on S3; what another host has published stays.
      try stage.directory.remove("host1/step-1/__1_0.distcp")
      try await second.flush()
      #expect(try await data(stage) == all.filter { !$0.contains("__1") })
      let one = try #require(await first.exit())
      let other = try #require(await second.exit())
      #expect(try await data(stage) == all.filter { !$0.contains("__1") })
      for report in [one, other] {
        #expect(report.failures == [])
        #expect(report.withheldDeletes == 0)
        #expect(report.drift == 0)
      }
    }
  }

  /// The comparison at entry has shown the marker, whose file is on another host.
  @Test(.promise("GRP-3"))
  func `a host that writes over its shard removes no marker of another host`() async throws {
    try await Stage.play { stage async throws in
      let first = try await enter(0, on: stage)
      var second = try await enter(1, on: stage)
      try first.writeShard("step-1")
      try second.writeShard("step-1")
      try first.write("step-1/.metadata", "both")
      try await first.flush()
      _ = await second.exit()
      second = try await enter(1, on: stage)
      try second.writeShard("step-1", "later")
      try await second.flush()
      #expect(try await stage.text("out/step-1/__1_0.distcp") == "later 1")
      #expect(try await data(stage).contains("out/step-1/.metadata"))
      _ = await first.exit()
      _ = await second.exit()
    }
  }

  @Test(.promise("GRP-1"))
  func `a marker waits while another host has unpublished data`() async throws {
    try await Stage.play { stage async throws in
      let first = try await enter(0, on: stage)
      let second = try await enter(1, on: stage)
      let isFailing = Mutex(true)
      let attempts = Latch()
      await stage.fake.hold { call in
        guard call.operation == "PutObject", call.key?.hasSuffix("__1_0.distcp") == true,
          isFailing.withLock({ $0 })
        else { return }
        await attempts.open()
        throw call.refusal()
      }
      try first.writeShard("step-1")
      try second.writeShard("step-1")
      try first.write("step-1/.metadata", "both")
      async let flushed: Void = first.flush()
      await attempts.wait()
      #expect(try await !data(stage).contains("out/step-1/.metadata"))
      isFailing.withLock { $0 = false }
      try await flushed
      #expect(try await data(stage).count == 3)
      _ = await first.exit()
      _ = await second.exit()
    }
  }

  @Test(.promise("GRP-1"))
  func `a shard that was closed and opened again keeps the marker back`() async throws {
    try await Stage.play { stage async throws in
      let first = try await enter(0, on: stage) { $0.timeout = .milliseconds(200) }
      let second = try await enter(1, on: stage)
      try first.writeShard("step-1")
      try second.writeShard("step-1")
      let writer = try SoleWriter(stage.local("host1/step-1/__1_0.distcp"))
      try writer.write(Array("more".utf8))
      try first.write("step-1/.metadata", "both")
      await #expect(throws: MirrorError.self) { try await first.flush() }
      #expect(try await data(stage) == ["out/step-1/__0_0.distcp"])
      let report = try #require(await first.exit())
      #expect(report.failures.first?.reason.contains("member 1 of the group job") == true)
      try writer.close()
      #expect(await second.exit()?.failures == [])
      #expect(try await data(stage) == ["out/step-1/__0_0.distcp", "out/step-1/__1_0.distcp"])
    }
  }

  @Test(.promise("GRP-1"))
  func `a marker that is deleted while it waits is waited for no more`() async throws {
    try await Stage.play { stage async throws in
      let first = try await enter(0, on: stage) { $0.timeout = .zero }
      try first.writeShard("step-1")
      try first.write("step-1/.metadata", "both")
      await #expect(throws: MirrorError.self) { try await first.flush() }
      #expect(first.scope.status.first?.heldMarkers.map(\.path) == ["step-1/.metadata"])
      try stage.directory.remove("host0/step-1/.metadata")
      try await first.flush()
      #expect(first.scope.status.first?.heldMarkers == [])
      #expect(await first.exit()?.failures == [])
    }
  }

  @Test(.promise("GRP-6"))
  func `the end waits for a silent member, and then names it`() async throws {
    try await Stage.play { stage async throws in
      let first = try await enter(0, on: stage) { $0.timeout = .milliseconds(200) }
      try first.writeShard("step-1")
      try first.write("step-1/.metadata", "both")
      let report = try #require(await first.exit())
      #expect(report.failures.map(\.path) == ["step-1/.metadata"])
      #expect(
        report.failures.first?.reason.contains("member 1 of the group job, which has not begun") == true)
      #expect(try await data(stage) == ["out/step-1/__0_0.distcp"])
    }
  }

  @Test(.promise("GRP-6"), arguments: Stage.Kind.available)
  func `hosts that end together publish the last marker`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      let first = try await enter(0, on: stage)
      let second = try await enter(1, on: stage)
      try first.writeShard("step-1")
      try second.writeShard("step-1")
      try first.write("step-1/.metadata", "both")
      try first.write("latest", "step-1")
      async let one = first.exit()
      async let other = second.exit()
      #expect(await one?.failures == [])
      #expect(await other?.failures == [])
      #expect(
        try await data(stage) == [
          "out/latest", "out/step-1/.metadata", "out/step-1/__0_0.distcp", "out/step-1/__1_0.distcp",
        ])
      let slot = try GroupSlot(json: Array(try await stage.text("out/.s3mirror/groups/job/1-of-2.json").utf8))
      #expect(slot.state == .ended)
    }
  }

  @Test(.promise("GRP-4"), arguments: Stage.Kind.available)
  func `an attempt that was taken over publishes and deletes nothing more`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      // The successor publishes only when the zombie's lease is over, whatever the zombie does.
      let setting: @Sendable (inout Options.Group) -> Void = { group in
        group.pace.lease = .milliseconds(100)
        group.takeover = .milliseconds(300)
        group.pace.rest = .seconds(3600)
      }
      let zombie = try await enter(1, on: stage, setting)
      try zombie.writeShard("step-1", "old")
      try await zombie.flush()
      let successor = try await enter(1, on: stage, tree: "host1-new", setting)
      try successor.writeShard("step-1", "new")
      try await successor.flush()

      try zombie.writeShard("step-1", "old again")
      try zombie.writeShard("step-2", "old")
      await #expect(throws: MirrorError.self) { try await zombie.flush() }
      let report = try #require(await zombie.exit())
      #expect(report.failures.contains { $0.reason.contains("another attempt has taken over as member 1") })
      #expect(try await data(stage) == ["out/step-1/__1_0.distcp"])
      #expect(try await stage.text("out/step-1/__1_0.distcp") == "new 1")
      #expect(await successor.exit()?.failures == [])
    }
  }

  @Test(.promise("GRP-4"))
  func `an earlier start of the job cannot take the slot from a later one`() async throws {
    try await Stage.play { stage async throws in
      let later = try await enter(1, on: stage) { $0.restarts = 1 }
      let error = await #expect(throws: MirrorError.self) {
        _ = try await enter(1, on: stage, tree: "host1-old")
      }
      #expect(error?.message.contains("a later attempt holds the slot of member 1 of the group job") == true)
      #expect(await later.exit()?.failures == [])
    }
  }

  @Test(.promise("GRP-7"))
  func `a group of one member behaves as none`() async throws {
    try await Stage.play { stage async throws in
      let only = try await enter(0, of: 1, on: stage)
      try only.writeShard("step-1")
      try only.write("step-1/.metadata", "alone")
      #expect(await only.exit()?.failures == [])
      #expect(try await stage.keys() == ["out/step-1/.metadata", "out/step-1/__0_0.distcp"])
    }
  }
}
