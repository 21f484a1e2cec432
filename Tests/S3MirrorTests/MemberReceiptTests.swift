import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// Each host of a group lists on S3 what it wrote of a checkpoint, and a restore takes what all have listed.
@Suite struct MemberReceiptTests {
  private func list(_ stage: Stage) async throws -> [Checkpoint] {
    let scope = try stage.scope()
    do {
      let found = try await scope.checkpoints(of: .download(stage.url("out")), name: "list")
      await scope.close()
      return found
    } catch {
      await scope.close()
      throw error
    }
  }

  private func restore(
    _ stage: Stage, to local: String = "in", member: Int? = nil, of count: Int = 2
  ) async throws -> RestoredCheckpoint {
    let scope = try stage.scope { options in
      options.group = member.map { GroupHost.group($0, of: count) }
    }
    do {
      let restored = try await scope.restore(
        .download(stage.url("out"), local: stage.local(local)), unit: nil, name: "restore",
        extent: member == nil ? .everything : .ownPart)
      await scope.close()
      return restored
    } catch {
      await scope.close()
      throw error
    }
  }

  private func files(_ stage: Stage, in directory: String) -> [String] {
    stage.directory.everything().filter {
      $0.hasPrefix(directory + "/") && (try? stage.directory.text($0)) != nil
    }.map { String($0.dropFirst(directory.count + 1)) }.sorted()
  }

  /// Writes a checkpoint as PyTorch's distributed checkpoints do: a shard on each host, then `.metadata`.
  private func save(_ step: String, _ first: GroupHost, _ second: GroupHost) async throws {
    try first.writeShard(step)
    try second.writeShard(step)
    try first.write("\(step)/.metadata", "__0_0.distcp __1_0.distcp")
    try await first.flush()
  }

