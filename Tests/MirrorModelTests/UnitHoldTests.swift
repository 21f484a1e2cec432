import MirrorModel
import TestSupport
import Testing

/// New directories that a program is still writing when a tick comes.
@Suite struct UnitHoldTests {
  private struct Run {
    let start = Instant(nanoseconds: 0)
    var schedule: UploadSchedule

    init(interval: Duration = .seconds(300)) throws {
      let policy = UploadSchedule.Policy(
        interval: interval, settle: .seconds(1), openFileGrace: .zero,
        appendNames: try NamePatterns(["*.log"]), commitOrder: try CommitOrder(commitLast: ["latest"]))
      schedule = UploadSchedule(policy: policy, startingAt: start)
      schedule.adopt(DirtySet.Batch(), at: start)
    }

    mutating func note(_ seconds: Double, _ events: WatchEvent...) {
      schedule.note(events, at: start + .seconds(seconds))
    }

    mutating func write(_ seconds: Double, _ path: RelativePath) {
      note(seconds, .created(path), .modified(path), .closed(path))
    }

    mutating func open(_ seconds: Double, _ path: RelativePath) {
      note(seconds, .created(path), .modified(path))
    }

    /// What a pass takes and publishes.
    mutating func tick(_ seconds: Double, _ trigger: UploadSchedule.Trigger = .tick) -> [RelativePath] {
      guard let pass = schedule.begin(trigger, at: start + .seconds(seconds)) else { return [] }
      schedule.finish(unpublished: DirtySet.Batch(), failed: [], at: start + .seconds(seconds))
      return pass.batch.entries.keys.sorted()
    }

    func wake(_ seconds: Double) -> Double? {
      schedule.wakeTime(at: start + .seconds(seconds)).map { ($0 - start) / .seconds(1) }
    }
  }

  @Test(.promise("UNIT-5"))
  func `a tick leaves a new directory that is being written, and it goes when it has been quiet`()
    throws
  {
    var run = try Run()
    run.write(10, "Y")
    run.note(290, .directoryAppeared("X"))
    run.write(291, "X/a")
    run.open(299, "X/b")
    run.write(299, "X/train.log")
    #expect(run.tick(300) == ["Y"])
    #expect(run.wake(300) == 301)
    #expect(run.tick(301) == [])
    #expect(run.wake(301) == 302)
    run.note(301.5, .closed("X/b"))
    run.write(301.5, "Y")
    #expect(run.tick(302) == [])
    #expect(run.wake(302) == 303)
    #expect(run.tick(303) == ["X/a", "X/b", "X/train.log"])
    #expect(run.wake(303) == 600)
    #expect(run.tick(600) == ["Y"])
  }

  @Test(.promise("UNIT-5")) func `a directory above which a marker waits goes at once`() throws {
    var run = try Run()
    run.note(299, .directoryAppeared("X"))
    run.write(299.5, "X/a")
    run.write(299.6, "latest")
    run.write(299.9, "X/b")
    #expect(run.tick(300) == ["X/a", "X/b", "latest"])
  }

  @Test(.promise("UNIT-5")) func `a marker that was closed last says that its directory is whole`() throws {
    var run = try Run()
    run.note(299, .directoryAppeared("X"))
    run.write(299.5, "X/a")
    run.write(299.9, "X/latest")
    #expect(run.tick(300) == ["X/a", "X/latest"])
    run.note(599, .directoryAppeared("Y"))
    run.write(599.5, "Y/latest")
    run.write(599.9, "Y/a")
    #expect(run.tick(600) == [])
  }

  @Test(.promise("UNIT-5")) func `what readers see already waits for nothing`() throws {
    var run = try Run()
    run.note(10, .directoryAppeared("X"))
    run.write(10, "X/a")
    #expect(run.tick(300) == ["X/a"])
    run.write(599.9, "X/b")
    run.open(599.9, "X/c")
    #expect(run.tick(600) == ["X/b"])
  }

  @Test(.promise("UNIT-5")) func `a directory that is written all the time waits for an interval at most`()
    throws
  {
    var run = try Run()
    run.note(299, .directoryAppeared("X"))
    run.write(299, "X/a")
    run.open(299, "X/b")
    #expect(run.tick(300) == [])
    run.note(598, .modified("X/b"))
    #expect(run.tick(598.5) == [])
    // Half a second of the interval is left.
    #expect(run.tick(599.5) == [])
    #expect(run.tick(600.5) == ["X/a"])
  }

  @Test(.promise("UNIT-5"))
  func `files that come one after the other hold a directory for five seconds at most`() throws {
    var run = try Run()
    run.note(299, .directoryAppeared("X"))
    for step in 0..<4 { run.write(299 + Double(step) * 0.3, RelativePath("X/\(step)")) }
    #expect(run.tick(300) == [])
    for step in 4..<20 { run.write(299 + Double(step) * 0.3, RelativePath("X/\(step)")) }
    #expect(run.tick(304) == [])
    #expect(run.tick(305).count == 20)
  }

  @Test(.promise("UNIT-5"), arguments: [UploadSchedule.Trigger.flush, .drain])
  func `a flush and the end take everything that is closed`(trigger: UploadSchedule.Trigger) throws {
    var run = try Run()
    run.note(1, .directoryAppeared("X"))
    run.write(1, "X/a")
    #expect(run.tick(1.1, trigger) == ["X/a"])
  }

  @Test(.promise("UNIT-5")) func `a renamed directory is as new as it was`() throws {
    var run = try Run()
    run.note(299, .directoryAppeared("X"))
    run.write(299.9, "X/a")
    run.note(299.9, .directoryRenamed(from: "X", to: "Y"), .renamed(from: "X/a", to: "Y/a"))
    run.write(299.9, "Y/b")
    #expect(run.tick(300).filter { $0.isWithin("Y") } == [])
    #expect(run.tick(301).filter { $0.isWithin("Y") } == ["Y/a", "Y/b"])
  }

  @Test(.promise("UNIT-5"))
  func `with interval zero a directory that is being written asks for no look before the pause is over`()
    throws
  {
    var run = try Run(interval: .zero)
    run.note(1, .directoryAppeared("X"))
    run.write(1, "X/a")
    run.open(1.5, "X/b")
    #expect(run.tick(2.1) == [])
    #expect(run.wake(2.1) == 3.1)
    run.note(2.5, .closed("X/b"))
    #expect(run.tick(3.1) == [])
    #expect(run.tick(4.2) == ["X/a", "X/b"])
    #expect(run.wake(4.2) == nil)
  }
}
