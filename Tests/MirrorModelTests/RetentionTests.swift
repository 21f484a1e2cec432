import MirrorModel
import TestSupport
import Testing

/// Which checkpoints retention takes, over random catalogs.
@Suite struct RetentionTests {
  /// A random catalog, as `UnitCatalog` makes it of a listing.
  private struct World: CustomStringConvertible {
    var candidates: [RetentionPlan.Candidate] = []
    var policy: RetentionPlan.Policy
    let seed: UInt64

    init(seed: UInt64) throws {
      self.seed = seed
      var random = SplitMix64(seed: seed)
      policy = try .init(keepLast: 2 + random.below(3), keepEvery: random.below(2) == 0 ? nil : 200)
      var scan = UnitScan(names: try UnitNames())
      var objects: [RelativePath: [RelativePath]] = [:]
      for _ in 0..<random.below(12) {
        let unit = RelativePath("step-\((1 + random.below(12)) * 100)")
        for name in ["a", "w/b", ".metadata", "w/.metadata"] where random.below(4) > 0 {
          objects[unit, default: []].append(unit.appending(name))
        }
      }
      for path in objects.values.flatMap(\.self) {
        scan.add(
          path,
          RemoteObject(byteCount: 1, etag: "e", lastModified: Int64(random.below(1_000)) * 61_000_000_000))
      }
      var trackers: [Tracker] = []
      if let named = objects.keys.sorted().randomElement(using: &random),
        let tracker = Tracker("latest", content: Array(named.string.utf8)), random.below(2) == 0
      {
        trackers = [tracker]
      }
      for var unit in UnitCatalog(scan, trackers: trackers).units {
        if random.below(3) == 0 { unit.receipts = [UnitReceipt.path(of: unit.path)] }
        let states: [UnitState] = [
          .complete(proof: "p"), .complete(proof: "p"), .unproved("u"), .incomplete("i"),
        ]
        candidates.append(
          .init(unit: unit, state: states[random.below(4)], objects: Array(Set(objects[unit.path] ?? []))))
      }
    }

    var description: String {
      "seed \(seed), \(policy): " + candidates.map { "\($0.unit.path) \($0.state)" }.joined(separator: ", ")
    }
  }

  private static let order = CommitOrder { $0.name == ".metadata" }

  @Test(arguments: UInt64(1)...400)
  func `the newest two complete checkpoints, what a file names and what nothing marks stay`(seed: UInt64)
    throws
  {
    let world = try World(seed: seed)
    let plan = RetentionPlan(world.candidates, policy: world.policy)
    let complete = world.candidates.filter(\.state.isComplete)
    let gone = Set(plan.removed.map(\.unit.path))
    #expect(complete.prefix(2).allSatisfy { !gone.contains($0.unit.path) }, "\(world)")
    #expect(plan.removed.allSatisfy { $0.state.isComplete && $0.unit.trackers.isEmpty }, "\(world)")
    let kept = complete.count - gone.count
    #expect(kept >= min(complete.count, world.policy.keepLast), "\(world)")
    let latest = Set(
      complete.sorted { ($1.unit.sum.published, $1.unit.path) < ($0.unit.sum.published, $0.unit.path) }
        .prefix(world.policy.keepLast).map(\.unit.path))
    // Nothing stays without a reason.
    for (place, candidate) in complete.enumerated() {
      let isOfSteps = world.policy.keepEvery.map {
        (StepName(candidate.unit.path.name).number ?? 0) % $0 == 0
      }
      let stays =
        place < world.policy.keepLast || latest.contains(candidate.unit.path)
        || !candidate.unit.trackers.isEmpty || isOfSteps == true
      #expect(stays != gone.contains(candidate.unit.path), "\(candidate.unit.path) of \(world)")
    }
  }

  @Test(arguments: UInt64(1)...100)
  func `a checkpoint goes receipt first, then markers from above, then data`(seed: UInt64) throws {
    for candidate in try World(seed: seed).candidates {
      let batches = RetentionPlan.batches(of: candidate, order: Self.order)
      #expect(
        Set(batches.flatMap(\.self))
          == Set(candidate.objects).union(candidate.unit.receipts))
      var left = Set(candidate.objects)
      for batch in batches {
        left.subtract(batch)
        // Stopped here, each marker that is left has all that it speaks for.
        for marker in left where Self.order.isMarker(marker) {
          let spokenFor = candidate.objects.filter { $0.isWithin(marker.parent) && $0 != marker }
          #expect(spokenFor.allSatisfy(left.contains))
        }
      }
      if !candidate.unit.receipts.isEmpty { #expect(batches.first == candidate.unit.receipts) }
    }
  }