  @Test(.promise("GRP-9"), arguments: Stage.Kind.available)
  func `the receipts of all members are published before the marker, and the last one names the others`(
    _ kind: Stage.Kind
  ) async throws {
    try await Stage.play(kind) { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      let theirs = try #require(await second.receipt(of: "step-1"))
      #expect(theirs.objects.map(\.key) == ["step-1/__1_0.distcp"])
      #expect(theirs.part?.completeWith == nil)
      let ours = try #require(await first.receipt(of: "step-1"))
      #expect(ours.objects.map(\.key) == ["step-1/.metadata", "step-1/__0_0.distcp"])
      #expect(ours.part?.completeWith == [1: 0])
      #expect(
        try await list(stage).map(\.reason) == [
          "the receipts of 2 members name 3 objects, and all are there"
        ])
      #expect(await first.exit()?.failures == [])
      #expect(await second.exit()?.failures == [])
      #expect(try await list(stage).map(\.state) == [.complete])
      // The marker is there now, so its holder's receipt has its ETag.
      #expect(try await first.receipt(of: "step-1")?.objects.contains { $0.etag.isEmpty } == false)
    }
  }

  @Test(.promise("GRP-9"))
  func `the order on S3 is shard, receipt, confirmation, marker`() async throws {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      let puts = await stage.fake.calls.filter { $0.operation == "PutObject" }.compactMap(\.key)
      func place(_ ending: String) -> Int? { puts.firstIndex { $0.hasSuffix(ending) } }
      let marker = try #require(place("step-1/.metadata"))
      let shard = try #require(place("step-1/__1_0.distcp"))
      let receipt = try #require(place("step-1/job/1-of-2.json"))
      let seal = try #require(place("step-1/job/0-of-2.json"))
      let confirmation = try #require(
        puts[..<marker].lastIndex { $0.hasSuffix("groups/job/1-of-2.json") })
      #expect(shard < receipt)
      #expect(receipt < confirmation)
      #expect(seal < marker)
      _ = await first.exit()
      _ = await second.exit()
    }
  }

  @Test(.promise("GRP-9"))
  func `a receipt that cannot be published keeps the marker of the other host back`() async throws {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      let isFailing = Mutex(true)
      let attempts = Latch()
      await stage.fake.hold { call in
        guard call.operation == "PutObject", call.key?.hasSuffix("step-1/job/1-of-2.json") == true,
          isFailing.withLock({ $0 })
        else { return }
        await attempts.open()
        throw call.refusal(status: 403, code: "AccessDenied")
      }
      async let saved: Void = save("step-1", first, second)
      await attempts.wait()
      #expect(try await !stage.keys().contains("out/step-1/.metadata"))
      #expect(try await list(stage).map(\.state) == [.incomplete])
      isFailing.withLock { $0 = false }
      try await saved
      #expect(try await list(stage).map(\.state) == [.complete])
      _ = await first.exit()
      _ = await second.exit()
    }
  }

  @Test(.promise("GRP-9"))
  func `a marker in a directory above completes the checkpoint that it names`() async throws {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try first.write("global_step5/mp_rank_00_model_states.pt", "0")
      try second.write("global_step5/mp_rank_01_model_states.pt", "1")
      try first.write("latest", "global_step5")
      try await first.flush()
      #expect(try await first.receipt(of: "global_step5")?.part?.completeWith == [1: 0])
      #expect(try await list(stage).first?.reason.contains("receipts of 2 members") == true)
      _ = await first.exit()
      _ = await second.exit()
    }
  }

  @Test(.promise("GRP-9"))
  func `a later attempt keeps correct receipts, and writes those that the earlier attempt did not write`()
    async throws
  {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      var second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      _ = await first.exit()
      _ = await second.exit()
      let sealed = try #require(await first.receipt(of: "step-1"))
      let key = "out/.s3mirror/member-receipts/step-1/job/1-of-2.json"
      await stage.fake.remove(stage.prefix + key)
      #expect(try await list(stage).first?.reason.contains("receipt of member 1") == true)

      let again = try await GroupHost(entering: 0, on: stage)
      second = try await GroupHost(entering: 1, on: stage)
      try await save("step-2", again, second)
      #expect(try await first.receipt(of: "step-1") == sealed)
      #expect(
        try await second.receipt(of: "step-1")?.objects.map(\.key) == ["step-1/__1_0.distcp"])
      #expect(try await list(stage).map(\.state) == [.complete, .complete])
      _ = await again.exit()
      _ = await second.exit()
    }
  }

  /// The marker on S3 is still that of the earlier version: only the member that published it may remove it.
  @Test(.promise("GRP-9", "RST-8"))
  func `shards that one host overwrites make the checkpoint incomplete until the next marker`() async throws {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      try second.writeShard("step-1", "of the next version")
      try await second.flush()
      #expect(try await list(stage).map(\.state) == [.incomplete])
      // A marker elsewhere makes the host confirm this, and with it publish its receipt.
      try first.write("other/.metadata", "x")
      try await first.flush()
      #expect(
        try await list(stage).first { $0.name == "step-1" }?.reason
          == "member 1 of the group job has written over files of it since it was complete")
      try await save("step-1", first, second)
      #expect(try await list(stage).first { $0.name == "step-1" }?.state == .complete)
      _ = await first.exit()
      _ = await second.exit()
    }
  }

  // MARK: Removal

  @Test(.promise("GRP-10"), arguments: Stage.Kind.available)
  func `each member removes its own receipt with its last object of the checkpoint`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      try await save("step-2", first, second)
      try stage.directory.remove("host1/step-1")
      try await second.flush()
      #expect(try await second.receipt(of: "step-1") == nil)
      #expect(try await first.receipt(of: "step-1") != nil)
      let older = try #require(try await list(stage).first { $0.name == "step-1" })
      #expect(older.reason == "the receipt of member 1 of the group job is missing")
      try stage.directory.remove("host0/step-1")
      #expect(await first.exit()?.failures == [])
      #expect(await second.exit()?.failures == [])
      #expect(try await !stage.keys().contains { $0.contains("step-1") })
      #expect(try await list(stage).map(\.state) == [.complete])
    }
  }

  @Test(.promise("GRP-10"))
  func `a receipt stays while an object that it names is there`() async throws {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage, delete: false)
      let second = try await GroupHost(entering: 1, on: stage, delete: false)
      try await save("step-1", first, second)
      try stage.directory.remove("host1/step-1")
      try await second.flush()
      #expect(await second.exit()?.failures == [])
      #expect(try await second.receipt(of: "step-1") != nil)
      _ = await first.exit()
    }
  }

  // MARK: Restore

  @Test(.promise("RST-8"), arguments: Stage.Kind.available)
  func `a restore takes the files of all members, and none of an earlier version`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      _ = await first.exit()
      _ = await second.exit()
      try await stage.put("out/step-1/__7_0.distcp", "of another run")
      let restored = try await restore(stage)
      #expect(restored.files == 3)
      #expect(
        files(stage, in: "in") == ["step-1/.metadata", "step-1/__0_0.distcp", "step-1/__1_0.distcp"])
    }
  }

  @Test(.promise("RST-8"))
  func `without one member's receipt, or with an object that differs from it, nothing is restored`()
    async throws
  {
    try await Stage.play { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      _ = await first.exit()
      _ = await second.exit()
      try await stage.put("out/step-1/__1_0.distcp", "of another run")
      let changed = await #expect(throws: MirrorError.self) { try await restore(stage) }
      #expect(changed?.failures.first?.reason.contains("member 1 of the group job") == true)
      await stage.fake.remove(stage.prefix + "out/.s3mirror/member-receipts/step-1/job/1-of-2.json")
      let missing = await #expect(throws: MirrorError.self) { try await restore(stage) }
      #expect(
        missing?.failures.first?.reason == "the receipt of member 1 of the group job is missing")
    }
  }

  @Test(.promise("RST-9"), arguments: Stage.Kind.available)
  func `each member fetches its own part of the checkpoint that all would take`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      let first = try await GroupHost(entering: 0, on: stage)
      let second = try await GroupHost(entering: 1, on: stage)
      try await save("step-1", first, second)
      try second.writeShard("step-2")
      try await second.flush()
      _ = await first.exit()
      _ = await second.exit()
      let restored = try await restore(stage, to: "in1", member: 1)
      #expect(restored.checkpoint.name == "step-1")
      #expect(files(stage, in: "in1") == ["step-1/__1_0.distcp"])
      _ = try await restore(stage, to: "in0", member: 0)
      #expect(files(stage, in: "in0") == ["step-1/.metadata", "step-1/__0_0.distcp"])
      let other = await #expect(throws: MirrorError.self) {
        try await restore(stage, to: "in2", member: 2, of: 3)
      }
      #expect(other?.message.contains("was written by 2 members, and this group has 3") == true)
    }
  }

  @Test(.promise("RST-9"))
  func `a checkpoint that no group wrote has no parts`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("out/step-1/.metadata", "x")
      let error = await #expect(throws: MirrorError.self) { try await restore(stage, member: 1) }
      #expect(error?.message.contains("has no receipts of a group's members") == true)
      let scope = try stage.scope()
      let none = await #expect(throws: MirrorError.self) {
        try await scope.restore(
          .download(stage.url("out"), local: stage.local("in")), unit: nil, name: "restore",
          extent: .ownPart)
      }
      await scope.close()
      #expect(none?.message.contains("no group is set") == true)
    }
  }
}
