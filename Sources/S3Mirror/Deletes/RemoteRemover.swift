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

  /// - Parameters:
  ///   - candidates: paths of files and directory markers whose objects are superfluous.
  ///   - objectCount: how many objects lie under the prefix.
  ///   - moved: paths whose content is on S3 under its new name: their deletes lose nothing, so the bound does not
  ///     count them.
  ///   - listed: ETags that a listing told, for the condition.
  ///   - known: paths that are known to have objects.
  func remove(
    _ candidates: [RelativePath], of objectCount: Int, moved: Set<RelativePath> = [],
    listed: [RelativePath: String] = [:], known: Set<RelativePath> = []
  ) async -> Outcome {
    var outcome = Outcome()
    guard !candidates.isEmpty else { return outcome }
    guard root.isUnchanged else {
      for path in candidates { outcome.withheld[path] = .rootUnavailable }
      return outcome
    }
    var absent = stillAbsent(candidates, noting: &outcome)
    var lost = Set(absent.filter { !moved.contains($0) && !isFree($0) })
    if case .withheld = judge(lost.count, of: max(objectCount, absent.count)) {
      let needless = await withoutObject(lost, known: known.union(listed.keys))
      outcome.needless = Array(needless)
      absent.removeAll(where: needless.contains)
      lost.subtract(needless)
      if case .withheld(let reason) = judge(lost.count, of: max(objectCount, absent.count)) {
        for path in lost { outcome.withheld[path] = reason }
        absent.removeAll(where: lost.contains)
      }
    }
    let (markers, others) = absent.partitioned { commitOrder?.isMarker($0) ?? false }
    // From the top down: a marker further up speaks for those below it.
    await removeAll(
      markers.sorted { $0.ancestors.count < $1.ancestors.count }, listed: listed, noting: &outcome)
    let left = markers.filter { outcome.failed[$0] != nil || outcome.withheld[$0] != nil }
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
    await removeAll(free, listed: listed, noting: &outcome)
    await removeAll(
      marks.filter { !isLeft($0, noting: &outcome) }, listed: listed, noting: &outcome)
    return outcome
  }

  /// Whether an in-progress mark stays because an object stays for which it speaks.
  private func isLeft(_ mark: RelativePath, noting outcome: inout Outcome) -> Bool {
    guard let marks = commitOrder?.marks else { return false }
    if let (_, reason) = outcome.withheld.first(where: { marks.speaks(mark, for: $0.key) }) {
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
  /// those are matters only where the bound would be exceeded: it costs a listing.
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
      return missing
    } catch {
      // What cannot be listed may be there.
      return []
    }
  }

  private func removeAll(
    _ paths: [RelativePath], listed: [RelativePath: String], noting outcome: inout Outcome
  ) async {
    for start in stride(from: 0, to: paths.count, by: Self.batchSize) {
      let batch = Array(paths[start..<min(start + Self.batchSize, paths.count)])
      await remove(batch: batch, listed: listed, noting: &outcome)
    }
  }

  /// - Parameter looks: at the most so many, while something is mounted or unmounted on the machine during each. It need not be
  ///   below the root.
  private func stillAbsent(
    _ candidates: [RelativePath], noting outcome: inout Outcome, looks: Int = 3
  ) -> [RelativePath] {
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

  private func remove(
    batch: [RelativePath], listed: [RelativePath: String], noting outcome: inout Outcome
  ) async {
    let batch = await withoutForeignMarkers(batch, listed: listed, noting: &outcome)
    let targets = await targets(of: batch, listed: listed, noting: &outcome)
    // Immediately before the request: a file that came back in the meantime keeps its object.
    let absent = Set(stillAbsent(targets.map(\.path), noting: &outcome))
    let (plain, odd) = targets.filter { absent.contains($0.path) }.partitioned {
      DeleteObjects.canCarry($0.key)
    }
    let left = await removeTogether(plain, noting: &outcome)
    await removeAlone(odd + left, noting: &outcome)
  }

  /// Leaves out what only looks like a directory's marker. Those that this run wrote or listed are known to be empty; the others, whose
  /// directory was seen to go, are looked at: one with content is another program's.
  private func withoutForeignMarkers(
    _ paths: [RelativePath], listed: [RelativePath: String], noting outcome: inout Outcome
  ) async -> [RelativePath] {
    let (unknown, others) = paths.partitioned {
      DirectoryMarker($0) != nil && ledger.etag(of: $0) == nil && listed[$0] == nil
    }
    guard !unknown.isEmpty else { return paths }
    let answers = await concurrentEach(unknown, width: Self.headsInFlight) { [store, mapping] path in
      (path, await Self.head(of: mapping.key(for: path), in: store))
    }
    var left = others
    for (path, answer) in answers {
      switch answer {
      case .success(let head) where head.byteCount > 0: outcome.withheld[path] = .markerWithContent
      case .success: left.append(path)
      case .failure(let error as S3Error) where error.isMissingKey:
        // There is nothing to delete.
        outcome.deleted.append(path)
      case .failure(let error):
        note(error, on: Target(path: path, key: mapping.key(for: path)), in: &outcome)
      }
    }
    return left
  }

  /// One object on its way out.
  private struct Target: Sendable {
    var path: RelativePath
    var key: String
    /// What it must still be; nil where nothing is asked.
    var etag: String?
  }

  /// What this run published speaks before what was listed: the listing may already show what somebody else wrote.
  private func targets(
    of paths: [RelativePath], listed: [RelativePath: String], noting outcome: inout Outcome
  ) async -> [Target] {
    if condition == .none { return paths.map { Target(path: $0, key: mapping.key(for: $0)) } }
    let known = paths.map { path in
      Target(path: path, key: mapping.key(for: path), etag: ledger.etag(of: path) ?? listed[path])
    }
    let (ready, unknown) = known.partitioned { $0.etag != nil }
    let answers = await concurrentEach(unknown, width: Self.headsInFlight) { [store] target in
      (target, await Self.head(of: target.key, in: store))
    }
    var targets = ready
    for (target, answer) in answers {
      switch answer {
      case .success(let head): targets.append(Target(path: target.path, key: target.key, etag: head.etag))
      case .failure(let error): note(error, on: target, in: &outcome)
      }
    }
    return targets
  }

  private static func head(of key: String, in store: any ObjectStore) async -> Result<ObjectHead, any Error> {
    do {
      return .success(try await store.send(HeadObject(key: key)))
    } catch {
      return .failure(error)
    }
  }

  /// For files that an earlier run published and whose directory was not listed.
  private static let headsInFlight = 10

  /// - Returns: what must go by single DELETE: all of it where the server takes no DeleteObjects, and each key of which its answer says
  ///   nothing or something that is worth another try.
  private func removeTogether(_ targets: [Target], noting outcome: inout Outcome) async -> [Target] {
    guard !targets.isEmpty else { return [] }
    guard deletes.takesMany else { return targets }
    var left: [Target] = []
    do {
      let answer = try await store.send(
        DeleteObjects(targets.map { .init(key: $0.key, ifMatch: $0.etag) }))
      let errors = Dictionary(
        answer.failures.map { (RelativePath($0.key ?? ""), $0) }, uniquingKeysWith: { $1 })
      for target in targets {
        if let error = errors[RelativePath(target.key)] {
          if error.isRetryable { left.append(target) } else { note(error, on: target, in: &outcome) }
        } else {
          noteDeleted(target, in: &outcome)
        }
      }
    } catch let error as S3Error where S3ErrorTriage.refusesOperation(error) {
      deletes.noteRefusal()
      return targets
    } catch {
      for target in targets { note(error, on: target, in: &outcome) }
    }
    return left
  }

  /// By single DELETE: keys with characters that XML 1.0 cannot carry, and what could not go with others.
  ///
  /// A few at a time, each few looked at just before: a file that came back in the meantime keeps its object.
  private func removeAlone(_ targets: [Target], noting outcome: inout Outcome) async {
    for start in stride(from: 0, to: targets.count, by: Self.headsInFlight) {
      guard root.isUnchanged else {
        for target in targets[start...] { outcome.withheld[target.path] = .rootUnavailable }
        return
      }
      let few = targets[start..<min(start + Self.headsInFlight, targets.count)]
      let absent = Set(stillAbsent(few.map(\.path), noting: &outcome))
      let ready = few.filter { absent.contains($0.path) }
      let answers = await concurrentEach(ready, width: Self.headsInFlight) { [store] target in
        (target, await Self.delete(target, in: store))
      }
      for (target, answer) in answers {
        switch answer {
        case .success: noteDeleted(target, in: &outcome)
        case .failure(let error): note(error, on: target, in: &outcome)
        }
      }
    }
  }

  private static func delete(_ target: Target, in store: any ObjectStore) async -> Result<Void, any Error> {
    do {
      _ = try await store.send(DeleteObject(key: target.key, ifMatch: target.etag))
      return .success(())
    } catch {
      return .failure(error)
    }
  }

  private func note(_ error: any Error, on target: Target, in outcome: inout Outcome) {
    if condition == .ifMatch, let error = error as? S3Error {
      // An object that is gone cannot match: what was asked for is so.
      if error.isMissingKey { return noteDeleted(target, in: &outcome) }
      if error.isPreconditionFailed {
        outcome.withheld[target.path] = .replaced
        return
      }
    }
    outcome.failed[target.path] = FailureReason(error)
    if FailureScope(error) == .service { outcome.unreachable.insert(target.path) }
    journal.failed(.delete, mirror: name, path: target.path, key: target.key, error: error)
  }

  private func noteDeleted(_ target: Target, in outcome: inout Outcome) {
    outcome.deleted.append(target.path)
    ledger.forget(target.path)
    journal.deleted(mirror: name, path: target.path, key: target.key)
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
