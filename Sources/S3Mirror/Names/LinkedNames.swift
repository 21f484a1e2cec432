import LocalTree
import MirrorModel
import Synchronization

/// The names of files that have more than one, as far as they were met: inotify(7) tells of a write under the name
/// that was used only, and of none where that name is gone or has no watch.
///
/// Names that links make are met when they are told of; else names are met by comparisons and passes. Those that were not
/// met are found by reconciliation only, and so are those outside the root (WATCH-5).
final class LinkedNames: Sendable {
  struct File: Hashable {
    var device: UInt64
    var inode: UInt64

    init(_ stamp: FileStamp) {
      device = stamp.device
      inode = stamp.inode
    }
  }

  struct Names {
    var paths: Set<RelativePath> = []
    /// The version that all names are published with, or dirty since. Nil where that has to be found out.
    var reckoned: FileStamp?
  }

  private struct State {
    var names: [File: Names] = [:]
    var files: [RelativePath: File] = [:]
    /// The files that a pass has not looked at since a write was told under one of their names.
    var written: Set<File> = []
    /// The same for files that lost a name: a writer who has it open by that one is told of no more (`IN_EXCL_UNLINK`).
    var bereft: Set<File> = []
  }

  /// What happens to the other names of a file that a comparison meets.
  enum Comparison: Sendable {
    /// They are compared too.
    case ofEverything
    /// They may lie elsewhere.
    case ofPart
  }

  /// About 200 bytes a name: 20 MB at the most.
  private static let capacity = 100_000

  private let state = Mutex(State())
  /// Nanoseconds since 1970-01-01 UTC.
  private let wallClock: @Sendable () -> Int64

  init(wallClock: @escaping @Sendable () -> Int64) {
    self.wallClock = wallClock
  }

  /// Keeps the name if its file has others.
  func note(_ path: RelativePath, _ stamp: FileStamp, met comparison: Comparison = .ofPart) {
    guard stamp.links > 1 else { return forget(path) }
    let file = File(stamp)
    let isReckoned = comparison == .ofEverything && stamp.timeUntilTrusted(at: wallClock()) == .zero
    state.withLock { state in
      if state.files[path] == file { return }
      Self.forget(path, in: &state)
      guard state.files.count < Self.capacity else { return }
      state.files[path] = file
      state.names[file, default: Names(reckoned: isReckoned ? stamp : nil)].paths.insert(path)
    }
  }

  func forget(_ path: RelativePath) {
    state.withLock { Self.forget(path, in: &$0) }
  }

  private static func forget(_ path: RelativePath, in state: inout State) {
    guard let file = state.files.removeValue(forKey: path) else { return }
    state.bereft.insert(file)
    state.names[file]?.paths.remove(path)
    if state.names[file]?.paths.isEmpty == true { state.names[file] = nil }
  }

  /// The file that the path led to when it was met last.
  func file(of path: RelativePath) -> File? {
    state.withLock { $0.files[path] }
  }

  /// The names by which the file was met.
  func names(of file: File) -> Set<RelativePath> {
    state.withLock { $0.names[file]?.paths ?? [] }
  }

  /// The other names of the file that the path led to when it was met last.
  func others(of path: RelativePath) -> Set<RelativePath> {
    file(of: path).map { names(of: $0).subtracting([path]) } ?? []
  }

  /// Whether the next pass looks at all names of this file.
  func isToBeLookedAt(_ stamp: FileStamp) -> Bool {
    state.withLock { $0.written.contains(File(stamp)) || $0.bereft.contains(File(stamp)) }
  }

  /// The files that were written, and those that lost a name, since they were taken last.
  ///
  /// - Parameters:
  ///   - files: what is looked at anyhow.
  ///   - isWaiting: whether a name will be in a later batch; its file is left for that one.
  func takeChanged(
    besides files: some Collection<File>, unless isWaiting: (RelativePath) -> Bool
  ) -> (written: Set<File>, bereft: Set<File>) {
    let all = state.withLock { state in
      state.written.union(state.bereft).map { ($0, state.names[$0]?.paths ?? []) }
    }
    let ready = Set(all.filter { !$0.1.contains(where: isWaiting) }.map(\.0)).union(files)
    return state.withLock { state in
      defer {
        state.written.subtract(ready)
        state.bereft.subtract(ready)
      }
      return (state.written.intersection(ready), state.bereft.intersection(ready))
    }
  }

  /// Whether all names of the file were published with this version, or are dirty since. That a name came or went is none.
  func isReckoned(_ stamp: FileStamp) -> Bool {
    guard var known = state.withLock({ $0.names[File(stamp)]?.reckoned }) else { return false }
    known.changed = stamp.changed
    return known.isSameVersion(as: stamp)
  }

  /// Whether the name still leads to the file that it was met with.
  func leads(_ path: RelativePath, to stamp: FileStamp) -> Bool {
    state.withLock { $0.files[path] } == File(stamp)
  }

  /// The files that have a name below one of the directories.
  func files(below directories: Set<RelativePath>) -> [File: Names] {
    state.withLock { state in
      var found: [File: Names] = [:]
      for (path, file) in state.files where found[file] == nil && path.isBelow(directories) {
        found[file] = state.names[file]
      }
      return found
    }
  }

  func reckon(_ file: File, at stamp: FileStamp) {
    // A further write could leave the same stamp.
    let isYoung = stamp.timeUntilTrusted(at: wallClock()) > .zero
    state.withLock { $0.names[file]?.reckoned = isYoung ? nil : stamp }
  }
}

// What the watch tells.
extension LinkedNames {
  /// The events, and with them which names belong to files that have others. Called on the watch's thread, so that a name
  /// is met even if it is gone when the next pass begins.
  func told(_ events: [WatchEvent], in root: TreeRoot) -> [WatchEvent] {
    guard root.isLocal else { return events }
    var all: [WatchEvent] = []
    all.reserveCapacity(events.count)
    for event in events {
      all.append(event)
      switch event {
      case .created(let path), .found(let path):
        if meet(path, in: root) { all.append(.linked(path)) }
      case .renamed(let from, let to):
        if meet(to, in: root) { all.append(.linked(to)) }
        // Where the two were exchanged, or others were faster, something may be there.
        if file(of: from) != nil { _ = meet(from, in: root) }
      case .modified(let path), .closed(let path):
        state.withLock { state in
          if let file = state.files[path] { state.written.insert(file) }
        }
      case .deleted(let path): forget(path)
      case .directoryMovedAway(let directory):
        state.withLock { state in
          for path in state.files.keys where path.isWithin(directory) { Self.forget(path, in: &state) }
        }
      case .linked, .attributes, .undecodable, .directoryAppeared, .directoryDeleted, .directoryRenamed,
        .rescan, .rootLost:
        break
      }
    }
    return all
  }

  /// Looks whose name it is now.
  ///
  /// - Returns: whether that file has others.
  private func meet(_ path: RelativePath, in root: TreeRoot) -> Bool {
    guard let entry = root.glance(at: path), entry.kind == .file, entry.stamp.links > 1 else {
      forget(path)
      return false
    }
    note(path, entry.stamp)
    return true
  }
}
