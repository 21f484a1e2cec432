/// The names whose content may change without an event that bears them, as far as events, passes and
/// comparisons have found them.
///
/// A name is an alias for one of two reasons, or for both:
/// - It is a *further name*: its file has other names too (hard links). inotify(7) reports a write under the
///   name that the writer used. It reports none if that name is gone or has no watch.
/// - It is a *followed link*: a symbolic link that is followed. inotify(7) reports when the link is created
///   and removed, but no change of the link's target.
///
/// For both the question is the same: is the present version already published or dirty (`Reckoning`)? They
/// differ in when the question is asked. All names of a file share its content, so an event of one name
/// concerns all of them, and only files with events are checked. The target of a followed link has no events,
/// so every link is checked in every pass.
///
/// Only comparisons find changes under names that were never found, and under names outside of the root
/// (WATCH-5). Links behind a link to a directory are compared with that directory, and are not in the table.
package struct AliasTable: Sendable {
  /// A file, which may have several names.
  package struct File: Sendable, Hashable {
    package var device: UInt64
    package var inode: UInt64

    package init(_ stamp: FileStamp) {
      device = stamp.device
      inode = stamp.inode
    }
  }

  /// The names of a file, and the version that is published or dirty under all of them.
  struct Names: Sendable {
    var paths: Set<RelativePath> = []
    var reckoning = Reckoning.none
  }

  struct FollowedLink: Sendable {
    /// The version of the file to which the link leads.
    var reckoning: Reckoning
    /// The link led to a directory, so objects may be below its name.
    var hasLedToDirectory = false
    /// The link was found missing, and the event of its removal was not read yet.
    var isGone = false
  }

  /// How a name was found.
  package enum Meeting: Sendable {
    /// By a comparison of the whole tree, which also compares the other names of the file.
    case comparisonOfEverything
    /// By a pass, an event, or a comparison of a part. The other names may be elsewhere.
    case other
  }

  /// The limit of further names. At about 200 bytes each they take at most 20 MB.
  static let capacity = 100_000

  private var files: [RelativePath: File] = [:]
  private var namesByFile: [File: Names] = [:]
  /// Files whose events reported a write, and that no pass has checked since.
  private var written: Set<File> = []
  /// Files that have lost a name, and that no pass has checked since. If a process has the file open under
  /// that name, its writes are no longer reported (`IN_EXCL_UNLINK`).
  private var bereft: Set<File> = []
  private var links: [RelativePath: FollowedLink] = [:]
  /// Links that were found since `takeFreshLinks`.
  private var freshLinks: Set<RelativePath> = []
  package var pointers = PointerTable()

  package init() {}
}

/// The version of a file that is published under its names, or under which they became dirty. Any other
/// version is a change.
struct Reckoning: Sendable, Hashable {
  /// Nil if the version is not known.
  private var version: FileStamp?

  static let none = Reckoning(version: nil)

  private init(version: FileStamp?) { self.version = version }

  /// Keeps the version only if every further write changes its stamp.
  ///
  /// - Parameter wallClock: nanoseconds since 1970-01-01 UTC.
  init(_ stamp: FileStamp?, at wallClock: Int64) {
    version = stamp.flatMap { $0.timeUntilTrusted(at: wallClock) == .zero ? $0 : nil }
  }

  func covers(_ stamp: FileStamp) -> Bool { version?.isSameVersion(as: stamp) ?? false }

  /// Compares the content only: adding or removing a name changes only ctime.
  func coversContent(of stamp: FileStamp) -> Bool {
    guard var known = version else { return false }
    known.changed = stamp.changed
    return known.isSameVersion(as: stamp)
  }
}

// Further names.
extension AliasTable {
  /// Keeps a name if its file has several names.
  package mutating func note(
    _ path: RelativePath, _ stamp: FileStamp, metBy meeting: Meeting, at wallClock: Int64
  ) {
    guard stamp.links > 1 else { return forgetFile(of: path) }
    let file = File(stamp)
    if files[path] == file { return }
    forgetFile(of: path)
    guard files.count < Self.capacity else { return }
    files[path] = file
    let reckoning = meeting == .comparisonOfEverything ? Reckoning(stamp, at: wallClock) : .none
    namesByFile[file, default: Names(reckoning: reckoning)].paths.insert(path)
  }

  /// Notes that the path is no longer a name of the file to which it led.
  mutating func forgetFile(of path: RelativePath) {
    guard let file = files.removeValue(forKey: path) else { return }
    bereft.insert(file)
    namesByFile[file]?.paths.remove(path)
    if namesByFile[file]?.paths.isEmpty == true { namesByFile[file] = nil }
  }

