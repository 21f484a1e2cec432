import LocalTree
import MirrorModel
import Synchronization

/// One upload's table of aliases, shared by the watch's thread and the lane's task. The rules of `AliasFacts`
/// decide what follows from the table.
final class Aliases: Sendable {
  private let table = Mutex(AliasTable())
  private let symlinks: SymlinkPolicy
  /// Nanoseconds since 1970-01-01 UTC.
  let wallClock: @Sendable () -> Int64

  init(symlinks: SymlinkPolicy, wallClock: @escaping @Sendable () -> Int64) {
    self.symlinks = symlinks
    self.wallClock = wallClock
  }

  func withTable<Value: Sendable>(_ body: (inout AliasTable) -> Value) -> Value {
    table.withLock { body(&$0) }
  }

  /// The other names of the file that the path last led to.
  func others(of path: RelativePath) -> Set<RelativePath> { withTable { $0.others(of: path) } }

  /// Whether the next pass checks all names of this file.
  func isToBeLookedAt(_ stamp: FileStamp) -> Bool { withTable { $0.isToBeLookedAt(stamp) } }

  /// The followed links that led to a directory when they were last checked.
  var linksToDirectories: [RelativePath] { withTable { $0.linksToDirectories } }

  /// The events, and added events for names of files that have several names. Called on the watch's thread,
  /// so that a name is noted even if it is gone when the next pass begins.
  func told(_ events: [WatchEvent], in root: TreeRoot, _ ledger: PublishedLedger) -> [WatchEvent] {
    guard root.isLocal else { return events }
    var aliases = AliasesOfTree(aliases: self, root: root, ledger: ledger)
    return aliases.told(events)
  }

  /// For walks: notes the links that they find. Nil if no link is used.
  var linkObserver: TreeWalk.LinkObserver? {
    switch symlinks {
    case .skip: nil
    case .link: nil
    case .follow:
      { path, target in
        let now = self.wallClock()
        self.withTable { $0.note(link: path, leadingTo: Sighting(target), at: now) }
      }
    case .pointer:
      { path, target in
        let now = self.wallClock()
        self.withTable {
          $0.note(pointer: path, leadingTo: target?.pointer?.target, target?.stamp, at: now)
        }
      }
    }
  }

  /// What published links lead to.
  var pointerTargets: Set<RelativePath> { withTable { $0.pointers.targets } }

  /// For comparisons: notes the name of a file that has several names.
  func note(_ path: RelativePath, _ stamp: FileStamp, metBy meeting: AliasTable.Meeting) {
    let now = wallClock()
    withTable { $0.note(path, stamp, metBy: meeting, at: now) }
  }
}

/// A table of aliases, together with the tree and the ledger to which its entries refer.
struct AliasesOfTree: AliasFacts {
  let aliases: Aliases
  let root: TreeRoot
  let ledger: PublishedLedger

  var wallClock: Int64 { aliases.wallClock() }

  func withTable<Value: Sendable>(_ body: (inout AliasTable) -> Value) -> Value {
    aliases.withTable(body)
  }

  func sight(of path: RelativePath) -> Sighting { sight(of: path, .skip) }

  func sight(behind path: RelativePath) -> Sighting { sight(of: path, root.symlinks) }

  private func sight(of path: RelativePath, _ symlinks: SymlinkPolicy) -> Sighting {
    do { return Sighting(try root.look(at: path, symlinks: symlinks)) } catch { return .unseen }
  }

  func pointing(of path: RelativePath) -> Pointing {
    do {
      guard root.symlinks == .pointer || root.symlinks == .link, let found = try root.look(at: path) else {
        return .noLink
      }
      if root.symlinks == .link, found.kind == .symbolicLink {
        return root.place(ofLinkAt: path).map { .file($0, found.stamp) } ?? .astray
      }
      if let pointer = found.pointer { return .file(pointer.target, found.stamp) }
      return found.kind == .symbolicLink ? .astray : .noLink
    } catch {
      return .unseen
    }
  }

  func glance(at path: RelativePath) -> FileStamp? {
    guard let entry = root.glance(at: path), entry.kind == .file else { return nil }
    return entry.stamp
  }

  func stamp(ofFileAt path: RelativePath) -> FileStamp? { root.stamp(ofFileAt: path) }

  func isWithoutWriter(_ path: RelativePath) -> Bool { root.isWithoutWriter(path) }

  func isPublished(_ path: RelativePath, _ stamp: FileStamp, _ allowance: StampAllowance) -> Bool {
    ledger.record(of: path, matching: stamp, allowing: allowance) != nil
  }

  func hasObject(_ path: RelativePath) -> Bool { ledger.etag(of: path) != nil }

  func publishedPaths(of files: Set<AliasTable.File>) -> [RelativePath] {
    ledger.paths { files.contains(AliasTable.File($0)) }
  }
}

extension Sighting {
  fileprivate init(_ entry: TreeRoot.Entry?) {
    self = entry.map { .entry($0.kind, $0.stamp) } ?? .nothing
  }
}
