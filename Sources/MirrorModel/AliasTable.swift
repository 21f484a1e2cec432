/// The names whose content may change without an event that bears them, as far as events, passes and comparisons have met them.
///
/// A name is an alias for one of two reasons, or for both:
/// - It is a *further name*: its file has others (hard links). inotify(7) reports a write under the name that the writer used, and
///   reports none where that name is gone or has no watch.
/// - It is a *followed link*: a symbolic link that is followed. inotify(7) reports when the link comes and goes, and nothing of what the
///   link leads to.
///
/// Of both the same is asked: whether the version that is there now is reckoned with (`Reckoning`). What differs is when it is asked. The
/// names of a file share it, so an event of one name concerns all of them, and only files that events concern are looked at. What a
/// followed link leads to has no events, so every link is looked at in every pass.
///
/// Names that were not met, and names outside of the root, are found by comparisons only (WATCH-5). Links behind a link that leads to a
/// directory are compared with it, and are not in the table.
package struct AliasTable: Sendable {
  /// What hard links are names of.
  package struct File: Sendable, Hashable {
    package var device: UInt64
    package var inode: UInt64

    package init(_ stamp: FileStamp) {
      device = stamp.device
      inode = stamp.inode
    }
  }

  /// The names of a file, and the version with which all of them are reckoned.
  struct Names: Sendable {
    var paths: Set<RelativePath> = []
    var reckoning = Reckoning.none
  }

  struct FollowedLink: Sendable {
    /// Of a file behind the link.
    var reckoning: Reckoning
    /// The link led to a directory, so objects may lie below its name.
    var hasLedToDirectory = false
    /// The link was found missing, and the event that reports it is still to come.
    var isGone = false
  }

  /// Who meets a name.
  package enum Meeting: Sendable {
    /// A comparison of the whole tree: the other names of the file are compared too.
    case comparisonOfEverything
    /// A pass, an event, or a comparison of a part: the other names may lie elsewhere.
    case other
  }

  /// Further names that are kept, some 200 bytes each: 20 MB at the most.
  static let capacity = 100_000

  private var files: [RelativePath: File] = [:]
  private var namesByFile: [File: Names] = [:]
  /// Files that were written, as events of their names report, and that no pass has looked at since.
  private var written: Set<File> = []
  /// The same of files that have lost a name: a writer who has the file open by that name is reported no more (`IN_EXCL_UNLINK`).
  private var bereft: Set<File> = []
  private var links: [RelativePath: FollowedLink] = [:]
  /// Links that were met since `takeFreshLinks`.
  private var freshLinks: Set<RelativePath> = []

  package init() {}
}

/// The version of a file under which its names are published, or dirty since. Any other version is a change.
struct Reckoning: Sendable, Hashable {
  /// Nil where the version has to be found out.
  private var version: FileStamp?

  static let none = Reckoning(version: nil)

  private init(version: FileStamp?) { self.version = version }

  /// A version whose stamp a further write could leave as it is is none to reckon with.
  ///
  /// - Parameter wallClock: nanoseconds since 1970-01-01 UTC.
  init(_ stamp: FileStamp?, at wallClock: Int64) {
    version = stamp.flatMap { $0.timeUntilTrusted(at: wallClock) == .zero ? $0 : nil }
  }

  func covers(_ stamp: FileStamp) -> Bool { version?.isSameVersion(as: stamp) ?? false }

  /// The same where only the content counts: that a name came or went moves ctime alone.
  func coversContent(of stamp: FileStamp) -> Bool {
    guard var known = version else { return false }
    known.changed = stamp.changed
    return known.isSameVersion(as: stamp)
  }
}

// Further names.
extension AliasTable {
  /// Keeps a name if its file has others.
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

  /// Notes that the path is no name any more of the file that it led to.
  mutating func forgetFile(of path: RelativePath) {
    guard let file = files.removeValue(forKey: path) else { return }
    bereft.insert(file)
    namesByFile[file]?.paths.remove(path)
    if namesByFile[file]?.paths.isEmpty == true { namesByFile[file] = nil }
  }

  mutating func forgetFiles(within directory: RelativePath) {
    for path in files.keys where path.isWithin(directory) { forgetFile(of: path) }
  }

  /// The file that the path led to when it was met last.
  func file(of path: RelativePath) -> File? { files[path] }

  func names(of file: File) -> Set<RelativePath> { namesByFile[file]?.paths ?? [] }

  /// The other names of the file that the path led to when it was met last.
  package func others(of path: RelativePath) -> Set<RelativePath> {
    file(of: path).map { names(of: $0).subtracting([path]) } ?? []
  }

  mutating func noteWrite(under path: RelativePath) {
    if let file = files[path] { written.insert(file) }
  }

  /// Whether the next pass looks at all names of this file.
  package func isToBeLookedAt(_ stamp: FileStamp) -> Bool {
    written.contains(File(stamp)) || bereft.contains(File(stamp))
  }

  /// Files that were written or have lost a name, with the names that they have.
  var concerned: [File: Set<RelativePath>] {
    Dictionary(written.union(bereft).map { ($0, names(of: $0)) }, uniquingKeysWith: { first, _ in first })
  }

  /// Takes from the files that were written, and from those that have lost a name, the ones that a pass looks at.
  mutating func takeConcerned(_ looked: Set<File>) -> (written: Set<File>, bereft: Set<File>) {
    defer {
      written.subtract(looked)
      bereft.subtract(looked)
    }
    return (written.intersection(looked), bereft.intersection(looked))
  }

  /// Whether all names of the file are published with this version, or dirty since.
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
  /// Keeps a link that a walk or a pass meets.
  ///
  /// - Parameter target: what the link leads to; nothing where that is a directory above the link.
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

  /// - Returns: whether objects may lie below the link's name.
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

  /// Asks for the comparison of what all links lead to.
  package mutating func pollLinks() -> [WatchEvent] {
    freshLinks = []
    return links.compactMap { path, link in link.isGone ? nil : .rescan(path, .followedLink) }
  }

  /// Asks for the comparison of what those links lead to that were met since.
  package mutating func takeFreshLinks() -> [WatchEvent] {
    defer { freshLinks = [] }
    return freshLinks.map { .rescan($0, .followedLink) }
  }

  /// The links that led to a directory when they were looked at.
  package var linksToDirectories: [RelativePath] {
    links.compactMap { path, link in link.hasLedToDirectory && !link.isGone ? path : nil }
  }
}

/// What is seen at a path.
package enum Sighting: Sendable, Hashable {
  case nothing
  case entry(EntryKind, FileStamp)
  /// It cannot be looked at: it lies behind a link, or its publication will report what is wrong.
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
