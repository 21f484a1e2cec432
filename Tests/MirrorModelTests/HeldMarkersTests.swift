import MirrorModel
import Testing

@Suite struct HeldMarkersTests {
  private func held(_ markers: [(RelativePath, date: Int64)]) -> HeldMarkers {
    var held = HeldMarkers()
    for (path, date) in markers.shuffled() {
      held.hold(path, RemoteObject(byteCount: 1, etag: "e", lastModified: date))
    }
    return held
  }

  @Test func `markers go from the deepest directory up, directories of one depth together`() {
    let held = held([
      ("latest", 9), ("a/.metadata", 1), ("b/.metadata", 2), ("a/deep/DONE", 3), ("b/latest", 1),
    ])
    let order = held.groups.map { $0.map { $0.markers.map(\.path.string) } }
    #expect(order == [[["a/deep/DONE"]], [["a/.metadata"], ["b/latest", "b/.metadata"]], [["latest"]]])
  }

  @Test func `the markers of one directory go in the order in which they were published`() {
    let held = held([("meta.pt", 7), (".metadata", 6), ("metadata.json", 8), ("DONE", 8)])
    let order = held.groups.flatMap(\.self).flatMap(\.markers).map(\.path.string)
    #expect(order == [".metadata", "meta.pt", "DONE", "metadata.json"])
  }

  @Test func `what did not arrive keeps back the markers of its directory and of those above`() {
    var held = held([])
    #expect(held.isEmpty)
    held.noteMissing("a/b/data")
    held.noteMissing("a/b/other")
    #expect(held.obstacle(toMarkersOf: "a/b") == "a/b/data")
    #expect(held.obstacle(toMarkersOf: "a") == "a/b/data")
    #expect(held.obstacle(toMarkersOf: .root) == "a/b/data")
    #expect(held.obstacle(toMarkersOf: "a/b/data") == nil)
    #expect(held.obstacle(toMarkersOf: "c") == nil)
  }
}
