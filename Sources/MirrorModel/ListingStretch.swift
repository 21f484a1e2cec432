/// The part of a listing that holds some names, for servers that list in byte order and for servers that list
/// a tree.
///
/// AWS lists in byte order: `a.tmp`, `a/b`. SeaweedFS lists a tree: after a directory's name come the names
/// in that directory, so `a/b`, `a.tmp`. A listing that begins after `a.tmp` includes `a/b` on the first
/// server and lacks it on the second. A stretch begins before its names and ends after its names in both
/// orders, so the server's order need not be known.
package struct ListingStretch: Sendable {
  /// The deepest directory that holds all names.
  package let directory: RelativePath
  /// The listing may begin after this name, which need not exist. Nil if it has to begin at the first name of
  /// the directory.
  package let start: RelativePath?
  private let last: RelativePath
  private let lastInTree: RelativePath

  /// Nil without names.
  package init?(of paths: some Collection<RelativePath>) {
    guard let first = paths.min(), let last = paths.max(),
      let firstInTree = paths.min(by: { $0.precedesInTree($1) }),
      let lastInTree = paths.max(by: { $0.precedesInTree($1) })
    else { return nil }
    var directory = first.parent
    while !last.isWithin(directory) { directory = directory.parent }
    self.directory = directory
    self.last = last
    self.lastInTree = lastInTree
    start = Self.start(before: first, and: firstInTree, in: directory)
  }

  /// Whether a listing that has reached this name has passed all names of the stretch.
  package func isPassed(at latest: RelativePath) -> Bool {
    last <= latest && !latest.precedesInTree(lastInTree)
  }

  /// The common beginning of two names, without its last character. It precedes both names in either order.
  ///
  /// The result never ends just before a slash: a listing of SeaweedFS that begins after `a` lacks the names
  /// in `a`.
  private static func start(
    before first: RelativePath, and other: RelativePath, in directory: RelativePath
  ) -> RelativePath? {
    var common = String.UnicodeScalarView()
    for (one, two) in zip(first.string.unicodeScalars, other.string.unicodeScalars) {
      guard one == two else { break }
      common.append(one)
    }
    while let dropped = common.popLast(), dropped == "/" {}
    let start = RelativePath(String(common))
    return directory.string.utf8.count + (directory.isRoot ? 0 : 1) < start.string.utf8.count ? start : nil
  }
}

/// The order in which a server lists, as the names so far show it.
package struct ListingOrderSeen: Sendable {
  package private(set) var latest: RelativePath?
  private var isOfBytes = true
  private var isOfTree = true

  package init() {}

  package mutating func note(_ path: RelativePath) {
    if let latest {
      isOfBytes = isOfBytes && latest < path
      isOfTree = isOfTree && latest.precedesInTree(path)
    }
    latest = path
  }

  /// Whether the names came in one of the two orders.
  package var isKnown: Bool { isOfBytes || isOfTree }
}

extension RelativePath {
  /// Whether this path comes before another in a listing of a tree: `a/b` before `a.tmp`.
  package func precedesInTree(_ other: RelativePath) -> Bool {
    /// A slash sorts before every other byte, so the names of one directory stay together.
    func rank(_ byte: UInt8) -> Int { byte == UInt8(ascii: "/") ? 0 : Int(byte) + 1 }
    return string.utf8.lexicographicallyPrecedes(other.string.utf8) { rank($0) < rank($1) }
  }
}
