import LocalTree
import MirrorModel
import Synchronization

/// The names of files that have more than one, as far as they were met: inotify(7) tells of a write under the name
/// that was used only, and of none where that name is gone or has no watch.
///
/// Names that were not met are found by reconciliation only, and so are those outside the root (SPEC 3).
final class LinkedNames: Sendable {
  fileprivate struct File: Hashable {
    var device: UInt64
    var inode: UInt64

    init(_ stamp: FileStamp) {
      device = stamp.device
      inode = stamp.inode
    }
  }

  fileprivate struct Names {
    var paths: Set<RelativePath> = []
    /// The version that all names are published with, or dirty since. Nil where that has to be found out.
    var reckoned: FileStamp?
  }

  private struct State {
    var names: [File: Names] = [:]
    var files: [RelativePath: File] = [:]
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

  /// The other names of the file that the path led to when it was met last.
  func others(of path: RelativePath) -> Set<RelativePath> {
    state.withLock { state in
      guard let file = state.files[path], let names = state.names[file] else { return [] }
      return names.paths.subtracting([path])
    }
  }

  private static func forget(_ path: RelativePath, in state: inout State) {
    guard let file = state.files.removeValue(forKey: path) else { return }
    state.names[file]?.paths.remove(path)
    if state.names[file]?.paths.isEmpty == true { state.names[file] = nil }
  }

  /// Whether the name still leads to the file that it was met with.
  private func leads(_ path: RelativePath, to stamp: FileStamp) -> Bool {
    state.withLock { $0.files[path] } == File(stamp)
  }

  /// The files that have a name below one of the directories.
  private func files(below directories: Set<RelativePath>) -> [File: Names] {
    state.withLock { state in
      var found: [File: Names] = [:]
      for (path, file) in state.files where found[file] == nil && path.isBelow(directories) {
        found[file] = state.names[file]
      }
      return found
    }
  }

  private func reckon(_ file: File, at stamp: FileStamp) {
    // A further write could leave the same stamp.
    let isYoung = stamp.timeUntilTrusted(at: wallClock()) > .zero
    state.withLock { $0.names[file]?.reckoned = isYoung ? nil : stamp }
  }
}

extension LinkedNames {
  /// Adds to a batch the other names of the files in it, and of the files that changed below directories whose changes
  /// no event tells of, unless what they hold now is published under them already.
  ///
  /// - Parameter directories: what was compared in this pass.
  /// - Returns: the names that were added because of an event, which may be the one that tells of their close.
  func complete(
    _ batch: inout DirtySet.Batch, compared directories: Set<RelativePath>, in root: TreeRoot,
    ledger: PublishedLedger
  ) -> [RelativePath] {
    var added: [RelativePath] = []
    func add(_ path: RelativePath, _ stamp: FileStamp, like entry: DirtyEntry) -> Bool {
      guard ledger.record(of: path, matching: stamp, ignoringChangeTime: .untouched) == nil else {
        return false
      }
      var copy = DirtyEntry(
        writing: entry.writing, firstChange: entry.firstChange, lastChange: entry.lastChange)
      copy.isWrittenElsewhere = true
      batch.entries[path] = copy
      return true
    }
    var others: [RelativePath: Set<RelativePath>] = [:]
    var linked: Set<File> = []
    for path in batch.entries.keys {
      // Those of a file that was written and has lost this name since.
      others[path] = self.others(of: path)
      if let present = stamp(of: path, in: root) {
        note(path, present)
        if present.links > 1 { linked.insert(File(present)) }
      } else {
        forget(path)
      }
    }
    noteRecorded(linked, in: root, ledger)
    for (path, entry) in batch.entries {
      for other in others[path, default: []].union(self.others(of: path)) where batch.entries[other] == nil {
        guard let stamp = stamp(of: other, in: root), leads(other, to: stamp) else {
          forget(other)
          continue
        }
        if add(other, stamp, like: entry) { added.append(other) }
      }
    }
    let now = ContinuousClock.now
    let found = DirtyEntry(writing: .unknown, firstChange: now, lastChange: now)
    for (path, stamp) in changedElsewhere(besides: directories, in: root, ledger)
    where batch.entries[path] == nil {
      _ = add(path, stamp, like: found)
    }
    return added
  }

  /// The names outside of the directories whose files have one inside and have changed since all their names were
  /// looked at.
  private func changedElsewhere(
    besides directories: Set<RelativePath>, in root: TreeRoot, _ ledger: PublishedLedger
  ) -> [(RelativePath, FileStamp)] {
    guard !directories.isEmpty, !directories.contains(.root) else { return [] }
    let changed = files(below: directories).filter { file, names in
      for path in names.paths {
        if let stamp = stamp(of: path, in: root), File(stamp) == file { return stamp != names.reckoned }
      }
      return true
    }
    guard !changed.isEmpty else { return [] }
    let recorded = noteRecorded(Set(changed.keys), in: root, ledger)
    var found: [(RelativePath, FileStamp)] = []
    for (file, names) in changed {
      var isReckoned = false
      for path in names.paths.union(recorded[file] ?? []) {
        guard let stamp = stamp(of: path, in: root), File(stamp) == file else {
          forget(path)
          continue
        }
        // The first of the stamps: what changes while the others are taken has to be found out again.
        if !isReckoned { reckon(file, at: stamp) }
        isReckoned = true
        if !path.isBelow(directories) { found.append((path, stamp)) }
      }
    }
    return found
  }

  /// Looks for names that were published when their files had no other yet, and keeps them.
  @discardableResult
  private func noteRecorded(_ files: Set<File>, in root: TreeRoot, _ ledger: PublishedLedger)
    -> [File: Set<RelativePath>]
  {
    guard !files.isEmpty else { return [:] }
    var found: [File: Set<RelativePath>] = [:]
    for path in ledger.paths(where: { files.contains(File($0)) }) {
      guard let stamp = stamp(of: path, in: root), files.contains(File(stamp)) else { continue }
      if stamp.links > 1 { note(path, stamp) }
      found[File(stamp), default: []].insert(path)
    }
    return found
  }

  private func stamp(of path: RelativePath, in root: TreeRoot) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try root.look(at: path) }),
      entry.kind == .file
    else { return nil }
    return entry.stamp
  }
}

extension RelativePath {
  fileprivate func isBelow(_ directories: Set<RelativePath>) -> Bool {
    ancestors.contains { directories.contains($0) }
  }
}