  mutating func forgetFiles(within directory: RelativePath) {
    for path in files.keys where path.isWithin(directory) { forgetFile(of: path) }
  }

  /// The file to which the path last led.
  func file(of path: RelativePath) -> File? { files[path] }

  func names(of file: File) -> Set<RelativePath> { namesByFile[file]?.paths ?? [] }

  /// The other names of the file to which the path last led.
  package func others(of path: RelativePath) -> Set<RelativePath> {
    file(of: path).map { names(of: $0).subtracting([path]) } ?? []
  }

  mutating func noteWrite(under path: RelativePath) {
    if let file = files[path] { written.insert(file) }
  }

  /// Whether the next pass checks all names of this file.
  package func isToBeLookedAt(_ stamp: FileStamp) -> Bool {
    written.contains(File(stamp)) || bereft.contains(File(stamp))
  }

  /// Files that were written or have lost a name, with their names.
  var concerned: [File: Set<RelativePath>] {
    Dictionary(written.union(bereft).map { ($0, names(of: $0)) }, uniquingKeysWith: { first, _ in first })
  }

  /// Removes and returns the files that a pass checks from those that were written or have lost a name.
  mutating func takeConcerned(_ looked: Set<File>) -> (written: Set<File>, bereft: Set<File>) {
    defer {
      written.subtract(looked)
      bereft.subtract(looked)
    }
    return (written.intersection(looked), bereft.intersection(looked))
  }

  /// Whether this version is published or dirty under all names of the file.
  func isReckonedWith(_ stamp: FileStamp) -> Bool {
    namesByFile[File(stamp)]?.reckoning.coversContent(of: stamp) ?? false
  }

  mutating func reckon(_ file: File, with stamp: FileStamp, at wallClock: Int64) {
    namesByFile[file]?.reckoning = Reckoning(stamp, at: wallClock)
  }

  /// The files that have a name below one of the directories.
  func files(below directories: Set<RelativePath>) -> [File: Names] {
    var found: [File: Names] = [:]
    for (path, file) in files where found[file] == nil && path.isBelow(directories) {
      found[file] = namesByFile[file]
    }
    return found
  }
}

// Followed links.
extension AliasTable {
  /// Keeps a link that a walk or a pass found.
  ///
  /// - Parameter target: the entry to which the link leads; `nothing` if that is a directory above the link.
  package mutating func note(
    link path: RelativePath, leadingTo target: Sighting, at wallClock: Int64
  ) {
    if path.ancestors.contains(where: { links[$0]?.hasLedToDirectory == true }) { return }
    let known = links[path]
    var link = known ?? FollowedLink(reckoning: Reckoning(target.stampOfFile, at: wallClock))
    link.isGone = false
    if target.kind == .directory { link.hasLedToDirectory = true }
    links[path] = link
    if known?.isGone ?? true { freshLinks.insert(path) }
  }

  /// - Returns: whether objects may be below the link's name.
  mutating func forgetLink(_ path: RelativePath) -> Bool {
    freshLinks.remove(path)
    return links.removeValue(forKey: path)?.hasLedToDirectory ?? false
  }

  func link(_ path: RelativePath) -> FollowedLink? { links[path] }

  mutating func changeLink(_ path: RelativePath, _ change: (inout FollowedLink) -> Void) {
    guard var link = links[path] else { return }
    change(&link)
    links[path] = link
  }

  /// Events that ask for a comparison of all links' targets.
  package mutating func pollLinks() -> [WatchEvent] {
    freshLinks = []
    return links.compactMap { path, link in link.isGone ? nil : .rescan(path, .followedLink) }
  }

  /// The same for links that were found since the last call or poll.
  package mutating func takeFreshLinks() -> [WatchEvent] {
    defer { freshLinks = [] }
    return freshLinks.map { .rescan($0, .followedLink) }
  }

  /// The links that led to a directory when they were last checked.
  package var linksToDirectories: [RelativePath] {
    links.compactMap { path, link in link.hasLedToDirectory && !link.isGone ? path : nil }
  }
}

/// The entry that was found at a path.
package enum Sighting: Sendable, Hashable {
  case nothing
  case entry(EntryKind, FileStamp)
  /// The entry cannot be read: it is behind a link, or its publication will report the error.
  case unseen

  var kind: EntryKind? {
    guard case .entry(let kind, _) = self else { return nil }
    return kind
  }

  var stampOfFile: FileStamp? {
    guard case .entry(.file, let stamp) = self else { return nil }
    return stamp
  }
}

extension RelativePath {
  package func isBelow(_ directories: Set<RelativePath>) -> Bool {
    ancestors.contains { directories.contains($0) }
  }
}
