import MirrorModel
import TestSupport
import Testing

/// Which texts a download makes a link of.
@Suite struct LinkTextTests {
  private struct Example: Sendable {
    var text: String
    var path: RelativePath
    var depth = 0
    var refusal: LinkObject.Refusal?
  }

  private static let examples: [Example] = [
    Example(text: "a", path: "link"), Example(text: "./d//a/.", path: "link"),
    Example(text: "..", path: "d/link"), Example(text: "../../a", path: "d/e/link"),
    Example(text: "...", path: "link"), Example(text: "..a", path: "link"),
    Example(text: "../a", path: "link", depth: 1),
    Example(text: "", path: "link", refusal: .noText), Example(text: "a\0b", path: "link", refusal: .noText),
    Example(text: String(repeating: "a/", count: 2_048), path: "link", refusal: .noText),
    Example(text: "/a", path: "link", refusal: .absolute),
    Example(text: "..", path: "link", refusal: .outside),
    Example(text: "../../a", path: "d/link", refusal: .outside),
    Example(text: "../../a", path: "link", depth: 1, refusal: .outside),
    Example(text: "d/../a", path: "link", refusal: .roundabout),
    Example(text: "../a/./..", path: "d/link", refusal: .roundabout),
  ]

  @Test(.promise("LINK-12"), arguments: examples.indices)
  func `a text may go up within the root and then down`(index: Int) {
    let example = Self.examples[index]
    #expect(
      LinkObject.refusal(of: Array(example.text.utf8), at: example.path, below: example.depth)
        == example.refusal)
  }
}
