import LocalTree
import MirrorModel
import S3Client

/// Removes objects whose file is gone, as far as the guard allows it (DEL-3, DEL-6).
///
/// Before a batch the root must be the directory that it was at entry, and each path is looked at again: only ENOENT
/// or ENOTDIR below the root is absence, or a directory that has taken a file's name; and neither is where a filesystem was
/// unmounted, or mounted over the files.
struct RemoteRemover: Sendable {
  struct Outcome: Sendable {
    var deleted: [RelativePath] = []
    /// What is there, after all.
    var kept: [RelativePath] = []
    /// What has no object, so that nothing was to be deleted.
    var needless: [RelativePath] = []
    var withheld: [RelativePath: WithheldReason] = [:]
    var failed: [RelativePath: FailureReason] = [:]
    /// Those of the failed paths whose requests the service did not answer.
    var unreachable: Set<RelativePath> = []
  }

  /// DeleteObjects takes at most this many keys (Amazon S3 API reference, DeleteObjects).
  static let batchSize = 1000
  /// Withheld deletes of a pass that are named; the others are counted only.
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
  /// Markers go before what they name, so that no reader follows one to a file that is gone; in-progress marks go after what they speak
  /// for, so that no reader takes a half that is left for a whole.
  var commitOrder: CommitOrder?
  var hiddenPlaces: HiddenPlaces = { _ in TreeMounts.View() }
  /// Finds out whose the objects are; nil where that does not matter.
  var writers: WriterCheck?
  var freshness = Freshness.listedNow
  var grounds = Grounds.absence

  /// Why the objects are superfluous.
  enum Grounds: Sendable {
    /// Their files are gone here, which is looked at again before each request.
    case absence
    /// They belong to an old checkpoint, whatever lies here.
    case retention
  }

  /// How old a listing is that the caller passes.
  enum Freshness: Sendable {
    /// Objects in it need not be looked at again.
    case listedNow
    /// Files were published since.
    case listedBefore
  }

  /// - Parameters:
  ///   - candidates: paths of files and directory markers whose objects are superfluous.
  ///   - objectCount: how many objects lie under the prefix.
  ///   - moved: paths whose content is on S3 under its new name: their deletes lose nothing, so the bound does not
  ///     count them.
  ///   - listed: what a listing has just told.
  ///   - known: paths that are known to have objects.
  func remove(
    _ candidates: [RelativePath], of objectCount: Int, moved: Set<RelativePath> = [],
    listed: [RelativePath: RemoteObject] = [:], known: Set<RelativePath> = []
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
      // Objects of another writer do not count.
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
    // From the top down: a marker further up speaks for those below it.
    await removeAll(
      markers.sorted { $0.ancestors.count < $1.ancestors.count }, listed: listed, noting: &outcome)
    // Another writer's marker holds nothing back: whose the data are is found out object by object.
    let left = markers.filter { path in
      outcome.failed[path] != nil || outcome.withheld[path].map { $0 != .foreign } ?? false
    }
    let (marks, data) = others.partitioned { commitOrder?.marks.contains($0) ?? false }
    let (held, free) = data.partitioned { path in left.contains { path.isWithin($0.parent) } }
    for path in held {
      // Somebody else's marker may name what somebody else has put here.
      let reasons = left.lazy.filter { path.isWithin($0.parent) }.compactMap { outcome.withheld[$0] }
      if let reason = reasons.first {
        outcome.withheld[path] = reason
      } else {
        outcome.failed[path] = "a marker that names it could not be deleted first"
      }
    }
    // In the order of a listing, so that the objects of a batch lie together.
    await removeAll(free.sorted(), listed: listed, noting: &outcome)
    await removeAll(
      marks.filter { !isLeft($0, noting: &outcome) }, listed: listed, noting: &outcome)
    return outcome
  }

  /// Whether an in-progress mark stays because an object stays for which it speaks. Another writer's objects do not count.
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

  /// Whether the standard bound says nothing of the path: while the root stands, a run may delete what it has published
  /// itself. A number that the user gave holds for everything.
  private func isFree(_ path: RelativePath) -> Bool {
    bound == .standard && ledger.isPublished(path)
  }

  /// The paths that have no object. Names that came and went before they were published count for nothing, and which
  /// those are matters only where the bound would be exceeded: it costs a listing, and one HeadObject for each name that
  /// the listing lacks although an object was there.
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
      // What cannot be listed may be there.
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
    // Nothing has happened under a name that an earlier pass withheld, so what was found then still holds.
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

  /// - Parameter looks: at the most so many, while something is mounted or unmounted on the machine during each. It need not be
  ///   below the root.
  func stillAbsent(
    _ candidates: [RelativePath], noting outcome: inout Outcome, looks: Int = 3
  ) -> [RelativePath] {
    if grounds == .retention { return candidates }
    do {
      let before = try hiddenPlaces(root)
      var looked = outcome
      let absent = look(at: candidates, noting: &looked)
      // A path may have been looked at while something was mounted there that is gone again.
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
  /// Whether nothing here stands for the object of this path, which may be a directory marker's: only ENOENT
  /// or ENOTDIR is absence, or a directory that has taken a file's name, whose own files are published by then; or a file
  /// that has taken a directory's. A link that is not followed stands for all objects below its name.
  func isAbsent(forObjectAt path: RelativePath) throws(TreeError) -> Bool {
    let marker = DirectoryMarker(path)
    let found: TreeRoot.Entry?
    do {
      found = try look(at: marker?.directory ?? path)
    } catch {
      if error.linkAbove != nil { return false }
      throw error
    }
    guard let entry = found else { return symlinks == .skip ? true : try !isBehindLostTarget(path) }
    return entry.kind == (marker == nil ? .directory : .file)
  }
}

extension TreeRoot {
  /// Whether a followed link above the path leads nowhere: what it led to was lost, not deleted here.
  private func isBehindLostTarget(_ path: RelativePath) throws(TreeError) -> Bool {
    for directory in path.ancestors where !directory.isRoot {
      // The nearest that is there tells.
      if let entry = try look(at: directory) { return entry.kind == .symbolicLink }
    }
    return false
  }
}
