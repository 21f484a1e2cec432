import MirrorModel
import TestSupport
import Testing

/// The object of a member's slot.
@Suite struct GroupSlotTests {
  private func slot() -> GroupSlot {
    var slot = GroupSlot(
      claim: GroupClaim(generation: 3, attempt: 0xfeed_0000_0000_0001, order: 7, tree: "0123abcd"),
      speaksSince: 1_700_000_000_123_456_789)
    slot.state = .ended
    slot.watermark = 1_700_000_001_000_000_001
    slot.doubtUntil = 1_700_000_002_000_000_000
    slot.question = GroupQuestion(generation: 3, number: 9)
    slot.answers = [0: GroupQuestion(generation: 1, number: 2), 12: GroupQuestion(generation: 4, number: 1)]
    slot.origin = .init(host: "node-3", pid: 4711)
    return slot
  }

  @Test func `a slot is read as it was written`() throws {
    let slot = slot()
    #expect(try GroupSlot(json: slot.json) == slot)
    let first = GroupSlot(claim: GroupClaim(generation: 1, attempt: 1, order: 0, tree: ""))
    #expect(try GroupSlot(json: first.json) == first)
  }

  @Test func `fields of a later version are ignored`() throws {
    let text = String(decoding: slot().json, as: UTF8.self)
    let later = "{\"mood\":{\"a\":[1]}," + text.dropFirst()
    #expect(try GroupSlot(json: Array(later.utf8)) == slot())
  }

  @Test(arguments: [
    ("", "it is no JSON of a slot"), ("{}", "it is no JSON of a slot"), ("[]", "it is no JSON of a slot"),
    (
      #"{"format":2,"generation":1,"attempt":"1","order":0,"tree":"","state":"running"}"#,
      "its format is 2, and this version reads 1"
    ),
    (
      #"{"format":1,"generation":1,"attempt":"xyz","order":0,"tree":"","state":"running"}"#,
      "its attempt is no hexadecimal number"
    ),
    (
      #"{"format":1,"generation":1,"attempt":"1","order":0,"tree":"","state":"tired"}"#,
      "its state is \"tired\""
    ),
    (
      #"{"format":1,"generation":1,"attempt":"1","order":0,"tree":"","state":"ended","answers":{"x":{"generation":1,"number":1}}}"#,
      "it answers \"x\", which is no member"
    ),
  ])
  func `a damaged slot is an error with its reason`(text: String, reason: String) {
    #expect(throws: UnreadableSlot(reason: reason)) { try GroupSlot(json: Array(text.utf8)) }
  }

  @Test func `the path of a slot names its group and member, and nothing else has such a path`() {
    let place = GroupPlace(group: "run-7", count: 12)
    #expect(place.path(of: 11).string == ".s3mirror/groups/run-7/11-of-12.json")
    for member in 0..<12 { #expect(place.member(at: place.path(of: member)) == member) }
    #expect(place.member(at: GroupPlace(group: "run-7", count: 13).path(of: 11)) == nil)
    for path: RelativePath in [
      ".s3mirror/groups/run-7/12-of-12.json", ".s3mirror/groups/run-7/011-of-12.json",
      ".s3mirror/groups/run-7/1-of-12", ".s3mirror/groups/1-of-12.json", "run-7/1-of-12.json",
      ".s3mirror/groups/run-7/probe", ".s3mirror/groups/run-7/x/1-of-12.json",
    ] {
      #expect(GroupPlace.parse(path) == nil)
    }
  }
}
