/// The stretch of a listing in which some names lie, for servers that list in the order of bytes and for those that list a tree.
///
/// AWS lists in the order of bytes: `a.tmp`, `a/b`. SeaweedFS lists a directory's names in that order, and at each directory what it
/// holds: `a/b`, `a.tmp`. So a listing that begins after `a.tmp` has `a/b` on one server and lacks it on the other. Which of them a
/// server is need not be known: a stretch begins before its names in either order, and ends behind them in either order.
package struct ListingStretch: Sendable {
  /// The deepest directory that holds all names.
  package let directory: RelativePath
  /// The listing may begin after this name, which need not exist. Nil: at the directory's first.
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

  /// Whether a listing that has come to this name has passed all names of the stretch.
  package func isPassed(at latest: RelativePath) -> Bool {
    last <= latest && !latest.precedesInTree(lastInTree)
  }

  /// What two names begin with, but for its last character: it comes before both in either order.
  ///
  /// It never ends before a slash: a listing of SeaweedFS that begins after `a` lacks what is in `a`.
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

/// In which order a server lists, as far as its names show.
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
    /// A slash before every other byte keeps together what a directory holds.
    func rank(_ byte: UInt8) -> Int { byte == UInt8(ascii: "/") ? 0 : Int(byte) + 1 }
    return string.utf8.lexicographicallyPrecedes(other.string.utf8) { rank($0) < rank($1) }
  }
}
