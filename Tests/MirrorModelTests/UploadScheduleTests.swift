import MirrorModel
import Testing

/// What scripts cannot say: what a pass publishes besides its batch, and what an audit adds.
@Suite struct UploadScheduleTests {
  private let start = ContinuousClock.now
  private var schedule: UploadSchedule

  init() throws {
    schedule = UploadSchedule(policy: .init(interval: .seconds(60)), startingAt: start)
    schedule.adopt(.init(), at: start)
    schedule.note([.closed("a")], at: start)
    let pass = schedule.begin(.flush, at: start)
    try #require(pass != nil)
  }

  private var entry: DirtyEntry { DirtyEntry(writing: .closed, firstChange: start, lastChange: start) }

  @Test func `what an audit finds leaves the names that renamed files had`() {
    var schedule = schedule
    schedule.finish(unpublished: .init(), failed: [], at: start)
    schedule.note([.renamed(from: "a", to: "b")], at: start)
    schedule.adopt(.init(entries: ["c": entry]), at: start)
    #expect(schedule.dirty.origins == ["a"])
  }

  @Test(arguments: [false, true]) func `a name that a pass publishes besides its batch is not new`(
    isToldBefore: Bool
  ) {
    var schedule = schedule
    let told: [WatchEvent] = [.created("b"), .linked("b")]
    if isToldBefore { schedule.note(told, at: start) }
    schedule.noteTaken(["b": entry])
    if !isToldBefore { schedule.note(told, at: start) }
    schedule.note([.deleted("b")], at: start)
    schedule.finish(unpublished: .init(), failed: [], at: start)
    let pass = schedule.begin(.flush, at: start)
    #expect(pass?.batch.entries["b"]?.isNew == false)
  }
}
