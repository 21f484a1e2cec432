import MirrorModel
import TestSupport
import Testing

@Suite struct DirtySetCapacityTests {
  private let start = Instant(nanoseconds: 0)

  /// Counts collapses, each of which looks at every entry: their number bounds the cost of a storm.
  @Test(arguments: [1, 3, 4000]) func `a storm stays small and collapses rarely`(filesPerDirectory: Int) {
    let capacity = 2000
    var dirty = DirtySet(capacity: capacity)
    var collapses = 0
    var countBefore = 0
    var most = 0
    for event in 0..<20_000 {
      let file = event % 4000
      let path = RelativePath("run/shard-\(file / filesPerDirectory)/part-\(file).bin")
      dirty.note(event.isMultiple(of: 2) ? .modified(path) : .closed(path), at: start)
      if dirty.entries.count < countBefore { collapses += 1 }
      countBefore = dirty.entries.count
      most = max(most, countBefore)
    }
    #expect(most <= capacity)
    #expect(dirty.rescans.count <= 1000)
    #expect(!dirty.rescans.isEmpty)
    // Each frees half of the capacity, 1,000 entries, and 20,000 events make at most so many.
    #expect((1...20).contains(collapses))
  }

  @Test func `every path of a storm is an entry or below a directory to compare`() {
    var dirty = DirtySet(capacity: 100)
    var random = SplitMix64(seed: 7)
    var paths: [RelativePath] = []
    for _ in 0..<5000 {
      let depth = Int.random(in: 1...5, using: &random)
      let names = (0..<depth).map { _ in "n\(Int.random(in: 0..<8, using: &random))" }
      paths.append(RelativePath(names.joined(separator: "/")))
      dirty.note(.closed(paths[paths.count - 1]), at: start)
      #expect(dirty.entries.count <= 100)
    }
    for path in paths {
      #expect(dirty.entries[path] != nil || path.ancestors.contains { dirty.rescans[$0] != nil })
    }
  }

  @Test func `the fullest directory collapses, others stay`() {
    var dirty = DirtySet(capacity: 64)
    for file in 0..<8 { dirty.note(.closed(RelativePath("small/\(file)")), at: start) }
    for file in 0..<57 { dirty.note(.closed(RelativePath("large/\(file)")), at: start) }
    #expect(dirty.rescans == ["large": .collapsed])
    #expect(dirty.entries.count == 8)
  }

  @Test func `too many directories to compare are joined, and gone ones become a comparison`() {
    var dirty = DirtySet()
    for number in 0..<3000 {
      dirty.note(.rescan(RelativePath("a/b\(number % 7)/\(number)"), .watchLimit), at: start)
    }
    #expect(dirty.rescans.count <= 1000)
    for number in 0..<1001 { dirty.note(.directoryMovedAway(RelativePath("gone/\(number)")), at: start) }
    #expect(dirty.goneDirectories.isEmpty)
    #expect(dirty.rescans[.root] != nil)
  }
}
