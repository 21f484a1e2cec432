import MirrorModel
import TestSupport
import Testing

/// What scripts cannot say: what a pass publishes besides its batch, and what an audit adds.
@Suite struct UploadScheduleTests {
  private let start = Instant(nanoseconds: 0)
  private var schedule: UploadSchedule

  init() throws {
    schedule = UploadSchedule(policy: .init(interval: .seconds(60)), startingAt: start)
    schedule.adopt(.init(), at: start)
    schedule.note([.closed("a")], at: start)
    let pass = schedule.begin(.flush, at: start)
    try #require(pass != nil)
  }

  private var entry: DirtyEntry { DirtyEntry(writer: .closed, firstChange: start, lastChange: start) }

  @Test func `a close under another name closes what is open, and writes nothing`() {
    var schedule = schedule
    schedule.note([.modified("open"), .created("link"), .linked("link")], at: start)
    schedule.noteClosedElsewhere(["open", "link", "absent"], at: start)
    #expect(schedule.dirty.entries["open"]?.writer == .closed)
    #expect(schedule.dirty.entries["link"]?.writer == .unknown)
    #expect(schedule.dirty.entries["absent"] == nil)
  }

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

  private func expect(_ pass: UploadSchedule.Pass?, _ paths: [RelativePath]) {
    #expect(pass?.batch.entries.keys.sorted() == paths)
  }

  /// A schedule whose files are in flight, each of a pass of its own.
  private func flights(of paths: [RelativePath]) -> (UploadSchedule, now: Instant) {
    var now = Instant(nanoseconds: 0)
    var schedule = UploadSchedule(policy: .init(interval: .seconds(10)), startingAt: now)
    schedule.adopt(.init(), at: now)
    for path in paths {
      schedule.note([.created(path), .closed(path)], at: now)
      now += .seconds(10)
      guard let pass = schedule.begin(.tick, at: now) else { continue }
      schedule.depart(pass.batch.entries)
      schedule.finish(unpublished: .init(), failed: [], at: now)
    }
    return (schedule, now)
  }

  @Test(.promise("FAIL-5")) func `one path that is not answered delays no other`() throws {
    var (schedule, now) = flights(of: ["sick"])
    for _ in 0..<3 {
      schedule.land(
        "sick", back: schedule.dirty.inFlight["sick"], failure: .unreachable, isAnswered: false, at: now)
      now += .seconds(200)
      let begun = schedule.begin(.tick, at: now)
      let pass = try #require(begun)
      #expect(Array(pass.batch.entries.keys) == ["sick"])
      schedule.depart(pass.batch.entries)
      schedule.finish(unpublished: .init(), failed: [], at: now)
    }
    schedule.note([.created("a"), .closed("a"), .created("b"), .closed("b")], at: now)
    now += .seconds(10)
    expect(schedule.begin(.tick, at: now), ["a", "b"])
  }

  @Test(.promise("FAIL-4")) func `a path that has not failed is tried while others are not answered`() {
    var (schedule, now) = flights(of: ["one", "other"])
    for path in ["one", "other"] as [RelativePath] {
      schedule.land(
        path, back: schedule.dirty.inFlight[path], failure: .unreachable, isAnswered: false, at: now)
    }
    // Both pause, and the service seems to be out.
    schedule.note([.created("a"), .closed("a"), .created("b"), .closed("b")], at: now)
    now += .seconds(10)
    expect(schedule.begin(.tick, at: now), ["a"])
    schedule.finish(unpublished: .init(), failed: [], service: .answering, at: now)
    // It is not: everything is due at once.
    expect(schedule.begin(.tick, at: now), ["b", "one", "other"])
  }

