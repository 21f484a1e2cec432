import MirrorModel
import TestSupport
import Testing

/// Marks and units in the plan of a pass.
@Suite struct PassPlanTests {
  private static let now = Instant(nanoseconds: 0)

  private func order() throws -> CommitOrder {
    var order = try CommitOrder(commitLast: ["latest"])
    order.marks = try ProgressMarks(["*-unfinished"])
    order.appended = try NamePatterns(["*.log"])
    return order
  }

  private func plan(
    _ changed: [RelativePath], gone: [RelativePath] = [], removal: PassPlan.Removal = .everything,
    within surroundings: PassPlan.Surroundings = .init()
  ) throws -> PassPlan {
    var batch = DirtySet.Batch()
    for path in changed { batch.entries[path] = DirtyEntry(at: Self.now) }
    for path in gone { batch.entries[path] = DirtyEntry(.delete(.change), at: Self.now) }
    return PassPlan(batch, order: try order(), removal: removal, within: surroundings)
  }

  /// What begins now, none of which has ended.
  private func begin(_ plan: inout PassPlan) -> [RelativePath] {
    var begun: [RelativePath] = []
    while plan.hasReady, case .publish(let path) = plan.next() { begun.append(path) }
    return begun
  }

  private func end(
    _ path: RelativePath, as fact: PassPlan.Publication = .published(.latest), _ plan: inout PassPlan
  ) {
    _ = plan.note(fact, of: path, at: Self.now)
  }

  /// Carries the rest of a plan out; all paths of `gone` are absent.
  private func deletes(of plan: inout PassPlan) -> PassPlan.Deletion? {
    var deletion: PassPlan.Deletion?
    while true {
      switch plan.next() {
      case .publish(let path): end(path, as: .absent, &plan)
      case .wait, .over: return deletion
      case .askForOrigins: plan.note(origins: []) { _ in true }
      case .list(let directory): plan.note(listing: [], of: directory)
      case .delete(let due):
        deletion = due
        plan.note(deleted: due.paths, kept: [], withheld: [], failed: [])
      }
    }
  }

  // MARK: Marks

  @Test(.promise("CLS-2")) func `a mark goes before what it speaks for, and other data need not wait`() throws
  {
    var plan = try plan(["X-unfinished", "X/a", "X/b", "Y/a", "X/latest"])
    #expect(begin(&plan) == ["X-unfinished", "Y/a"])
    end("X-unfinished", &plan)
    #expect(begin(&plan) == ["X/a", "X/b"])
    end("X/a", &plan)
    end("X/b", &plan)
    #expect(begin(&plan) == ["X/latest"])
  }

