import LocalTree
import MirrorModel
import S3Client

/// Removes objects whose file is gone, within the guard (DEL-3, DEL-6).
///
/// Before each batch, the root must be the same directory as at entry, and each path is checked again. A path
/// counts as absent only after ENOENT or ENOTDIR below the root, or if a directory has taken a file's name. A
/// path where a filesystem was unmounted, or mounted over the files, does not count as absent.
struct RemoteRemover: Sendable {
  struct Outcome: Sendable {
    var deleted: [RelativePath] = []
    /// Paths whose file exists after all.
    var kept: [RelativePath] = []
    /// Paths without an object, so there was nothing to delete.
    var needless: [RelativePath] = []
    var withheld: [RelativePath: WithheldReason] = [:]
    var failed: [RelativePath: FailureReason] = [:]
    /// The failed paths whose requests had no answer.
    var unreachable: Set<RelativePath> = []
  }

  /// DeleteObjects takes at most this many keys (Amazon S3 API reference, DeleteObjects).
  static let batchSize = 1000
  /// How many withheld deletes of a pass are named. The others are only counted.
  static let namedWithheld = 1_000

  let name: String
  let root: TreeRoot
  let mapping: KeyMapping
  let store: any ObjectStore
  var bound: DeleteBound
  let journal: Journal
  let ledger: PublishedLedger
  var deletes = DeleteSupport()
  var condition = Options.DeleteCondition.none
  /// Markers are deleted before the files that they name, so that a reader of a marker finds all files.
  /// In-progress marks are deleted after the files that they name, so that no reader takes the remaining
  /// files for complete.
  var commitOrder: CommitOrder?
  var hiddenPlaces: HiddenPlaces = { _ in TreeMounts.View() }
  /// Finds the writers of objects; nil if any object may be deleted.
  var writers: WriterCheck?
  /// Receives each path whose object is gone because its file is.
  var whenGone: @Sendable (RelativePath) -> Void = { _ in }
  var freshness = Freshness.listedNow
  var grounds = Grounds.absence

  /// Why the objects are superfluous.
  enum Grounds: Sendable {
    /// Their files are gone here. This is checked again before each request.
    case absence
    /// They belong to an old checkpoint, even if its files still exist here.
    case retention
  }

  /// The age of the listing that the caller passes.
  enum Freshness: Sendable {
    /// The listing is fresh, so its objects need no further check.
    case listedNow
    /// Files were published after the listing.
    case listedBefore
  }

  /// In a group, objects of other members are left without a word.
  ///
  /// - Parameters:
  ///   - candidates: paths of files and directory markers whose objects are superfluous.
  ///   - objectCount: the number of objects under the prefix.
  ///   - moved: paths whose content is on S3 under its new name. Their deletes lose nothing, so the bound
  ///     does not count them.
  ///   - listed: objects from the caller's listing.
  ///   - known: paths that are known to have objects.
  func remove(
    _ candidates: [RelativePath], of objectCount: Int, moved: Set<RelativePath> = [],
    listed: [RelativePath: RemoteObject] = [:], known: Set<RelativePath> = []
  ) async -> Outcome {
    var outcome = await removeOwn(candidates, of: objectCount, moved: moved, listed: listed, known: known)
    guard writers?.sharing == .group else { return outcome }
    for (path, reason) in outcome.withheld where reason == .foreign {
      outcome.withheld[path] = nil
      outcome.needless.append(path)
    }
    return outcome
  }

