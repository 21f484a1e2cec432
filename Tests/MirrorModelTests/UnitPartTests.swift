import MirrorModel
import TestSupport
import Testing

/// The receipts of what the members of a group wrote of a checkpoint.
@Suite struct UnitPartTests {
  private let place = GroupPlace(group: "job", count: 3)

  private func receipt(
    _ member: Int, _ keys: [String: String], completeWith: [Int: Int]? = nil, revision: Int? = nil,
    omitted: Int? = nil
  ) -> UnitReceipt {
    UnitReceipt(
      unit: "step-1",
      objects: keys.sorted { $0.key < $1.key }.map { .init(key: $0.key, bytes: 1, etag: $0.value) },
      part: .init(
        UnitPart(place: place, member: member), completeWith: completeWith, revision: revision,
        omitted: omitted))
  }

  private func group(_ receipts: [UnitReceipt], at published: Int64 = 1) -> PartReceipts {
    var group = PartReceipts(place)
    for receipt in receipts {
      group.add(.success(receipt), of: receipt.part?.member ?? 0, published: published)
    }
    return group
  }

  private func objects(_ etags: [RelativePath: String]) -> [RelativePath: RemoteObject] {
    etags.mapValues { RemoteObject(byteCount: 1, etag: $0, lastModified: 0) }
  }

  @Test(.promise("GRP-9"), arguments: ["step-1", "run/step-1", "", "a/job/0-of-3.json"] as [RelativePath])
  func `each unit and member has a path of its own`(unit: RelativePath) throws {
    let part = UnitPart(place: place, member: 2)
    let path = part.receipt(of: unit)
    let parsed = try #require(UnitPart.parse(path))
    #expect(parsed.unit == unit)
    #expect(parsed.part == part)
    #expect(UnitReceipt.unit(ofReceiptAt: path) == nil)
    #expect(GroupPlace.parse(path) == nil)
    // A unit whose name is that of a member's receipt.
    let inner = UnitPart(place: place, member: 0).receipt(of: path)
    #expect(UnitPart.parse(inner)?.unit == path)
  }

  @Test(
    arguments: [
      ".s3mirror/member-receipts/step-1/job/3-of-3.json", ".s3mirror/member-receipts/step-1/job/01-of-3.json",
      ".s3mirror/member-receipts/0-of-3.json", ".s3mirror/member-receipts/step-1/job/--1-of-3.json",
      ".s3mirror/receipts/step-1/job/0-of-3.json",
    ] as [RelativePath])
  func `other paths are no member's receipt`(path: RelativePath) {
    #expect(UnitPart.parse(path) == nil)
  }

