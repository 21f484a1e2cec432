/// The path of a directory marker: a zero-byte object that stands for an empty directory. The marker's key is
/// the directory's key with a slash at its end.
///
/// Markers are handled like files: dirty, published, compared, deleted. Code that must treat a marker
/// differently asks for this type; no other code looks at the end of a path. The test reads one byte and
/// takes no memory.
package struct DirectoryMarker: Sendable, Hashable {
  /// With the slash at its end.
  package let path: RelativePath

  /// Nil for the path of a file.
  package init?(_ path: RelativePath) {
    guard path.string.utf8.last == UInt8(ascii: "/") else { return nil }
    self.path = path
  }

  /// The marker of a directory. The root has no marker, because it has no key.
  package init(of directory: RelativePath) {
    path = RelativePath(directory.string + "/")
  }

  /// The directory that the marker stands for.
  package var directory: RelativePath { RelativePath(String(Substring(path.string.utf8.dropLast()))) }
}