  private func removeOwn(
    _ candidates: [RelativePath], of objectCount: Int, moved: Set<RelativePath>,
    listed: [RelativePath: RemoteObject], known: Set<RelativePath>
  ) async -> Outcome {
    var outcome = Outcome()
    guard !candidates.isEmpty else { return outcome }
    guard root.isUnchanged else {
      for path in candidates { outcome.withheld[path] = .rootUnavailable }
      return outcome
    }
    var absent = stillAbsent(candidates, noting: &outcome)
    absent = await withoutForeign(absent, listed: listed, known: known, noting: &outcome)
    var lost = Set(absent.filter { !moved.contains($0) && !isFree($0) })
    if case .withheld = judge(lost.count, of: max(objectCount, absent.count)) {
      let needless = await withoutObject(lost, known: known.union(listed.keys))
      outcome.needless = Array(needless)
      absent.removeAll(where: needless.contains)
      lost.subtract(needless)
      // The bound does not count objects of other writers.
      let foreign = await foreign(among: lost.subtracting(known).subtracting(listed.keys))
      for path in foreign { outcome.withheld[path] = .foreign }
      absent.removeAll(where: foreign.contains)
      lost.subtract(foreign)
      if case .withheld(let reason) = judge(lost.count, of: max(objectCount, absent.count)) {
        for path in lost { outcome.withheld[path] = reason }
        absent.removeAll(where: lost.contains)
      }
    }
    let (markers, others) = absent.partitioned { commitOrder?.isMarker($0) ?? false }
    // From the root down: a marker further up refers to the markers below it.
    await removeAll(
      markers.sorted { $0.ancestors.count < $1.ancestors.count }, listed: listed, noting: &outcome)
    // Another writer's marker holds no data back. Each data object is checked for its own writer.
    let left = markers.filter { path in
      outcome.failed[path] != nil || outcome.withheld[path].map { $0 != .foreign } ?? false
    }
    let (marks, data) = others.partitioned { commitOrder?.marks.contains($0) ?? false }
    let (held, free) = data.partitioned { path in left.contains { path.isWithin($0.parent) } }
    for path in held {
      // Another writer's marker may name objects of that writer.
      let reasons = left.lazy.filter { path.isWithin($0.parent) }.compactMap { outcome.withheld[$0] }
      if let reason = reasons.first {
        outcome.withheld[path] = reason
      } else {
        outcome.failed[path] = "a marker that names it could not be deleted first"
      }
    }
    // In the order of a listing, so that a batch holds neighbouring objects.
    await removeAll(free.sorted(), listed: listed, noting: &outcome)
    await removeAll(
      marks.filter { !isLeft($0, noting: &outcome) }, listed: listed, noting: &outcome)
    return outcome
  }

  /// Whether an in-progress mark has to stay because an object that it names stays. Objects of other writers
  /// do not count.
  private func isLeft(_ mark: RelativePath, noting outcome: inout Outcome) -> Bool {
    guard let marks = commitOrder?.marks else { return false }
    if let (_, reason) = outcome.withheld.first(where: { $1 != .foreign && marks.speaks(mark, for: $0) }) {
      outcome.withheld[mark] = reason
      return true
    }
    guard outcome.failed.keys.contains(where: { marks.speaks(mark, for: $0) }) else { return false }
    outcome.failed[mark] = "what it speaks for could not be deleted first"
    return true
  }

  private func judge(_ deletes: Int, of objectCount: Int) -> DeleteGuard.Verdict {
    DeleteGuard.judge(deletes: deletes, of: objectCount, bound: bound)
  }

  /// Whether the standard bound does not count the path. While the root is unchanged, a run may delete the
  /// objects that it published itself. A number that the user set counts every path.
  private func isFree(_ path: RelativePath) -> Bool {
    bound == .standard && ledger.isPublished(path)
  }

  /// The paths without an object. A name that was deleted before it was published must not count. These names
  /// matter only if the bound would be exceeded, because finding them costs a listing, plus one HeadObject
  /// for each unlisted name that once had an object.
  private func withoutObject(_ paths: Set<RelativePath>, known: Set<RelativePath>) async -> Set<RelativePath>
  {
    var missing = paths.subtracting(known)
    guard let first = missing.first else { return [] }
    var common = first.parent
    for path in missing { while !path.isWithin(common) { common = common.parent } }
    let prefix = common.isRoot ? mapping.listingPrefix : mapping.key(for: common) + "/"
    do {
      try await Listing(store: store, prefix: prefix).forEachPage { page in
        for object in page.content.objects {
          if let path = mapping.path(forKey: object.key) { missing.remove(path) }
        }
        return !missing.isEmpty
      }
      let (remembered, absent) = Array(missing).partitioned { writers?.remembers($0) ?? false }
      let answers = await concurrentEach(remembered, width: Self.headsInFlight) { [store, mapping] path in
        (path, await Self.head(of: mapping.key(for: path), in: store))
      }
      return Set(absent + answers.compactMap { path, answer in answer.isMissingKey ? path : nil })
    } catch {
      // If the listing fails, every object may exist.
      return []
    }
  }

  // MARK: Other writers' objects