  @Test func `fewer than two are never kept`() {
    #expect(throws: RetentionPlan.Refusal.self) { try RetentionPlan.Policy(keepLast: 1) }
    #expect(throws: RetentionPlan.Refusal.self) { try RetentionPlan.Policy(keepLast: 2, keepEvery: 0) }
  }

  private static func candidate(_ path: String, minute: Int64) -> RetentionPlan.Candidate {
    var scan = UnitScan(names: names)
    let file = RelativePath(path + "/a")
    scan.add(file, RemoteObject(byteCount: 1, etag: "e", lastModified: minute * 60_000_000_000))
    let unit = UnitCatalog(scan, trackers: []).units[0]
    return .init(unit: unit, state: .complete(proof: "p"), objects: [file])
  }

  private static let names: UnitNames = {
    do {
      return try UnitNames()
    } catch {
      preconditionFailure("the default names can be read: \(error)")
    }
  }()

  @Test(.promise("RET-1"))
  func `each series is counted by itself`() throws {
    let candidates = ["b/step-9", "a/step-3", "a/step-2", "a/step-1", "b/step-8"]
      .map { Self.candidate($0, minute: 1) }
    let plan = RetentionPlan(candidates, policy: try .init(keepLast: 2))
    #expect(plan.removed.map(\.unit.path) == ["a/step-1"])
  }

  @Test(.promise("RET-1"))
  func `what a program saves that went back to an earlier step stays`() throws {
    let candidates = [
      ("step-900", 5), ("step-800", 4), ("step-700", 3), ("step-120", 9), ("step-110", 8), ("step-100", 2),
    ].map { Self.candidate($0.0, minute: $0.1) }
    let plan = RetentionPlan(candidates, policy: try .init(keepLast: 2))
    #expect(plan.removed.map(\.unit.path) == ["step-100", "step-700"])
    // Of a tree that was uploaded at once the highest steps count as the last.
    let together = ["step-4", "step-3", "step-2", "step-1"].map { Self.candidate($0, minute: 7) }
    #expect(
      RetentionPlan(together, policy: try .init(keepLast: 2)).removed.map(\.unit.path) == [
        "step-1", "step-2",
      ])
  }

  @Test(.promise("RET-4"))
  func `the bound counts what the run did not publish`() throws {
    let candidates = (1...30).reversed().map { Self.candidate("step-\($0)", minute: 1) }
    let plan = RetentionPlan(candidates, policy: try .init(keepLast: 2))
    #expect(plan.reasonToWithhold(of: 30, bound: .standard) { _ in false } != nil)
    #expect(plan.reasonToWithhold(of: 30, bound: .standard) { _ in true } == nil)
    #expect(plan.reasonToWithhold(of: 60, bound: .standard) { _ in false } == nil)
    #expect(plan.reasonToWithhold(of: 60, bound: .limit(27)) { _ in true } != nil)
  }

  @Test(.promise("RET-3"))
  func `old files here are not published again, and what changed is`() throws {
    let minute: Int64 = 60_000_000_000
    let policy = try RetentionPlan.Policy(keepLast: 2, keepEvery: 100)
    let candidates = [Self.candidate("step-90", minute: 100), Self.candidate("step-80", minute: 99)]
    var retired = RetiredUnits()
    func contains(_ path: String, changed: Int64, skew: Int64 = 0) -> Bool {
      let stamp = FileStamp(device: 1, inode: 1, size: 1, modified: 0, changed: changed * minute)
      return retired.contains(RelativePath(path), stamp, serverSkew: skew * minute)
    }
    #expect(!contains("step-70/a", changed: 10))
    retired.note(candidates, policy: policy)
    #expect(contains("step-70/a", changed: 83))
    #expect(contains("step-70/deep/a", changed: 83))
    // Saved after step 80 was published, or perhaps so.
    #expect(!contains("step-70/a", changed: 85))
    #expect(!contains("step-70/a", changed: 83, skew: 5))
    #expect(!contains("step-80/a", changed: 10), "it is on S3, perhaps not all of it")
    #expect(!contains("step-85/a", changed: 10))
    #expect(!contains("step-0/a", changed: 10), "a multiple of 100")
    #expect(!contains("other/a", changed: 10))
    #expect(!contains("x/step-70/a", changed: 10), "another series")
    retired.note(taken: "step-75", at: 200 * minute)
    #expect(contains("step-75/a", changed: 199))
    #expect(!contains("step-75/a", changed: 201))
  }
}
