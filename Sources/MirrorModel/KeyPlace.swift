/// The local path of a key, if the key can be stored safely below the root (DOWN-3).
///
/// A bucket's keys can be any text. A key that would leave the root, or that no directory entry can have, is
/// refused with a message. No key is changed to make it fit, because two keys could then have the same file.
package struct KeyPlace: Sendable, Hashable {
  package let path: RelativePath
  /// A key that ends in `/` represents a directory.
  package let isDirectoryMarker: Bool

  /// - Parameter key: the key without the prefix of its remote.
  package init(key: String) throws(UnsafeKey) {
    isDirectoryMarker = key.utf8.last == .slash
    path = RelativePath(isDirectoryMarker ? String(Substring(key.utf8.dropLast())) : key)
    if let reason = UnsafeKey.Reason(path) { throw UnsafeKey(key: key, reason: reason) }
  }
}

/// A key that has no safe place in a local tree.
package struct UnsafeKey: Error, Sendable, Hashable, CustomStringConvertible {
  package enum Reason: Sendable, Hashable {
    case empty
    /// A leading or doubled `/`.
    case emptyName
    /// `.` or `..`
    case dotName
    case containsNUL
    /// NAME_MAX of limits.h: 255 bytes, on every Linux filesystem in use.
    case nameTooLong(bytes: Int)
    /// PATH_MAX of limits.h: 4,096 bytes with the closing NUL.
    case pathTooLong(bytes: Int)
    /// A key that ends in `/` is a directory only if its object is empty. No file can have such a name.
    case directoryWithContent(bytes: Int64)

    package static let longestName = 255
    package static let longestPath = 4095

    /// Why a path cannot be used below a root; nil if it can.
    package init?(_ path: RelativePath) {
      let bytes = path.string.utf8.span
      if bytes.isEmpty {
        self = .empty
        return
      }
      if bytes.count > Self.longestPath {
        self = .pathTooLong(bytes: bytes.count)
        return
      }
      var start = 0
      while start <= bytes.count {
        let end = bytes.endOfName(startingAt: start, before: bytes.count)
        if let reason = Self.fault(inName: bytes, from: start, to: end) {
          self = reason
          return
        }
        start = end + 1
      }
      return nil
    }

    private static func fault(inName path: borrowing Span<UInt8>, from start: Int, to end: Int) -> Reason? {
      let count = end - start
      if count == 0 { return .emptyName }
      if count > longestName { return .nameTooLong(bytes: count) }
      var dots = 0
      for index in start..<end {
        if path[index] == 0 { return .containsNUL }
        if path[index] == UInt8(ascii: ".") { dots += 1 }
      }
      return dots == count && count <= 2 ? .dotName : nil
    }
  }

  package let key: String
  package let reason: Reason

  package init(key: String, reason: Reason) {
    self.key = key
    self.reason = reason
  }

  package var description: String {
    let cause =
      switch reason {
      case .empty: "it is empty"
      case .emptyName: "it has a leading or doubled slash"
      case .dotName: "it has a \".\" or \"..\" segment"
      case .containsNUL: "it holds a NUL"
      case .nameTooLong(let bytes): "a name of \(bytes) bytes is longer than \(Reason.longestName)"
      case .pathTooLong(let bytes): "\(bytes) bytes are more than a path's \(Reason.longestPath)"
      case .directoryWithContent(let bytes):
        "it ends in a slash, as a directory's does, and has \(bytes) bytes of content"
      }
    return "key \"\(key)\" has no safe local path: \(cause); rename the object or leave it out with exclude"
  }
}