  @Test(.promise("CLS-2")) func `a mark that fails leaves what it speaks for to a later pass`() throws {
    var plan = try plan(["X-unfinished", "X/a", "X/latest", "Y/a", "latest"])
    #expect(begin(&plan) == ["X-unfinished", "Y/a"])
    end("X-unfinished", as: .failed, &plan)
    end("Y/a", &plan)
    #expect(begin(&plan) == [])
    #expect(plan.isPublished)
    #expect(
      Set(plan.result.unpublished.entries.keys) == ["X-unfinished", "X/a", "X/latest", "latest"])
    #expect(plan.result.blocked["X/a"] == "X-unfinished")
  }

  @Test(.promise("CLS-2")) func `a mark that waits outside of the pass holds what it speaks for`() throws {
    var plan = try plan(["X/a", "Y/a"], within: .init(deferred: ["X-unfinished"]))
    #expect(begin(&plan) == ["Y/a"])
    end("Y/a", &plan)
    #expect(Set(plan.result.unpublished.entries.keys) == ["X/a"])
  }

  @Test(.promise("CLS-2"), arguments: [PassPlan.Removal.everything, .moves, .marks])
  func `a mark that is gone is deleted when all is there that it speaks for, whatever else is deleted`(
    removal: PassPlan.Removal
  ) throws {
    var plan = try plan(["X/a"], gone: ["X-unfinished"], removal: removal)
    for path in begin(&plan) { end(path, as: path == "X/a" ? .published(.latest) : .absent, &plan) }
    #expect(deletes(of: &plan)?.paths == ["X-unfinished"])
    #expect(plan.result.unpublished.isEmpty)
  }

  @Test(.promise("CLS-2"), arguments: [PassPlan.Removal.everything, .moves, .marks])
  func `a mark stays while something that it speaks for is not there`(removal: PassPlan.Removal) throws {
    var plan = try plan(["X/a", "Y/a"], gone: ["X-unfinished", "Z-unfinished"], removal: removal)
    for path in begin(&plan) {
      end(path, as: path == "X/a" ? .failed : path == "Y/a" ? .published(.latest) : .absent, &plan)
    }
    #expect(deletes(of: &plan)?.paths == ["Z-unfinished"])
    #expect(Set(plan.result.unpublished.entries.keys) == ["X/a", "X-unfinished"])
  }

  // MARK: Units

  @Test(.promise("UNIT-1"))
  func `nothing of a unit begins but its large files before all their bytes are there`() throws {
    var plan = try plan(["X/config", "X/d/shard", "X/model", "X/optim", "Y/a", "latest"])
    #expect(Set(plan.unmeasured) == ["X/config", "X/d/shard", "X/model", "X/optim"])
    plan.note(large: ["X/model", "X/optim"])
    #expect(begin(&plan) == ["X/model", "X/optim", "Y/a"])
    #expect(plan.isStaged("X/model") && !plan.isStaged("X/config") && !plan.isStaged("Y/a"))
    plan.note(staged: "X/model")
    #expect(!plan.mayAppear("X/model") && plan.mayAppear("Y/a"))
    #expect(begin(&plan) == [])
    plan.note(staged: "X/optim")
    #expect(plan.mayAppear("X/model") && plan.mayAppear("X/optim"))
    #expect(begin(&plan) == ["X/config", "X/d/shard"])
    for path in ["X/model", "X/optim", "Y/a", "X/config"] as [RelativePath] { end(path, &plan) }
    #expect(begin(&plan) == [])
    end("X/d/shard", &plan)
    #expect(begin(&plan) == ["latest"])
  }

  @Test(
    .promise("UNIT-1"), arguments: [PassPlan.Publication.failed, .waiting(isOpen: false), .absent, .refused])
  func `a large file that does not go keeps its unit from nothing but its markers`(fact: PassPlan.Publication)
    throws
  {
    var plan = try plan(["X/config", "X/model", "X/optim", "X/latest"])
    plan.note(large: ["X/model", "X/optim"])
    #expect(begin(&plan) == ["X/model", "X/optim"])
    plan.note(staged: "X/model")
    end("X/optim", as: fact, &plan)
    #expect(plan.mayAppear("X/model"))
    #expect(begin(&plan) == ["X/config"])
    end("X/config", &plan)
    end("X/model", &plan)
    #expect(begin(&plan) == (fact == .absent ? ["X/latest"] : []))
  }

  @Test(.promise("UNIT-4")) func `units of more large files than may be open at one time are not staged`()
    throws
  {
    let many = (0..<129).map { RelativePath("X/\($0)") }
    var plan = try plan(many + ["Y/a", "Y/b"])
    plan.note(large: Set(many + ["Y/a"]))
    #expect(!plan.isStaged("X/0") && plan.isStaged("Y/a"))
    #expect(begin(&plan).count == 130)
  }

  @Test(.promise("UNIT-2")) func `logs, markers and files of the root's own make no unit of what is below`()
    throws
  {
    let plan = try plan(["X/a", "X/train.log", "Y/a", "Y/latest", "a", "b"])
    #expect(Set(plan.unmeasured) == ["a", "b"])
  }

  @Test(.promise("UNIT-3")) func `a unit that outlives its pass goes on as a whole`() throws {
    var plan = try plan(["X/config", "X/model", "Y/a", "latest"])
    plan.note(large: ["X/model"])
    #expect(begin(&plan) == ["X/model", "Y/a"])
    end("Y/a", &plan)
    let flights = plan.detach()
    #expect(Set(flights.keys) == ["X/config", "X/model"])
    #expect(flights.values.allSatisfy { $0.unit == "X" })
    #expect(Set(plan.result.unpublished.entries.keys) == ["latest"])
    #expect(begin(&plan) == [])
    plan.note(staged: "X/model")
    #expect(begin(&plan) == ["X/config"])

    var surroundings = PassPlan.Surroundings()
    surroundings.inFlight = flights
    var later = try self.plan(["X/late", "X/train.log", "Y/b", "Y/c"], within: surroundings)
    #expect(Set(later.unmeasured) == ["Y/b", "Y/c"])
    #expect(begin(&later) == ["X/train.log", "Y/b", "Y/c"])
    #expect(Set(later.result.unpublished.entries.keys) == ["X/late"])
  }

  @Test(.promise("UNIT-3")) func `a large file that fails after its pass lets the rest of its unit begin`()
    throws
  {
    var plan = try plan(["X/config", "X/model"])
    plan.note(large: ["X/model"])
    #expect(begin(&plan) == ["X/model"])
    #expect(plan.detach().count == 2)
    plan.noteEnded("X/model")
    #expect(begin(&plan) == ["X/config"])
  }

  // MARK: A deadline

  /// - Parameter sizes: of checkpoints, in bytes a file.
  private func plan(
    _ changed: [RelativePath], bytesEach sizes: [RelativePath: Int64], seconds: Double, rate: Double?
  ) throws -> PassPlan {
    var plan = try plan(changed)
    var sizesOfFiles: [RelativePath: Int64] = [:]
    for path in changed { sizesOfFiles[path] = path.ancestors.lazy.compactMap { sizes[$0] }.first ?? 1 }
    plan.note(large: [])
    plan.note(sizes: sizesOfFiles, budget: .init(seconds: seconds, bytesPerSecond: rate))
    return plan
  }

  @Test(.promise("END-10"))
  func `with little time one checkpoint follows the other, the newest that fits first`() throws {
    let files: [RelativePath] = [
      "step-1/a", "step-1/b", "step-2/a", "step-2/b", "step-3/a", "step-3/b", "step-2/latest", "train.log",
      "notes.txt", "latest",
    ]
    var plan = try plan(
      files, bytesEach: ["step-3": 1_000, "step-2": 100, "step-1": 100], seconds: 10, rate: 50)
    #expect(begin(&plan) == ["step-2/a", "step-2/b"])
    end("step-2/a", &plan)
    #expect(begin(&plan) == [], "nothing else begins before it has ended")
    end("step-2/b", &plan)
    #expect(begin(&plan) == ["step-2/latest", "notes.txt", "train.log"])
    for path: RelativePath in ["step-2/latest", "notes.txt", "train.log"] { end(path, &plan) }
    #expect(begin(&plan) == ["step-3/a", "step-3/b"])
    end("step-3/a", as: .failed, &plan)
    end("step-3/b", &plan)
    #expect(begin(&plan) == ["step-1/a", "step-1/b"])
    for path: RelativePath in ["step-1/a", "step-1/b"] { end(path, &plan) }
    #expect(plan.isPublished)
    #expect(Set(plan.result.unpublished.entries.keys) == ["step-3/a", "latest"])
  }

  @Test(.promise("END-10")) func `where no rate is known, or nothing fits, the newest goes first`() throws {
    for (seconds, rate) in [(10.0, nil), (1.0, 1.0)] as [(Double, Double?)] {
      var plan = try plan(
        ["step-9/a", "step-10/a"], bytesEach: ["step-9": 500, "step-10": 500], seconds: seconds, rate: rate)
      #expect(begin(&plan) == ["step-10/a"])
    }
  }

  @Test(.promise("END-10")) func `files that appear together have their turn together`() throws {
    // One unit: its own files and those in the steps below it.
    var plan = try plan(["out/config", "out/step-1/a", "out/step-2/a", "other/step-5/a"])
    plan.note(large: ["out/step-1/a", "out/step-2/a"])
    plan.note(sizes: [:], budget: .init(seconds: 1, bytesPerSecond: nil))
    var begun: [RelativePath] = []
    var rounds = 0
    while !plan.isPublished, rounds < 20 {
      rounds += 1
      for path in begin(&plan) {
        begun.append(path)
        if plan.isStaged(path) { plan.note(staged: path) }
        end(path, &plan)
      }
    }
    #expect(Set(begun) == ["out/config", "out/step-1/a", "out/step-2/a", "other/step-5/a"])
    #expect(plan.result.unpublished.entries.isEmpty)
  }
}
