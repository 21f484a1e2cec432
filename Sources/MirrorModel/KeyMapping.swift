/// A path that cannot be a key.
package struct RefusedName: Error, CustomStringConvertible {
  package var description: String

  package init(description: String) {
    self.description = description
  }
}

/// How paths below a root become keys: a tree under a prefix, or one file under one key.
package enum KeyMapping: Sendable, Hashable {
  case tree(prefix: String)
  case file(name: RelativePath, key: String)

  package func key(for path: RelativePath) -> String {
    switch self {
    case .tree(let prefix): prefix + path.string
    case .file(_, let key): key
    }
  }

  /// The prefix of a listing that covers every mapped key.
  package var listingPrefix: String {
    switch self {
    case .tree(let prefix): prefix
    case .file(_, let key): key
    }
  }

  /// The path of a listed key. Nil for a key that only shares the prefix (a listing of `x` includes `xy`).
  package func path(forKey key: String) -> RelativePath? {
    switch self {
    case .tree(let prefix):
      guard key.utf8.starts(with: prefix.utf8) else { return nil }
      let rest = key.utf8.dropFirst(prefix.utf8.count)
      return rest.isEmpty ? nil : RelativePath(String(Substring(rest)))
    case .file(let name, let own):
      return key.utf8.elementsEqual(own.utf8) ? name : nil
    }
  }

  /// Why a file whose name is not UTF-8 cannot be published.
  package static let undecodableName = "its name is not UTF-8, so it cannot be a key"

  /// Why a path cannot be published, or nil if it can.
  package func refusal(of path: RelativePath) -> String? {
    let bytes = key(for: path).utf8.count
    guard bytes > S3Location.maximumKeyBytes else { return nil }
    return "its key would be \(bytes) bytes long, over S3's 1,024"
  }
}