  @Test(.promise("GRP-9"))
  func `a member's receipt is read as it was written`() throws {
    let one = receipt(1, ["step-1/a": "x"], completeWith: [0: 0, 2: 1], revision: 3, omitted: 4)
    #expect(try UnitReceipt(json: one.json) == one)
    #expect(
      String(decoding: receipt(1, [:]).json, as: UTF8.self)
        == "{\"format\":1,\"objects\":[],\"part\":{\"group\":\"job\",\"member\":1,\"members\":3},\"unit\":\"step-1\"}\n"
    )
  }

  @Test(.promise("RST-8"))
  func `receipts show a unit complete if every member that belongs to it has one, and all are right`() {
    let all = objects(["step-1/a": "x", "step-1/b": "y", "step-1/old": "z"])
    let one = receipt(0, ["step-1/a": "x"], completeWith: [1: 0])
    let other = receipt(1, ["step-1/b": "y"])
    let complete = ReadReceipts(groups: [group([one, other])]).testimony(of: all)
    #expect(complete.state?.isComplete == true)
    #expect(complete.named == ["step-1/a", "step-1/b"])
    let missing = ReadReceipts(groups: [group([one])]).testimony(of: all)
    #expect(missing.state == .incomplete("the receipt of member 1 of the group job is missing"))
    let changed = ReadReceipts(groups: [group([one, other])])
      .testimony(of: objects(["step-1/a": "x", "step-1/b": "new"]))
    #expect(
      changed.state
        == .incomplete("step-1/b was written since its receipt (member 1 of the group job)"))
  }

  @Test(.promise("GRP-9", "RST-8"))
  func `what a member writes over makes the unit incomplete until a marker completes it again`() {
    let first = receipt(1, ["step-1/b": "y", "step-1/c": ""])
    #expect(!first.isRevised(by: receipt(1, ["step-1/b": "y", "step-1/c": "z", "step-1/d": "w"]).objects))
    #expect(first.isRevised(by: receipt(1, ["step-1/b": "new"]).objects))
    #expect(first.isRevised(by: receipt(1, [:]).objects))
    let all = objects(["step-1/a": "x", "step-1/b": "new"])
    let later = receipt(1, ["step-1/b": "new"], revision: 1)
    let over = ReadReceipts(groups: [group([receipt(0, ["step-1/a": "x"], completeWith: [1: 0]), later])])
    #expect(
      over.testimony(of: all).state
        == .incomplete("member 1 of the group job has written over files of it since it was complete"))
    let again = ReadReceipts(groups: [group([receipt(0, ["step-1/a": "x"], completeWith: [1: 1]), later])])
    #expect(again.testimony(of: all).state?.isComplete == true)
  }

  @Test(.promise("RST-8"))
  func `until a member records that a unit is complete its marker decides`() {
    let open = ReadReceipts(groups: [group([receipt(0, ["step-1/a": "x"])])])
    #expect(open.testimony(of: objects(["step-1/a": "x"])).state == nil)
    #expect(open.testimony(of: objects(["step-1/a": "x"])).named == nil)
    #expect(open.testimony(of: [:]).state?.isComplete == false)
  }

  @Test(.promise("RST-8"))
  func `of two jobs that wrote a unit, the one whose receipts are right is believed`() throws {
    var earlier = PartReceipts(GroupPlace(group: "earlier", count: 1))
    earlier.add(.success(receipt(0, ["step-1/a": "old"], completeWith: [:])), of: 0, published: 1)
    let later = group([receipt(0, ["step-1/a": "new"], completeWith: [:])], at: 2)
    let receipts = ReadReceipts(groups: [earlier, later])
    #expect(receipts.testimony(of: objects(["step-1/a": "new"])).group?.place == place)
    #expect(receipts.testimony(of: objects(["step-1/a": "old"])).group?.place.group == "earlier")
    #expect(receipts.testimony(of: objects(["step-1/a": "none"])).state?.isComplete == false)
  }

  @Test(.promise("RST-8", "RST-9"))
  func `a receipt that omits objects names no limit of the unit, and no part`() throws {
    let group = group([receipt(0, ["step-1/a": "x"], completeWith: [1: 0], omitted: 2), receipt(1, [:])])
    let testimony = ReadReceipts(groups: [group]).testimony(of: objects(["step-1/a": "x"]))
    #expect(testimony.state?.isComplete == true)
    #expect(testimony.named == nil)
    #expect(throws: UnreadableReceipt.self) { try group.named(by: 0) }
    #expect(try group.named(by: 1) == [])
    #expect(try group.named(by: 2) == [])
  }

  @Test(.promise("GRP-9"))
  func `a receipt is due when something was published or found, and stays due until it is there`() {
    var schedule = PartSchedule()
    schedule.note(changed: "step-1/a")
    schedule.note(found: "step-1/b")
    schedule.note(found: "step-2/a")
    schedule.note(changed: "train.log")
    let due = schedule.take(below: .root)
    #expect(due == [.init(unit: "step-1", isOnlyFound: false), .init(unit: "step-2", isOnlyFound: true)])
    #expect(schedule.isEmpty)
    due.forEach { schedule.putBack($0) }
    #expect(schedule.take(below: "step-2").map(\.unit) == ["step-2"])
    #expect(schedule.take(below: .root) == [.init(unit: "step-1", isOnlyFound: false)])
  }

  @Test(.promise("GRP-9"))
  func `the file that completes a unit lies directly in it, or beside its shards`() {
    #expect(PartSchedule.isLastFile("step-1/trainer_state.json", of: "step-1"))
    #expect(PartSchedule.isLastFile("step-1/optimizer_0/.metadata", of: "step-1"))
    #expect(!PartSchedule.isLastFile("step-1/optimizer_0/_SUCCESS", of: "step-1"))
    #expect(!PartSchedule.isLastFile("latest", of: "step-1"))
  }
}
