import FileWatch
import LocalTree
import MirrorModel
import Synchronization
import SystemPackage

/// Reports each lasting condition when it begins and when it ends.
final class ConditionNotices: Sendable {
  private struct State {
    /// Reasons why some part of the tree is compared at every tick.
    var standing: Set<RescanReason> = []
    var isRootLost = false
    /// The comparison after the root's return is not reported again.
    var hasRootReturned = false
    /// Links and special files that were already reported as left out, by kind.
    var leftOut: [EntryKind: Set<RelativePath>] = [:]
    var hasSaidForeign = false
  }

  let name: String
  let journal: Journal
  /// When the watch began, in nanoseconds since 1970-01-01 UTC.
  let start: Int64
  private let state = Mutex(State())

  init(name: String, journal: Journal, start: Int64) {
    self.name = name
    self.journal = journal
    self.start = start
  }

  // MARK: Comparisons in ticks

  /// Reports which parts of the tree this pass compares, and why. A lasting condition is reported once.
  ///
  /// - Parameter isComplete: whether this pass compares every part that needs a comparison.
  func say(
    _ rescans: [RelativePath: RescanReason], in root: TreeRoot, filter: PathFilter, isComplete: Bool = true
  ) {
    let parts = Dictionary(grouping: rescans.keys) { rescans[$0] ?? .collapsed }
    let (begun, ended, isReturn) = state.withLock { state in
      let present = Set(parts.keys.filter(\.isStanding))
      let standing = isComplete ? present : state.standing.union(present)
      defer {
        state.standing = standing
        state.hasRootReturned = false
      }
      return (
        parts.keys.filter { !$0.isStanding || !state.standing.contains($0) },
        state.standing.subtracting(standing), state.hasRootReturned
      )
    }
    for reason in begun {
      if isReturn, reason == .collapsed { continue }
      journal.notice(
        reason.explanation(
          of: (parts[reason] ?? []).sorted(), upload: name, advice: advice(for: reason, root, filter)))
    }
    sayOver(ended)
  }

  /// Reports the conditions that have ended. Used when no pass runs.
  ///
  /// - Parameter standing: the reasons that still hold.
  func sayOver(besides standing: Set<RescanReason>) {
    sayOver(
      state.withLock { state in
        defer { state.standing.formIntersection(standing) }
        return state.standing.subtracting(standing)
      })
  }

  private func sayOver(_ ended: Set<RescanReason>) {
    for reason in ended {
      journal.notice("\(name): \(reason.cause): this is over, and changes are seen as they happen again")
    }
  }

  /// Which limit to raise and to which value: at least the number of directories, because each needs a watch.
  private func advice(for reason: RescanReason, _ root: TreeRoot, _ filter: PathFilter) -> String? {
    var directories = 0
    if reason == .watchLimit {
      directories = 1
      var walk = TreeWalk(root: root, start: .root, filter: filter, symlinks: .skip)
      while let item = walk.next() { if case .directory = item { directories += 1 } }
    }
    return WatchLimits.current().advice(for: reason, watchesNeeded: directories)
  }

  // MARK: What is left out

  /// How many names of each kind are reported in a run. Passes and the report count all of them.
  static let namedSkips = 10

  /// Reports which links and special files are left out, each once.
  func saySkipped(_ found: [SkippedName], symlinks: SymlinkPolicy) {
    guard !found.isEmpty else { return }
    let new: [EntryKind: [RelativePath]] = state.withLock { state in
      var new: [EntryKind: [RelativePath]] = [:]
      for name in found where state.leftOut[name.kind, default: []].count < Self.namedSkips {
        if state.leftOut[name.kind, default: []].insert(name.path).inserted {
          new[name.kind, default: []].append(name.path)
        }
      }
      return new
    }
    for (kind, paths) in new.sorted(by: { $0.value[0] < $1.value[0] }) {
      let why =
        switch (kind, symlinks) {
        case (.symbolicLink, .skip):
          "symbolic links are not followed (--symlinks follow sends what they lead to)"
        case (.symbolicLink, .follow): "symbolic links that lead nowhere, in a circle or out of reach"
        case (.symbolicLink, .pointer):
          "symbolic links that lead to no file inside of the root (--symlinks follow sends what they lead to)"
        case (.symbolicLink, .link): "they are below a symbolic link, which is published itself"
        default: "sockets, pipes and devices hold no content to send"
        }
      journal.notice("\(name): left out: \(paths.map(\.string).joined(separator: ", ")): \(why)")
    }
  }

  // MARK: Other writers

  /// Reports once in a run that another writer uses the prefix, with the first of its objects that a delete
  /// would have removed.
  func sayForeign(_ paths: [RelativePath]) {
    guard !paths.isEmpty else { return }
    let isNew = state.withLock { state in
      defer { state.hasSaidForeign = true }
      return !state.hasSaidForeign
    }
    guard isNew else { return }
    journal.notice("\(name): not deleted: \(named(paths)): \(WithheldReason.foreign)")
  }

  // MARK: The root

  func sayRootLost(_ path: String, because error: any Error) {
    let isNew = state.withLock { state in
      defer { state.isRootLost = true }
      return !state.isRootLost
    }
    guard isNew else { return }
    let isForbidden = (error as? TreeError)?.errno == .permissionDenied
    let fate = isForbidden ? "may not be read any more" : "was deleted, moved away or unmounted"
    journal.notice(
      "\(name): the local root \(path) \(fate) (\(cause(of: error))); nothing is published or deleted until \(isForbidden ? "it may" : "it is back")"
    )
  }

  func sayRootReturned(_ path: String, isThatOfEntry: Bool) {
    state.withLock { state in
      state.isRootLost = false
      state.hasRootReturned = true
    }
    journal.notice(
      isThatOfEntry
        ? "\(name): the local root \(path) is back, and all of it is compared with S3"
        : "\(name): another directory is at \(path) now; what it holds is published, and nothing is deleted in this run"
    )
  }

  /// Reports a symbolic link that is skipped.
  func saySkipped(link: RelativePath, symlinks: SymlinkPolicy) {
    saySkipped([SkippedName(path: link, kind: .symbolicLink)], symlinks: symlinks)
  }
}

extension RescanReason {
  /// What happened.
  var cause: String {
    switch self {
    case .queueOverflow: "the kernel's event queue overflowed"
    case .watchLimit: "the limit of inotify watches is reached"
    case .instanceLimit: "the limit of inotify instances is reached"
    case .unwatchedFilesystem(let kind): "inotify does not see other machines' writes on \(kind)"
    case .unreadable(let code): "it cannot be watched (errno \(code))"
    case .followedLink: "inotify does not follow symbolic links"
    case .remounted: "a filesystem was mounted or unmounted there"
    case .collapsed: "too many paths changed at once"
    }
  }

  /// What happened, what it costs while it lasts, and what the user can do.
  func explanation(of directories: [RelativePath], upload: String, advice: String?) -> String {
    let first = directories.first.map { $0.isRoot ? "the tree" : "\($0)" } ?? "nothing"
    let part =
      directories.count > 1
      ? "\(first) and \(directories.count - 1) more \(self == .followedLink ? "links" : "directories")"
      : first
    let verb = directories.count > 1 ? "are" : "is"
    let when = isStanding ? "at every tick" : "at this tick"
    return "\(upload): \(part) \(verb) compared with S3 \(when): \(cause)" + (advice.map { "; \($0)" } ?? "")
  }
}
