import MirrorModel
import TestSupport
import Testing

@Suite struct ListingStretchTests {
  @Test(.promise("SRV-1"))
  func `a stretch begins before its names and ends behind them in either order`() throws {
    let stretch = try #require(ListingStretch(of: ["t/n3.tmp", "t/n3/b0", "t/n3/b1"]))
    #expect(stretch.directory == "t")
    // After n3.tmp a tree's listing would lack the others, and after n3 too.
    #expect(stretch.start == "t/n")
    #expect(!stretch.isPassed(at: "t/n3.tmp"))
    #expect(!stretch.isPassed(at: "t/n3/b1"))
    #expect(stretch.isPassed(at: "t/n4"))
  }

  @Test func `a stretch of one directory is listed there`() throws {
    let stretch = try #require(ListingStretch(of: ["t/n3/b0", "t/n3/b19", "t/n3/b7"]))
    #expect(stretch.directory == "t/n3")
    #expect(stretch.start == "t/n3/b")
    #expect(stretch.isPassed(at: "t/n3/b7"))
    #expect(!stretch.isPassed(at: "t/n3/b19"))
  }

  @Test func `names that share nothing are listed from the beginning`() throws {
    #expect(try #require(ListingStretch(of: ["a", "z/y"])).start == nil)
    #expect(try #require(ListingStretch(of: ["t/a", "t/z"])).start == nil)
    // Directory markers.
    #expect(try #require(ListingStretch(of: ["t/a/", "t/b/"])).start == nil)
    #expect(ListingStretch(of: []) == nil)
  }

  @Test(.promise("SRV-1"))
  func `a listing of the stretch has all of its names, on servers of both orders`() throws {
    var random = SplitMix64(seed: 7)
    let characters = ["a", "b", "/", ".", "0", "\u{E9}", "\u{1F9CA}"]
    for _ in 0..<5_000 {
      var all: Set<RelativePath> = []
      for _ in 0..<30 {
        let name = (0...random.below(5)).map { _ in characters[random.below(characters.count)] }.joined()
        all.insert(RelativePath(name.split(separator: "/").joined(separator: "/")))
      }
      all.remove(.root)
      guard !all.isEmpty else { continue }
      let wanted = Array(all.shuffled(using: &random).prefix(1 + random.below(all.count)))
      let stretch = try #require(ListingStretch(of: wanted))
      check(stretch, wanted, in: all.sorted())
      check(stretch, wanted, in: all.sorted { $0.precedesInTree($1) }, isTree: true)
    }
  }

  private func check(
    _ stretch: ListingStretch, _ wanted: [RelativePath], in listing: [RelativePath], isTree: Bool = false
  ) {
    let below = listing.filter { $0.isWithin(stretch.directory) && $0 != stretch.directory }
    let page = below.filter { path in
      guard let start = stretch.start else { return true }
      return isTree ? start.precedesInTree(path) && !path.isWithin(start) : start < path
    }
    #expect(Set(wanted).isSubset(of: page), "\(wanted) after \(stretch.start?.string ?? "nothing")")
    var order = ListingOrderSeen()
    var met: Set<RelativePath> = []
    for path in page {
      order.note(path)
      met.insert(path)
      if stretch.isPassed(at: path) {
        #expect(met.isSuperset(of: wanted), "\(wanted) at \(path)")
        break
      }
    }
    #expect(order.isKnown)
  }

  @Test func `names in neither order are no listing to conclude from`() {
    var order = ListingOrderSeen()
    for path in ["a", "c", "b"] as [RelativePath] { order.note(path) }
    #expect(!order.isKnown)
  }
}
