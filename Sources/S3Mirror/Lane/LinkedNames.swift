import LocalTree
import MirrorModel
import Synchronization

/// The names of files that have more than one, as far as they were met: inotify(7) tells of a write under the name
/// that was used only.
///
/// Names that were not met are found by reconciliation only, and so are those outside the root (SPEC 3).
final class LinkedNames: Sendable {
  private struct File: Hashable {
    var device: UInt64
    var inode: UInt64
  }

  private struct State {
    var names: [File: Set<RelativePath>] = [:]
    var files: [RelativePath: File] = [:]
  }

  /// About 200 bytes a name: 20 MB at the most.
  private static let capacity = 100_000

  private let state = Mutex(State())

  /// Keeps the name if its file has others.
  func note(_ path: RelativePath, _ stamp: FileStamp) {
    guard stamp.links > 1 else { return forget(path) }
    let file = File(device: stamp.device, inode: stamp.inode)
    state.withLock { state in
      if state.files[path] == file { return }
      Self.forget(path, in: &state)
      guard state.files.count < Self.capacity else { return }
      state.files[path] = file
      state.names[file, default: []].insert(path)
    }
  }

  func forget(_ path: RelativePath) {
    state.withLock { Self.forget(path, in: &$0) }
  }

  /// The other names of the file that the path led to when it was met last.
  func others(of path: RelativePath) -> Set<RelativePath> {
    state.withLock { state in
      guard let file = state.files[path], let names = state.names[file] else { return [] }
      return names.subtracting([path])
    }
  }

  /// Whether the name still leads to the file that it was met with.
  private func leads(_ path: RelativePath, to stamp: FileStamp) -> Bool {
    state.withLock { $0.files[path] } == File(device: stamp.device, inode: stamp.inode)
  }

  private static func forget(_ path: RelativePath, in state: inout State) {
    guard let file = state.files.removeValue(forKey: path) else { return }
    state.names[file]?.remove(path)
    if state.names[file]?.isEmpty == true { state.names[file] = nil }
  }
}

extension LinkedNames {
  /// Adds to a batch the other names of the files in it, unless what they hold now is published under them already.
  ///
  /// - Returns: the names that were added though no event tells of their close.
  func complete(_ batch: inout DirtySet.Batch, in root: TreeRoot, ledger: PublishedLedger) -> [RelativePath] {
    var added: [RelativePath] = []
    for (path, entry) in batch.entries {
      // Also those of a file that was written and has lost this name since.
      var others = others(of: path)
      if let present = stamp(of: path, in: root) {
        note(path, present)
        if present.links > 1 { noteRecorded(samePlaceAs: present, in: ledger) }
        others.formUnion(self.others(of: path))
      } else {
        forget(path)
      }
      for other in others where batch.entries[other] == nil {
        guard let stamp = stamp(of: other, in: root), leads(other, to: stamp) else {
          forget(other)
          continue
        }
        let known = ledger.record(of: other, matching: stamp, ignoringChangeTime: .untouched)
        if known == nil {
          batch.entries[other] = DirtyEntry(
            writing: entry.writing, firstChange: entry.firstChange, lastChange: entry.lastChange)
          added.append(other)
        }
      }
    }
    return added
  }

  /// Names that were published when their file had no other yet.
  private func noteRecorded(samePlaceAs stamp: FileStamp, in ledger: PublishedLedger) {
    for path in ledger.paths(ofInode: stamp.inode, device: stamp.device) { note(path, stamp) }
  }

  private func stamp(of path: RelativePath, in root: TreeRoot) -> FileStamp? {
    guard case .success(let entry?) = Result(catching: { () throws(TreeError) in try root.look(at: path) }),
      entry.kind == .file
    else { return nil }
    return entry.stamp
  }
}
