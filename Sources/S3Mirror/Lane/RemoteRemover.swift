import LocalTree
import MirrorModel
import S3Client

/// Removes objects whose file is gone, as far as SPEC 5's guard lets it.
///
/// Before a batch the root must be the directory that it was at entry, and each path is looked at again: only ENOENT
/// or ENOTDIR below the root is absence, or a directory that has taken a file's name.
struct RemoteRemover: Sendable {
  struct Outcome: Sendable {
    var deleted: [RelativePath] = []
    var withheld: [RelativePath: WithheldReason] = [:]
    var failed: [RelativePath: String] = [:]
  }

  /// DeleteObjects takes at most this many keys (Amazon S3 API reference, DeleteObjects).
  static let batchSize = 1000

  let name: String
  let root: TreeRoot
  let mapping: KeyMapping
  let store: any ObjectStore
  var bound: DeleteBound
  let journal: Journal
  let ledger: PublishedLedger
  /// Markers go before what they name, so that no reader follows one to a file that is gone.
  var commitOrder: CommitOrder?

  /// - Parameters:
  ///   - candidates: paths whose objects are superfluous; a trailing slash names a directory marker.
  ///   - objectCount: how many objects lie under the prefix.
  ///   - moved: paths whose content is on S3 under its new name: their deletes lose nothing, so the bound does not
  ///     count them.
  func remove(_ candidates: [RelativePath], of objectCount: Int, moved: Set<RelativePath> = []) async
    -> Outcome
  {
    var outcome = Outcome()
    guard !candidates.isEmpty else { return outcome }
    guard root.isUnchanged else {
      for path in candidates { outcome.withheld[path] = .rootUnavailable }
      return outcome
    }
    var absent = stillAbsent(candidates, noting: &outcome)
    let lost = absent.filter { !moved.contains($0) }
    if case .withheld(let reason) = DeleteGuard.judge(
      deletes: lost.count, objects: max(objectCount, absent.count), bound: bound)
    {
      for path in lost { outcome.withheld[path] = reason }
      absent.removeAll { !moved.contains($0) }
    }
    let (markers, others) = absent.partitioned { commitOrder?.isMarker($0) ?? false }
    // From the top down: a marker further up speaks for those below it.
    await removeAll(markers.sorted { $0.ancestors.count < $1.ancestors.count }, noting: &outcome)
    let left = markers.filter { outcome.failed[$0] != nil }
    let (held, free) = others.partitioned { path in left.contains { path.isWithin($0.parent) } }
    for path in held { outcome.failed[path] = "a marker that names it could not be deleted first" }
    await removeAll(free, noting: &outcome)
    return outcome
  }

  private func removeAll(_ paths: [RelativePath], noting outcome: inout Outcome) async {
    for start in stride(from: 0, to: paths.count, by: Self.batchSize) {
      let batch = Array(paths[start..<min(start + Self.batchSize, paths.count)])
      await remove(batch: batch, noting: &outcome)
    }
  }

  private func stillAbsent(_ candidates: [RelativePath], noting outcome: inout Outcome) -> [RelativePath] {
    var absent: [RelativePath] = []
    for path in candidates {
      do {
        if try root.isAbsent(forObjectAt: path) {
          absent.append(path)
        } else if !path.hasTrailingSlash {
          outcome.withheld[path] = .stillPresent
        }
      } catch {
        outcome.withheld[path] = .unseen(path)
      }
    }
    return absent
  }

  private func remove(batch: [RelativePath], noting outcome: inout Outcome) async {
    // Immediately before the request: a file that came back in the meantime keeps its object.
    let batch = batch.filter { path in
      do { return try root.isAbsent(forObjectAt: path) } catch { return false }
    }
    let (plain, odd) = batch.partitioned { DeleteObjects.canCarry(mapping.key(for: $0)) }
    if !plain.isEmpty { await removeTogether(plain, noting: &outcome) }
    for path in odd { await removeAlone(path, noting: &outcome) }
  }

  private func removeTogether(_ paths: [RelativePath], noting outcome: inout Outcome) async {
    do {
      let answer = try await store.send(DeleteObjects(keys: paths.map { mapping.key(for: $0) }))
      let errors = Dictionary(
        answer.failures.map { (RelativePath($0.key ?? ""), String(describing: $0)) },
        uniquingKeysWith: { $1 })
      for path in paths {
        let key = mapping.key(for: path)
        if let reason = errors[RelativePath(key)] {
          outcome.failed[path] = reason
          journal.failed(.delete, mirror: name, path: path, key: key, error: reason)
        } else {
          noteDeleted(path, key: key, in: &outcome)
        }
      }
    } catch {
      for path in paths {
        outcome.failed[path] = cause(of: error)
        journal.failed(.delete, mirror: name, path: path, key: mapping.key(for: path), error: error)
      }
    }
  }

  /// Keys with characters that XML 1.0 cannot carry go by single DELETE.
  private func removeAlone(_ path: RelativePath, noting outcome: inout Outcome) async {
    let key = mapping.key(for: path)
    do {
      _ = try await store.send(DeleteObject(key: key))
      noteDeleted(path, key: key, in: &outcome)
    } catch {
      outcome.failed[path] = cause(of: error)
      journal.failed(.delete, mirror: name, path: path, key: key, error: error)
    }
  }

  private func noteDeleted(_ path: RelativePath, key: String, in outcome: inout Outcome) {
    outcome.deleted.append(path)
    ledger.forget(path)
    journal.deleted(mirror: name, path: path, key: key)
  }
}

extension TreeRoot {
  /// Whether nothing here stands for the object of this path, a trailing slash naming a directory marker: only ENOENT
  /// or ENOTDIR is absence, or a directory that has taken a file's name, whose own files are published by then; or a file
  /// that has taken a directory's.
  func isAbsent(forObjectAt path: RelativePath) throws(TreeError) -> Bool {
    guard let entry = try look(at: path.withoutTrailingSlash) else { return true }
    return entry.kind == (path.hasTrailingSlash ? .file : .directory)
  }
}

extension RelativePath {
  /// Names a directory marker, an object whose key ends in `/`.
  var hasTrailingSlash: Bool { string.utf8.last == UInt8(ascii: "/") }

  var withoutTrailingSlash: RelativePath {
    hasTrailingSlash ? RelativePath(String(Substring(string.utf8.dropLast()))) : self
  }
}

extension Array {
  /// The elements that satisfy the condition, and the others, each in their order.
  func partitioned(by isFirst: (Element) -> Bool) -> ([Element], [Element]) {
    var (first, second): ([Element], [Element]) = ([], [])
    for element in self {
      if isFirst(element) { first.append(element) } else { second.append(element) }
    }
    return (first, second)
  }
}
