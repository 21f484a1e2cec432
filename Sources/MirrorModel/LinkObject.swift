/// A symbolic link as an object: the body is the link's text, and the metadata say so (LINK-11).
package enum LinkObject {
  /// The name of the user metadata, without `x-amz-meta-`.
  package static let metadataName = "s3mirror-symlink"
  package static let metadataValue = "true"
  /// As freedesktop.org's shared MIME-info calls it.
  package static let contentType = "inode/symlink"
  /// PATH_MAX has room for a NUL (symlink(2)).
  package static let longestText = 4_095

  package static func isMarked(_ metadata: [String: String]) -> Bool {
    metadata[metadataName] == metadataValue
  }

  /// Why a download does not make a link.
  package enum Refusal: String, Sendable, Hashable, CustomStringConvertible {
    case noText = "its text is empty, too long, or holds a NUL"
    case absolute = "it is absolute"
    case outside = "it leads out of the root"
    case roundabout = "it goes up again after a name, so another link could lead it out of the root"

    package var description: String { rawValue }
  }

  /// Judges a text before a link is made of it.
  ///
  /// A text may go up from the link's own directory and then down, never up again: what it goes down through
  /// may be a link, and the directory above that link's target may lie outside of the root.
  ///
  /// - Parameters:
  ///   - depth: how deep the root lies below the directory that no link may leave.
  /// - Returns: nil if the link stays within the root, whatever other links of this kind the root holds.
  package static func refusal(of text: [UInt8], at path: RelativePath, below depth: Int = 0) -> Refusal? {
    if text.isEmpty || text.count > longestText || text.contains(0) { return .noText }
    if text.first == UInt8(ascii: "/") { return .absolute }
    var height = path.ancestors.count - 1 + depth
    var hasDescended = false
    for name in text.split(separator: UInt8(ascii: "/")) where name != [UInt8(ascii: ".")] {
      guard name == [UInt8(ascii: "."), UInt8(ascii: ".")] else {
        hasDescended = true
        continue
      }
      if hasDescended { return .roundabout }
      height -= 1
      if height < 0 { return .outside }
    }
    return nil
  }
}
