/// The path of a directory marker: a zero-byte object that stands for an empty directory. Its key, and so its path, is the directory's with a slash at its end.
///
/// Markers go the ways of files: dirty, published, compared, deleted. Where the two differ, code asks for this type; nothing else looks at
/// the end of a path. To ask costs the look at one byte, and no memory.
package struct DirectoryMarker: Sendable, Hashable {
  /// With the slash.
  package let path: RelativePath

  /// Nil for the path of a file.
  package init?(_ path: RelativePath) {
    guard path.string.utf8.last == UInt8(ascii: "/") else { return nil }
    self.path = path
  }

  /// The marker of a directory, which has one unless it is the root: that has no key.
  package init(of directory: RelativePath) {
    path = RelativePath(directory.string + "/")
  }

  /// The directory that the marker stands for.
  package var directory: RelativePath { RelativePath(String(Substring(path.string.utf8.dropLast()))) }
}
