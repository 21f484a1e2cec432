import MirrorModel
import TestSupport
import Testing

@Suite struct RecentTableTests {
  @Test(arguments: [1, 2, 3, 100]) func `entries up to the limit stay, and the newest always`(capacity: Int) {
    var table = RecentTable<Int, String>(capacity: capacity)
    for key in 1...capacity { table.set("\(key)", for: key) }
    #expect(!table.hasDropped)
    #expect(table.keys { _, _ in true }.sorted() == Array(1...capacity))
    // A known entry takes no room.
    for key in 1...capacity { table.set("new", for: key) }
    #expect(!table.hasDropped)
    for key in capacity + 1...3 * capacity {
      let dropped = table.set("\(key)", for: key)
      #expect(table[key] == "\(key)")
      #expect(dropped.keys.allSatisfy { table[$0] == nil })
      #expect(table.weight <= capacity)
      #expect(table.weight >= max(1, capacity / 2))
    }
    #expect(table.hasDropped)
  }

  @Test func `what is dropped is older than what stays`() {
    var table = RecentTable<Int, Int>(capacity: 10)
    for key in 1...1_000 { table.set(key, for: key) }
    let kept = table.keys { _, _ in true }.sorted()
    #expect(kept == Array(1_001 - kept.count...1_000))
  }

  @Test func `entries have weights`() {
    var table = RecentTable<String, Int>(capacity: 10) { $0 }
    table.set(4, for: "a")
    table.set(4, for: "b")
    #expect(table.weight == 8)
    #expect(table.set(7, for: "c").keys.sorted() == ["a", "b"])
    #expect(table.weight == 7)
    table.set(1, for: "c")
    table.set(9, for: "d")
    #expect(table.keys { _, _ in true }.sorted() == ["c", "d"])
    table.remove("c")
    #expect(table.weight == 9)
    #expect(table["c"] == nil)
  }

  @Test func `a table does what a dictionary does, as far as it has room`() {
    for seed: UInt64 in 1...50 {
      var random = SplitMix64(seed: seed)
      let capacity = Int.random(in: 1...20, using: &random)
      var table = RecentTable<Int, Int>(capacity: capacity)
      var all: [Int: Int] = [:]
      for _ in 0..<300 {
        let key = Int.random(in: 0..<30, using: &random)
        if Int.random(in: 0..<4, using: &random) == 0 {
          table.remove(key)
          all[key] = nil
        } else {
          let value = Int.random(in: 0..<1_000, using: &random)
          for dropped in table.set(value, for: key).keys { all[dropped] = nil }
          all[key] = value
        }
        for key in 0..<30 { #expect(table[key] == all[key]) }
        #expect(table.weight == all.count)
        #expect(all.count <= capacity)
      }
    }
  }
}
