import MirrorModel
import TestSupport
import Testing

/// Markers beside files that a comparison found open.
@Suite struct UnwatchedTimeTests {
  private static let now = Instant(nanoseconds: 0)

  /// A plan for markers of a batch, with files that an earlier comparison found open.
  private func plan(
    _ markers: [RelativePath: Int64], open: [RelativePath: UnwatchedTime], inBatch: [RelativePath] = []
  ) throws -> PassPlan {
    var batch = DirtySet.Batch()
    var surroundings = PassPlan.Surroundings()
    for path in markers.keys { batch.entries[path] = DirtyEntry(at: Self.now) }
    for (path, time) in open {
      var entry = DirtyEntry(at: Self.now)
      entry.noteFoundOpen(at: Self.now)
      entry.unwatched = time
      if inBatch.contains(path) { batch.entries[path] = entry } else { surroundings.unwatched[path] = time }
    }
    let order = try CommitOrder(commitLast: ["latest", "DONE"])
    surroundings.note(markersOf: batch, order) { path in
      markers[path].map { FileStamp(device: 1, inode: 1, size: 1, modified: 0, changed: $0) }
    }
    return PassPlan(batch, order: order, removal: .never, within: surroundings)
  }

  /// Carries a plan out; each of the given files is still open.
  private func published(by plan: inout PassPlan, open: Set<RelativePath> = []) -> [RelativePath] {
    var published: [RelativePath] = []
    while plan.hasReady, case .publish(let path) = plan.next() {
      let isOpen = open.contains(path)
      if !isOpen { published.append(path) }
      _ = plan.note(isOpen ? .waiting(isOpen: true) : .published(.latest), of: path, at: Self.now)
    }
    return published
  }

  /// Born at 10 and found at 20.
  @Test(.promise("PUB-19"), arguments: [(9, false), (10, true), (20, true), (21, false)])
  func `a marker of the time in which the file was not watched waits`(changed: Int64, waits: Bool) throws {
    var plan = try plan(["d/latest": changed], open: ["d/a": UnwatchedTime(since: 10, until: 20)])
    #expect(published(by: &plan) == (waits ? [] : ["d/latest"]))
    #expect(plan.result.blocked == (waits ? ["d/latest": "d/a"] : [:]))
  }

  @Test(.promise("PUB-19"))
  func `where the filesystem keeps no time of birth, every marker until the comparison waits`() throws {
    var plan = try plan(["latest": 1, "DONE": 21], open: ["a": UnwatchedTime(since: nil, until: 20)])
    #expect(published(by: &plan) == ["DONE"])
  }

  @Test(.promise("PUB-19")) func `a marker elsewhere does not wait, and one further up does`() throws {
    var plan = try plan(
      ["d/latest": 15, "e/latest": 15, "latest": 25], open: ["d/a": UnwatchedTime(since: 10, until: 20)])
    #expect(published(by: &plan) == ["e/latest"])
    #expect(plan.result.blocked == ["d/latest": "d/a", "latest": "d/latest"])
  }

  @Test(.promise("PUB-19")) func `a marker of the file's own batch waits for the next pass`() throws {
    var plan = try plan(
      ["latest": 15], open: ["a": UnwatchedTime(since: 10, until: 20)], inBatch: ["a"])
    #expect(published(by: &plan, open: ["a"]) == [])
    #expect(plan.result.blocked == ["latest": "a"])
  }
}