  private func withoutForeign(
    _ paths: [RelativePath], listed: [RelativePath: RemoteObject], known: Set<RelativePath>,
    noting outcome: inout Outcome
  ) async -> [RelativePath] {
    guard let writers else { return paths }
    var left = paths
    // An earlier pass withheld these names, and nothing changed under them since. So its finding still holds.
    left.removeAll { path in
      guard known.contains(path), writers.foreign.contains(path) else { return false }
      outcome.withheld[path] = .foreign
      return true
    }
    guard freshness == .listedNow, !listed.isEmpty else { return left }
    var doubts = WriterCheck.mostDoubts
    let findings = await writers.judge(
      left.compactMap { path in listed[path].map { (path, $0) } }, doubts: &doubts)
    return left.filter { path in
      switch findings[path] {
      case .foreign(let object)?:
        writers.foreign.note(path, object)
        outcome.withheld[path] = .foreign
        return false
      case .unknown(let error)?:
        note(error, on: Target(path: path, key: mapping.key(for: path)), in: &outcome)
        return false
      case .mayGo?, .absent?, nil: return true
      }
    }
  }

  private func foreign(among paths: Set<RelativePath>) async -> Set<RelativePath> {
    guard let writers, !paths.isEmpty else { return [] }
    return Set(
      await writers.look(at: Array(paths)).compactMap { path, finding in
        if case .foreign = finding { path } else { nil }
      })
  }

  private func removeAll(
    _ paths: [RelativePath], listed: [RelativePath: RemoteObject], noting outcome: inout Outcome
  ) async {
    for start in stride(from: 0, to: paths.count, by: Self.batchSize) {
      let batch = Array(paths[start..<min(start + Self.batchSize, paths.count)])
      await remove(batch: batch, listed: listed, noting: &outcome)
    }
  }

  /// - Parameter looks: the largest number of tries. A try is repeated if a filesystem was mounted or
  ///   unmounted during it, anywhere on the machine.
  func stillAbsent(
    _ candidates: [RelativePath], noting outcome: inout Outcome, looks: Int = 3
  ) -> [RelativePath] {
    if grounds == .retention { return candidates }
    do {
      let before = try hiddenPlaces(root)
      var looked = outcome
      let absent = look(at: candidates, noting: &looked)
      // A filesystem may have been mounted over a path and unmounted again during the check.
      let after = try hiddenPlaces(root)
      if before.changes != after.changes, looks > 1 {
        return stillAbsent(candidates, noting: &outcome, looks: looks - 1)
      }
      outcome = looked
      return absent.filter { path in
        guard let place = after.hidden.outermost(around: path) else { return true }
        outcome.withheld[path] = .remounted(place)
        return false
      }
    } catch {
      for path in candidates { outcome.withheld[path] = .unseen(.root) }
      return []
    }
  }

  private func look(at candidates: [RelativePath], noting outcome: inout Outcome) -> [RelativePath] {
    var absent: [RelativePath] = []
    for path in candidates {
      do {
        if try root.isAbsent(forObjectAt: path) {
          absent.append(path)
        } else if DirectoryMarker(path) == nil {
          outcome.kept.append(path)
        }
      } catch {
        outcome.withheld[path] = .unseen(path)
      }
    }
    return absent
  }
}

extension TreeRoot {
  /// Whether no local file or directory corresponds to the object of this path. The object may be a directory
  /// marker. Absence means ENOENT or ENOTDIR, or a directory under a file's name (its own files are published
  /// by then), or a file under a directory's name. A symbolic link that is not followed protects all objects
  /// below its name.
  func isAbsent(forObjectAt path: RelativePath) throws(TreeError) -> Bool {
    let marker = DirectoryMarker(path)
    let found: TreeRoot.Entry?
    do {
      found = try look(at: marker?.directory ?? path)
    } catch {
      if error.linkAbove != nil { return false }
      throw error
    }
    guard let entry = found else { return symlinks == .follow ? try !isBehindLostTarget(path) : true }
    return entry.kind == (marker == nil ? .directory : .file)
  }
}

extension TreeRoot {
  /// Whether a followed link above the path has lost its target. Then the target's files were not deleted
  /// here.
  private func isBehindLostTarget(_ path: RelativePath) throws(TreeError) -> Bool {
    for directory in path.ancestors where !directory.isRoot {
      // The nearest existing directory decides.
      if let entry = try look(at: directory) { return entry.kind == .symbolicLink }
    }
    return false
  }
}
