import MirrorModel
import TestSupport
import Testing

/// Pointers in the plan of a pass, and what they keep in retention.
@Suite struct PointerPlanTests {
  private static let now = Instant(nanoseconds: 0)

  private func plan(
    _ data: [RelativePath], pointers: [RelativePath: RelativePath],
    within surroundings: PassPlan.Surroundings = .init()
  ) throws -> PassPlan {
    var order = try CommitOrder(commitLast: ["latest", "DONE"])
    order.marks = try ProgressMarks(["*-unfinished"])
    var batch = DirtySet.Batch()
    for path in data { batch.entries[path] = DirtyEntry(at: Self.now) }
    for (path, target) in pointers {
      batch.entries[path] = DirtyEntry(at: Self.now)
      batch.entries[path]?.pointsTo = target
    }
    return PassPlan(batch, order: order, removal: .everything, within: surroundings)
  }

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

  @Test(.promise("LINK-7"))
  func `a pointer goes after the data beside it and its target, and before the markers`() throws {
    var plan = try plan(
      ["d/a", "d/s/b", "e/c", "d/DONE", "latest"], pointers: ["d/last": "d/a", "x": "e/c"])
    #expect(begin(&plan) == ["d/a", "d/s/b", "e/c"])
    end("d/a", &plan)
    #expect(begin(&plan) == [])
    end("d/s/b", &plan)
    #expect(begin(&plan) == ["d/last"])
    end("d/last", &plan)
    #expect(begin(&plan) == ["d/DONE"])
    end("d/DONE", &plan)
    end("e/c", &plan)
    #expect(begin(&plan) == ["x"])
    end("x", &plan)
    #expect(begin(&plan) == ["latest"])
  }

  @Test(.promise("LINK-7"))
  func `a pointer waits for a target elsewhere that fails, and a marker for the pointer`() throws {
    var plan = try plan(["steps/1", "links/DONE", "other"], pointers: ["links/last": "steps/1"])
    #expect(begin(&plan) == ["other", "steps/1"])
    end("other", &plan)
    end("steps/1", as: .failed, &plan)
    #expect(begin(&plan) == [])
    #expect(plan.isPublished)
    #expect(Set(plan.result.unpublished.entries.keys) == ["steps/1", "links/last", "links/DONE"])
    #expect(plan.result.blocked["links/last"] == "steps/1")
    #expect(plan.result.blocked["links/DONE"] == "links/last")
  }

  @Test(.promise("LINK-7"))
  func `a pointer waits for a target that is in flight or left out of the pass`() throws {
    var surroundings = PassPlan.Surroundings(deferred: ["steps/2"])
    surroundings.inFlight = ["steps/1": DirtyEntry(at: Self.now)]
    var plan = try plan(
      [], pointers: ["links/one": "steps/1", "links/two": "steps/2"], within: surroundings)
    #expect(begin(&plan) == [])
    #expect(plan.isPublished)
    #expect(Set(plan.result.unpublished.entries.keys) == ["links/one", "links/two"])
  }

  @Test(.promise("LINK-7"))
  func `what a pointer showed last is not deleted before the pointer shows something else`() throws {
    for publication in [PassPlan.Publication.waiting(isOpen: false), .published(.latest)] {
      var order = try CommitOrder(commitLast: ["latest"])
      order.marks = .none
      var batch = DirtySet.Batch()
      for path in ["d/5", "d/last"] as [RelativePath] { batch.entries[path] = DirtyEntry(at: Self.now) }
      batch.entries["d/last"]?.pointsTo = "d/5"
      for path in ["d/4", "e/x"] as [RelativePath] {
        batch.entries[path] = DirtyEntry(.delete(.change), at: Self.now)
      }
      var plan = PassPlan(batch, order: order, removal: .everything)
      var deleted: [RelativePath] = []
      loop: while true {
        switch plan.next() {
        case .publish("d/last"): end("d/last", as: publication, &plan)
        case .publish(let path): end(path, as: path == "d/5" ? .published(.latest) : .absent, &plan)
        case .wait, .over: break loop
        case .askForOrigins: plan.note(origins: []) { _ in true }
        case .list(let directory): plan.note(listing: [], of: directory)
        case .delete(let due):
          deleted = due.paths
          plan.note(deleted: due.paths, kept: [], withheld: [], failed: [])
        }
      }
      let isShown = publication == .published(.latest)
      #expect(deleted.sorted() == (isShown ? ["d/4", "e/x"] : ["e/x"]))
      #expect((plan.result.unpublished.entries["d/4"] != nil) == !isShown)
    }
  }

  @Test(.promise("LINK-10"))
  func `a pointer with the name of an in-progress mark announces nothing`() throws {
    var plan = try plan(["X/a"], pointers: ["X-unfinished": "X/a"])
    #expect(begin(&plan) == ["X/a"])
    end("X/a", &plan)
    #expect(begin(&plan) == ["X-unfinished"])
  }

  @Test(.promise("LINK-7"))
  func `a link with a marker's name shows no version older than its target's`() throws {
    let plan = try plan(["d/a", "e/c", "latest", "d/DONE"], pointers: ["DONE": "d/DONE", "e/latest": "e/c"])
    // A link to data that has a marker's name may be moved on in each pass, so it is held.
    #expect(Set(plan.markersToHold.keys) == ["latest", "d/DONE", "e/latest"])
  }

  @Test(.promise("LINK-7"))
  func `a link to a marker never waits for the marker, nor the marker for the link`() throws {
    var plan = try plan(["d/a", "latest"], pointers: ["d/to-latest": "latest"])
    #expect(begin(&plan) == ["d/a"])
    end("d/a", &plan)
    #expect(begin(&plan) == ["d/to-latest"])
    end("d/to-latest", as: .waiting(isOpen: false), &plan)
    #expect(plan.isPublished)
    #expect(plan.result.blocked["latest"] == "d/to-latest")
  }

  @Test(.promise("LINK-7"))
  func `the files of a unit do not wait for a pointer`() throws {
    var plan = try plan(["d/large", "d/small"], pointers: ["d/last": "d/large"])
    #expect(Set(plan.unmeasured) == ["d/large", "d/small"])
    plan.note(large: ["d/large"])
    #expect(begin(&plan) == ["d/large"])
    plan.note(staged: "d/large")
    #expect(begin(&plan) == ["d/small"])
    end("d/large", &plan)
    end("d/small", &plan)
    #expect(begin(&plan) == ["d/last"])
  }

  @Test(.promise("RET-2"))
  func `the checkpoint to which a link leads stays`() throws {
    var scan = UnitScan(names: try UnitNames())
    var candidates: [RetentionPlan.Candidate] = []
    for step in 1...4 {
      scan.add(
        RelativePath("epoch=\(step).ckpt"),
        RemoteObject(byteCount: 1, etag: "e\(step)", lastModified: Int64(step) * 61_000_000_000))
    }
    for unit in UnitCatalog(scan, trackers: []).units {
      candidates.append(.init(unit: unit, state: .complete(proof: "p"), objects: [unit.path]))
    }
    func removed(keeping named: Set<RelativePath>) throws -> [RelativePath] {
      RetentionPlan(candidates, policy: try .init(keepLast: 2), keeping: named).removed.map(\.unit.path)
    }
    #expect(try removed(keeping: []) == ["epoch=1.ckpt", "epoch=2.ckpt"])
    #expect(try removed(keeping: ["epoch=1.ckpt"]) == ["epoch=2.ckpt"])
  }
}
