import MirrorModel
import Testing

/// Paths of directory markers beside those of files.
@Suite struct DirectoryMarkerTests {
  @Test func `a marker's path says which directory it stands for`() throws {
    let marker = DirectoryMarker(of: "a/b")
    #expect(marker.path == "a/b/")
    #expect(marker.directory == "a/b")
    #expect(DirectoryMarker(marker.path) == marker)
  }

  @Test(arguments: ["", "a", "a/b", "a-b.c", "ä"]) func `the path of a file or of the root is none`(
    path: String
  ) {
    #expect(DirectoryMarker(RelativePath(path)) == nil)
  }

  @Test func `a marker lies within its directory, as its key does`() {
    let marker = DirectoryMarker(of: "a/b").path
    #expect(marker.isWithin("a/b"))
    #expect(marker.parent == "a/b")
    #expect(marker.moved(from: "a", to: "x") == DirectoryMarker(of: "x/b").path)
  }
}
