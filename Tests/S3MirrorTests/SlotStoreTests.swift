import HTTPTransport
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// The slots of a group on S3.
@Suite struct SlotStoreTests {
  private let place = GroupPlace(group: "run", count: 2)

  private func slots(_ store: any ObjectStore, _ prefix: String = "p/") -> SlotStore {
    SlotStore(store: store, mapping: .tree(prefix: prefix), place: place)
  }

  private func slot(_ generation: Int) -> GroupSlot {
    GroupSlot(claim: GroupClaim(generation: generation, attempt: 1, order: 0, tree: "t"))
  }

  @Test(.promise("GRP-4"), arguments: Stage.Kind.available)
  func `of two writes over one version the server refuses one`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      let slots = slots(stage.store, stage.prefix)
      try await slots.checkConditions()
      // What the check has left proves the conditions as well.
      try await slots.checkConditions()
      guard case .accepted(let first) = try await slots.write(slot(1), of: 0, over: nil) else {
        Issue.record("there was no slot")
        return
      }
      #expect(try await slots.write(slot(2), of: 0, over: nil) == .refused)
      guard case .accepted(let second) = try await slots.write(slot(3), of: 0, over: first) else {
        Issue.record("the slot had that version")
        return
      }
      #expect(try await slots.write(slot(4), of: 0, over: first) == .refused)
      let read = try await slots.read()
      #expect(read.slots.mapValues(\.slot) == [0: slot(3)])
      #expect(read.slots[0]?.version == second)
      #expect(read.date != nil)
      #expect(try await slots.write(slot(1), of: 1, over: first) == .refused)
    }
  }

  @Test(.promise("GRP-8")) func `a slot is read again only if it has changed`() async throws {
    let store = FakeObjectStore()
    let slots = slots(store)
    let other = self.slots(store)
    _ = try await slots.write(slot(1), of: 0, over: nil)
    _ = try await other.write(slot(1), of: 1, over: nil)
    await store.forgetCalls()
    _ = try await slots.read()
    // What this member has written needs no reading.
    #expect(await store.calls.map(\.key) == [nil, "p/.s3mirror/groups/run/1-of-2.json"])
    await store.forgetCalls()
    _ = try await slots.read()
    #expect(await store.calls.map(\.operation) == ["ListObjectsV2"])
    let known = try await slots.read().slots[1]
    _ = try await other.write(slot(2), of: 1, over: known?.version)
    await store.forgetCalls()
    #expect(try await slots.read().slots[1]?.slot == slot(2))
    #expect(await store.calls.map(\.key) == [nil, "p/.s3mirror/groups/run/1-of-2.json"])
  }

  @Test func `other objects in the folder of slots are no slots`() async throws {
    let store = FakeObjectStore()
    for name in ["run/2-of-2.json", "run/0-of-3.json", "run/note", "run2/0-of-2.json", "run/x/0-of-2.json"] {
      _ = try await store.send(
        PutObject(key: "p/.s3mirror/groups/\(name)", body: BytesBody(Array("{".utf8))))
    }
    #expect(try await slots(store).read().slots.isEmpty)
  }

  @Test func `a damaged slot is an error that names its key`() async throws {
    let store = FakeObjectStore()
    _ = try await store.send(
      PutObject(key: "p/.s3mirror/groups/run/1-of-2.json", body: BytesBody(Array("{".utf8))))
    let error = await #expect(throws: MirrorError.self) { try await slots(store).read() }
    #expect(
      error?.message
        == "s3://bucket/p/.s3mirror/groups/run/1-of-2.json is no slot of a group: it is no JSON of a slot; delete it if no mirror of the group run runs"
    )
  }

  @Test(.promise("GRP-5"), arguments: [FakeBucket.Behaviour.Conditions.ignored, .refused])
  func `a server without conditional writes is reported with the remedy`(
    conditions: FakeBucket.Behaviour.Conditions
  ) async throws {
    var behaviour = FakeBucket.Behaviour()
    behaviour.conditions = conditions
    let store = FakeObjectStore(behaviour: behaviour)
    let error = await #expect(throws: MirrorError.self) { try await slots(store).checkConditions() }
    #expect(error?.kind == .configuration)
    #expect(error?.message.contains("--no-fencing") == true)
    var unfenced = slots(store)
    unfenced.fencing = .none
    try await unfenced.checkConditions()
    _ = try await unfenced.write(slot(1), of: 0, over: nil)
    _ = try await unfenced.write(slot(2), of: 0, over: "another")
    #expect(try await unfenced.read().slots[0]?.slot == slot(2))
  }
}

/// The estimate of the server's clock.
@Suite struct ServerClockTests {
  private static let second: Int64 = 1_000_000_000

  @Test func `an answer gives the clock within half a second and half of its time`() {
    var clock = ServerClock()
    #expect(clock.server(at: 0) == nil)
    // The server's clock was between 100 and 101 s at some moment from 10 to 12 s.
    clock.note(date: 100 * Self.second, sent: 10 * Self.second, received: 12 * Self.second)
    #expect(clock.server(at: 20 * Self.second) == 109_500_000_000)
  }

  @Test func `a less exact answer changes nothing until the estimate is old`() {
    var clock = ServerClock()
    clock.note(date: 100 * Self.second, sent: 0, received: 0)
    clock.note(date: 200 * Self.second, sent: 10 * Self.second, received: 12 * Self.second)
    #expect(clock.server(at: 0) == 100_500_000_000)
    clock.note(date: 800 * Self.second, sent: 699 * Self.second, received: 700 * Self.second)
    #expect(clock.server(at: 700 * Self.second) == 801 * Self.second)
  }

  @Test func `an answer that took too long does not count`() {
    var clock = ServerClock()
    clock.note(date: 100 * Self.second, sent: 0, received: 10 * Self.second)
    #expect(clock.server(at: 0) == nil)
  }
}