  @Test(.promise("PUB-17"), arguments: [false, true])
  func `a delete waits for what changed before it, also where one reading gave both`(isDeletedFirst: Bool)
    throws
  {
    var schedule = schedule
    schedule.finish(unpublished: .init(), failed: [], at: start)
    let (deletion, change) = (WatchEvent.deleted("a"), WatchEvent.closed("sick"))
    schedule.note(isDeletedFirst ? [deletion, change] : [change, deletion], at: start + .seconds(1))
    let begun = schedule.begin(.flush, at: start + .seconds(2))
    let pass = try #require(begun)
    var plan = PassPlan(
      pass.batch, order: CommitOrder { _ in false }, removal: .everything, within: pass.surroundings)
    while case .publish(let path) = plan.next(), path != "sick" {
      _ = plan.note(.absent, of: path, at: start + .seconds(3))
    }
    #expect(Array(plan.detach().keys) == ["sick"])
    let question = plan.next()
    #expect(question == .askForOrigins)
    plan.note(origins: []) { _ in true }
    guard case .delete(let deletes) = plan.next() else {
      Issue.record("nothing is deleted")
      return
    }
    #expect(deletes.paths == (isDeletedFirst ? ["a"] : []))
    #expect(plan.result.unpublished.entries.keys.sorted() == (isDeletedFirst ? [] : ["a"]))
  }

  /// A comparison finds markers of which no event told, so nothing but the flight itself speaks against them.
  @Test(.promise("PUB-17")) func `a marker that a comparison finds waits for a flight below its directory`() {
    for (marker, waits) in [("run/latest", true), ("latest", true), ("other/latest", false)] {
      var surroundings = PassPlan.Surroundings()
      surroundings.inFlight = ["run/sick": entry]
      var plan = PassPlan(
        DirtySet.Batch(entries: [RelativePath(marker): entry]), order: CommitOrder { $0.name == "latest" },
        removal: .never, within: surroundings)
      let action = plan.next()
      #expect(action == (waits ? .over : .publish(RelativePath(marker))))
      #expect(plan.result.blocked == (waits ? [RelativePath(marker): "run/sick"] : [:]))
    }
  }

  /// With an interval of minutes a checkpoint would be there without its marker for as long.
  @Test(.promise("UNIT-3")) func `a marker that waited for a flight goes at once, not at the next tick`() {
    var now = Instant(nanoseconds: 0)
    var schedule = UploadSchedule(
      policy: .init(interval: .seconds(300), commitOrder: CommitOrder { $0.name == "latest" }),
      startingAt: now)
    schedule.adopt(.init(), at: now)
    schedule.note(
      ["X/a", "X/b", "X/latest", "other"].flatMap { [.created($0), .closed($0)] as [WatchEvent] }, at: now)
    now += .seconds(300)
    guard let pass = schedule.begin(.tick, at: now) else { return }
    let entries = pass.batch.entries
    schedule.depart(entries.filter { ["X/a", "X/b"].contains($0.key) })
    schedule.finish(
      unpublished: DirtySet.Batch(entries: entries.filter { $0.key == "X/latest" }), failed: [], at: now)
    now += .seconds(1)
    schedule.note([.created("Y/a"), .closed("Y/a")], at: now)
    schedule.land("X/a", back: nil, isAnswered: true, at: now)
    #expect(schedule.wakeTime(at: now).map { $0 > now } == true, "the other is still on its way")
    schedule.land("X/b", back: nil, isAnswered: true, at: now)
    #expect(schedule.wakeTime(at: now) == now)
    expect(schedule.begin(.tick, at: now), ["X/latest"])
    schedule.finish(unpublished: .init(), failed: [], at: now)
    #expect(schedule.wakeTime(at: now).map { $0 > now } == true)
  }

  @Test(.promise("PUB-16")) func `no pass takes the path of a flight`() {
    var (schedule, now) = flights(of: ["sick"])
    schedule.note([.modified("sick"), .closed("sick")], at: now)
    now += .seconds(10)
    let none = schedule.begin(.drain, at: now)
    #expect(none == nil)
    schedule.land("sick", back: nil, isAnswered: true, at: now)
    expect(schedule.begin(.drain, at: now), ["sick"])
  }
}
