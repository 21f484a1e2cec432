import MirrorModel
import TestSupport
import Testing

/// The markers that a pass leaves to the group of hosts.
@Suite struct GroupHoldTests {
  private static let now = Instant(nanoseconds: 0)

  private func plan(
    _ changed: [RelativePath], gone: [RelativePath] = [], releasing released: Set<RelativePath> = [],
    hold: GroupHold? = nil
  ) throws -> PassPlan {
    var batch = DirtySet.Batch()
    for path in changed { batch.entries[path] = DirtyEntry(at: Self.now) }
    for path in gone { batch.entries[path] = DirtyEntry(.delete(.change), at: Self.now) }
    var surroundings = PassPlan.Surroundings()
    surroundings.group = hold ?? .markers(except: released)
    return PassPlan(
      batch, order: try CommitOrder(commitLast: ["latest", ".metadata"]), removal: .everything,
      within: surroundings)
  }

  /// What a pass publishes if everything that begins succeeds.
  private func published(_ plan: inout PassPlan, failing failed: Set<RelativePath> = []) -> [RelativePath] {
    var published: [RelativePath] = []
    while plan.hasReady, case .publish(let path) = plan.next() {
      published.append(path)
      _ = plan.note(failed.contains(path) ? .failed : .published(.latest), of: path, at: Self.now)
    }
    return published
  }

  @Test(.promise("GRP-1")) func `a pass publishes data and leaves the markers to the group`() throws {
    var plan = try plan(["step/.metadata", "step/a", "b", "latest"])
    #expect(published(&plan) == ["b", "step/a"])
    #expect(plan.isPublished)
    // The marker further up also waits for the one below it.
    #expect(plan.result.heldByGroup == ["step/.metadata", "latest"])
    #expect(plan.result.blocked == ["latest": "step/.metadata"])
    #expect(Set(plan.result.unpublished.entries.keys) == ["step/.metadata", "latest"])
  }

  @Test(.promise("GRP-1")) func `a marker that the group has released is published after its data`() throws {
    var plan = try plan(["step/.metadata", "step/a", "latest"], releasing: ["step/.metadata"])
    #expect(published(&plan) == ["step/a", "step/.metadata"])
    #expect(plan.result.heldByGroup == ["latest"])
  }

  @Test(.promise("GRP-1")) func `a marker whose data fail here is not the group's to decide`() throws {
    var plan = try plan(["step/.metadata", "step/a"], releasing: ["step/.metadata"])
    #expect(published(&plan, failing: ["step/a"]) == ["step/a"])
    #expect(plan.result.heldByGroup == [])
    #expect(plan.result.blocked == ["step/.metadata": "step/a"])
  }

  @Test(.promise("GRP-1")) func `the delete of a marker waits for no other host`() throws {
    var plan = try plan([], gone: ["step/.metadata"])
    guard case .publish("step/.metadata") = plan.next() else {
      Issue.record("the marker's name must be looked at")
      return
    }
    _ = plan.note(.absent, of: "step/.metadata", at: Self.now)
    #expect(plan.next() == .askForOrigins)
    plan.note(origins: []) { _ in true }
    guard case .delete(let deletion) = plan.next() else {
      Issue.record("the marker's object must be deleted")
      return
    }
    #expect(deletion.paths == ["step/.metadata"])
  }

  @Test(.promise("GRP-1")) func `no earlier version of a marker is read for a group`() throws {
    #expect(try plan(["latest", "a"]).markersToHold.isEmpty)
    #expect(try plan(["latest", "a"], releasing: ["latest"]).markersToHold.isEmpty)
    #expect(try !plan(["latest", "a"], hold: GroupHold.none).markersToHold.isEmpty)
  }
}
