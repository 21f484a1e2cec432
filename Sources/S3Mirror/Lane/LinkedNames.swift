import LocalTree
import MirrorModel
import Synchronization

/// The names of files that have more than one, as far as they were met: inotify(7) tells of a write under the name
/// that was used only, and of none where that name is gone or has no watch.
///
/// Names that links make are met when they are told of; else names are met by comparisons and passes. Those that were not
/// met are found by reconciliation only, and so are those outside the root (SPEC 3).
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
    /// The files of which writes were told under one of their names since a pass last looked at them.
    var written: Set<File> = []
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

  /// What the watch tells, names that links made being told apart. Called on the watch's thread, so that such a name is met
  /// even if it is gone when the next pass begins.
  func told(_ events: [WatchEvent], in root: TreeRoot) -> [WatchEvent] {
    events.map { event in
      switch event {
      case .created(let path) where root.isLocal:
        guard let entry = root.glance(at: path), entry.kind == .file, entry.stamp.links > 1 else { break }
        note(path, entry.stamp)
        return .linked(path)
      case .modified(let path), .closed(let path):
        state.withLock { state in
          if let file = state.files[path] { state.written.insert(file) }
        }
      case .renamed(let from, let to):
        state.withLock { Self.rename(from, to, in: &$0) }
      default: break
      }
      return event
    }
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

  /// The files of which writes were told under names that were met. Asked for once.
  func takeWritten() -> Set<File> {
    state.withLock { state in
      defer { state.written = [] }
      return state.written
    }
  }

  private static func rename(_ path: RelativePath, _ new: RelativePath, in state: inout State) {
    guard let file = state.files[path] else { return }
    forget(new, in: &state)
    state.files[new] = file
    state.names[file]?.paths.insert(new)
    forget(path, in: &state)
  }

  private static func forget(_ path: RelativePath, in state: inout State) {
    guard let file = state.files.removeValue(forKey: path) else { return }
    state.names[file]?.paths.remove(path)
    if state.names[file]?.paths.isEmpty == true { state.names[file] = nil }
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

extension TreeRoot {
  /// Nil where no regular file can be seen.
  func stamp(ofFileAt path: RelativePath) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try look(at: path) }),
      entry.kind == .file
    else { return nil }
    return entry.stamp
  }
}
