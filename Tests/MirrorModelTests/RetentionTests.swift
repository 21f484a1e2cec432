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
        scan.add(path, RemoteObject(byteCount: 1, etag: "e", lastModified: Int64(random.below(1_000))))
      }
      var trackers: [Tracker] = []
      if let named = objects.keys.sorted().randomElement(using: &random),
        let tracker = Tracker("latest", content: Array(named.string.utf8)), random.below(2) == 0
      {
        trackers = [tracker]
      }
      for var unit in UnitCatalog(scan, trackers: trackers).units {
        unit.hasReceipt = random.below(3) == 0
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
    // What goes is older than everything that is kept by number alone.
    for (place, candidate) in complete.enumerated() where gone.contains(candidate.unit.path) {
      #expect(place >= world.policy.keepLast, "\(world)")
      if let every = world.policy.keepEvery {
        #expect((StepName(candidate.unit.path.name).number ?? 0) % every != 0, "\(world)")
      }
    }
    // Nothing else stays without a reason.
    for (place, candidate) in complete.enumerated() where !gone.contains(candidate.unit.path) {
      let isOfSteps = world.policy.keepEvery.map {
        (StepName(candidate.unit.path.name).number ?? 0) % $0 == 0
      }
      #expect(
        place < world.policy.keepLast || !candidate.unit.trackers.isEmpty || isOfSteps == true, "\(world)")
    }
  }

  @Test(arguments: UInt64(1)...100)
  func `a checkpoint goes receipt first, then markers from above, then data`(seed: UInt64) throws {
    for candidate in try World(seed: seed).candidates {
      let batches = RetentionPlan.batches(of: candidate, order: Self.order)
      #expect(
        Set(batches.flatMap(\.self))
          == Set(candidate.objects).union(
            candidate.unit.hasReceipt ? [UnitReceipt.path(of: candidate.unit.path)] : []))
      var left = Set(candidate.objects)
      for batch in batches {
        left.subtract(batch)
        // Stopped here, each marker that is left has all that it speaks for.
        for marker in left where Self.order.isMarker(marker) {
          let spokenFor = candidate.objects.filter { $0.isWithin(marker.parent) && $0 != marker }
          #expect(spokenFor.allSatisfy(left.contains))
        }
      }
      if candidate.unit.hasReceipt { #expect(batches.first == [UnitReceipt.path(of: candidate.unit.path)]) }
    }
  }

  @Test func `fewer than two are never kept`() {
    #expect(throws: RetentionPlan.Refusal.self) { try RetentionPlan.Policy(keepLast: 1) }
    #expect(throws: RetentionPlan.Refusal.self) { try RetentionPlan.Policy(keepLast: 2, keepEvery: 0) }
  }
}
