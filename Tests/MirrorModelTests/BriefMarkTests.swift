import MirrorModel
import TestSupport
import Testing

/// In-progress marks that come and go between two passes.
@Suite struct BriefMarkTests {
  private static let now = Instant(nanoseconds: 0)

  private func schedule(interval: Duration = .seconds(1), _ events: [WatchEvent]) throws -> UploadSchedule {
    var order = try CommitOrder(commitLast: ["latest"])
    order.marks = try ProgressMarks(["*-unfinished"])
    var schedule = UploadSchedule(
      policy: .init(interval: interval, settle: .milliseconds(500), commitOrder: order), startingAt: Self.now)
    // The comparison at entry has found nothing.
    schedule.adopt(DirtySet.Batch(), at: Self.now)
    schedule.note(events, at: Self.now)
    return schedule
  }

  private func plan(_ pass: UploadSchedule.Pass, _ removal: PassPlan.Removal, _ schedule: UploadSchedule)
    -> PassPlan
  {
    PassPlan(
      pass.batch, order: schedule.policy.commitOrder, removal: removal, within: pass.surroundings)
  }

  private static let mark: [WatchEvent] = [
    .created("X-unfinished"), .modified("X-unfinished"), .closed("X-unfinished"),
  ]
  private static let data: [WatchEvent] = [.created("X"), .modified("X"), .closed("X")]

  @Test(.promise("CLS-3")) func `the mark appears before its data and is deleted after them`() throws {
    var schedule = try schedule(Self.mark + Self.data + [.deleted("X-unfinished")])
    let begun = schedule.begin(.flush, at: Self.now)
    let pass = try #require(begun)
    var plan = plan(pass, .marks, schedule)
    #expect(plan.next() == .publish("X-unfinished"))
    #expect(plan.next() == .wait)
    _ = plan.note(.shown, of: "X-unfinished", at: Self.now)
    #expect(plan.next() == .publish("X"))
    _ = plan.note(.published(.latest), of: "X", at: Self.now)
    #expect(plan.next() == .askForOrigins)
    plan.note(origins: []) { _ in true }
    guard case .delete(let deletion) = plan.next() else { return #expect(Bool(false), "nothing is deleted") }
    #expect(deletion.paths == ["X-unfinished"])
  }

  @Test(.promise("CLS-3")) func `a mark that has been shown is deleted later like any other`() throws {
    var schedule = try schedule(Self.mark + Self.data + [.deleted("X-unfinished")])
    let begun = schedule.begin(.flush, at: Self.now)
    let pass = try #require(begun)
    var plan = plan(pass, .marks, schedule)
    _ = plan.next()
    _ = plan.note(.shown, of: "X-unfinished", at: Self.now)
    _ = plan.next()
    _ = plan.note(.failed, of: "X", at: Self.now)
    #expect(plan.next() == .askForOrigins)
    plan.note(origins: []) { _ in true }
    while case .delete(let deletion) = plan.next() {
      #expect(deletion.paths == [])
      plan.note(deleted: [], kept: [], withheld: [], failed: [])
    }
    let mark = try #require(plan.result.unpublished.entries["X-unfinished"])
    #expect(mark.isGone && !mark.isNew && !mark.isBriefMark)
  }

  @Test(.promise("CLS-3"), arguments: [PassPlan.Removal.never, .later])
  func `a mark that could not be deleted again does not appear`(removal: PassPlan.Removal) throws {
    var schedule = try schedule(Self.mark + Self.data + [.deleted("X-unfinished")])
    let begun = schedule.begin(.drain, at: Self.now)
    let pass = try #require(begun)
    let plan = plan(pass, removal, schedule)
    #expect(plan.entry(of: "X-unfinished")?.isBriefMark == false)
    #expect(plan.entry(of: "X-unfinished")?.isNew == true)
  }

  @Test(.promise("CLS-3")) func `data that have settled wait for a mark that went after them`() throws {
    var schedule = try schedule(interval: .zero, Self.mark + Self.data)
    let later = Self.now + .milliseconds(400)
    schedule.note([.deleted("X-unfinished")], at: later)
    let begun = schedule.begin(.tick, at: Self.now + .milliseconds(600))
    let first = try #require(begun)
    #expect(Set(first.batch.entries.keys) == ["X"])
    var plan = plan(first, .marks, schedule)
    #expect(plan.hasReady == false)
    #expect(plan.next() == .over)
    #expect(plan.result.blocked == ["X": "X-unfinished"])
  }

  /// A name that the comparison at entry may publish is never new.
  @Test(.promise("CLS-3")) func `a mark that came and went during the entry appears too`() throws {
    var order = try CommitOrder(commitLast: ["latest"])
    order.marks = try ProgressMarks(["*-unfinished"])
    var schedule = UploadSchedule(
      policy: .init(interval: .seconds(1), commitOrder: order), startingAt: Self.now)
    schedule.note(Self.mark + Self.data + [.deleted("X-unfinished")], at: Self.now)
    schedule.adopt(DirtySet.Batch(), at: Self.now)
    let begun = schedule.begin(.flush, at: Self.now)
    var plan = plan(try #require(begun), .marks, schedule)
    #expect(plan.next() == .publish("X-unfinished"))
    #expect(plan.entry(of: "X-unfinished")?.isBriefMark == true)
  }

  @Test(.promise("CLS-3")) func `a mark that comes again is published like any other`() throws {
    var schedule = try schedule(Self.mark + [.deleted("X-unfinished")] + Self.mark)
    let begun = schedule.begin(.flush, at: Self.now)
    let pass = try #require(begun)
    #expect(pass.batch.entries["X-unfinished"]?.isGone == false)
    #expect(pass.batch.entries["X-unfinished"]?.isBriefMark == false)
  }
}
