import CLinux
import Glibc
import MirrorModel
import SystemPackage

// Symbolic links that lead to regular files inside of the root.
extension TreeRoot {
  /// More links than the kernel follows in one path (path_resolution(7)).
  private static let mostLinks = 40

  /// The path inside of the root to which a link leads in the end. It names no link, and no link is above it.
  ///
  /// Each name is looked up below the root, so nothing outside is touched: a file server that does not answer
  /// must not stop the walk of a tree that only has a link to it. A text that leaves the root and returns to
  /// it counts as leading out, except for an absolute text that begins with the root's own path.
  ///
  /// - Returns: nil if the link leads nowhere, in a circle, or out of the root.
  func pointee(of link: RelativePath) throws(Errno) -> RelativePath? {
    var found = RelativePath.root
    var names = Self.names(in: link.string)
    var links = 0
    while let name = names.popFirst() {
      if name == ".." {
        if found.isRoot { return nil }
        found = found.parent
        continue
      }
      let path = found.appending(name)
      let entry: Entry
      do {
        entry = try descriptor.entry(path.string)
      } catch let cause where cause.meansNoTarget || cause == .fileNameTooLong {
        return nil
      }
      guard entry.kind == .symbolicLink else {
        found = path
        continue
      }
      links += 1
      guard links <= Self.mostLinks, let bytes = text(ofLinkAt: path),
        var text = RelativePath(utf8: bytes)?.string
      else { return nil }
      if text.hasPrefix("/") {
        guard let rest = withoutRoot(text) else { return nil }
        text = rest
        found = .root
      }
      names = Self.names(in: text) + names
    }
    return found.isRoot || found == link ? nil : found
  }

  private static func names(in text: String) -> ArraySlice<Substring> {
    text.split(separator: "/").filter { $0 != "." }[...]
  }

  /// The rest of an absolute path that begins with the root's path, as the user wrote it or without links.
  private func withoutRoot(_ text: String) -> String? {
    for root in [path.string, fileSystem.canonicalPath(path).string] where root.hasPrefix("/") {
      if text == root { return "" }
      let prefix = root.hasSuffix("/") ? root : root + "/"
      if text.hasPrefix(prefix) { return String(text.dropFirst(prefix.count)) }
    }
    return nil
  }

  /// readlinkat(2). Nil if no link has the name.
  func text(ofLinkAt link: RelativePath) -> [UInt8]? {
    // PATH_MAX.
    var bytes = [UInt8](repeating: 0, count: 4_096)
    do {
      // SAFETY: the kernel writes only within the array, during the call.
      let count = try bytes.withUnsafeMutableBufferPointer { buffer throws(Errno) in
        try descriptor.readLink(link.string, into: UnsafeMutableRawBufferPointer(buffer))
      }
      return Array(bytes[..<count])
    } catch {
      return nil
    }
  }

  /// The file to which a link leads, if it is a regular file inside of the root.
  func target(ofLinkAt path: RelativePath, _ link: Entry) throws(Errno) -> Entry? {
    guard let target = try pointee(of: path) else { return nil }
    let found: Entry
    do {
      found = try openBeneath(target, S3M_O_PATH | O_NOFOLLOW).entry()
    } catch let cause where cause.meansNoTarget {
      // Removed or replaced just now.
      return nil
    }
    guard found.kind == .file else { return nil }
    return Entry(
      kind: .file, stamp: found.stamp, pointer: Pointer(target: target, changed: link.stamp.changed))
  }

  /// Opens the file to which a link leads.
  ///
  /// - Throws: ELOOP if the link does not lead to a file inside of the root.
  func openTarget(ofLinkAt path: RelativePath, _ flags: CInt) throws(Errno) -> any Descriptor {
    let link = try openBeneath(path, S3M_O_PATH | O_NOFOLLOW).entry()
    guard link.kind == .symbolicLink, let target = try target(ofLinkAt: path, link)?.pointer?.target else {
      throw .tooManySymbolicLinkLevels
    }
    return try openBeneath(target, flags)
  }
}
