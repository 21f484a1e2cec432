import LocalTree
import MirrorModel
import S3Client

// The requests, and the checks just before each of them.
extension RemoteRemover {
  func remove(
    batch: [RelativePath], listed: [RelativePath: RemoteObject], noting outcome: inout Outcome
  ) async {
    var listed = listed
    let looked = await looked(at: batch, listed: &listed, noting: &outcome)
    let batch = await withoutForeignMarkers(looked, listed: listed, noting: &outcome)
    let targets = await targets(of: batch, listed: listed, noting: &outcome)
    // This check comes immediately before the request, so a file that came back keeps its object.
    let absent = Set(stillAbsent(targets.map(\.path), noting: &outcome))
    let (plain, odd) = targets.filter { absent.contains($0.path) }.partitioned {
      DeleteObjects.canCarry($0.key)
    }
    let left = await removeTogether(plain, noting: &outcome)
    await removeAlone(odd + left, noting: &outcome)
  }

  /// Leaves out objects of other writers and keys without an object. A fresh listing already answers for its
  /// objects.
  private func looked(
    at paths: [RelativePath], listed: inout [RelativePath: RemoteObject], noting outcome: inout Outcome
  ) async -> [RelativePath] {
    guard let writers else { return paths }
    if freshness == .listedBefore { listed = [:] }
    let findings = await writers.look(at: paths.filter { listed[$0] == nil })
    return paths.filter { path in
      switch findings[path] {
      case nil: return true
      case .mayGo(let object)? where DirectoryMarker(path) != nil && object.byteCount > 0:
        outcome.withheld[path] = .markerWithContent
      case .mayGo(let object)?:
        listed[path] = object
        return true
      case .foreign?: outcome.withheld[path] = .foreign
      case .absent?:
        outcome.needless.append(path)
        noteGone(path)
      case .unknown(let error)?:
        note(error, on: Target(path: path, key: mapping.key(for: path)), in: &outcome)
      }
      return false
    }
  }

  /// The ETag that the object must have. If the writer check has just found the object to be ours, its
  /// listing counts first. Otherwise the published ETag counts first, because a listing may show another
  /// writer's object.
  private func etag(of path: RelativePath, _ listed: [RelativePath: RemoteObject]) -> String? {
    let published = ledger.etag(of: path)
    return writers == nil ? published ?? listed[path]?.etag : listed[path]?.etag ?? published
  }

  /// Leaves out objects with content under a directory marker's key: another program wrote them. Markers that
  /// this run wrote or listed are known to be empty; the others are checked with HeadObject.
  private func withoutForeignMarkers(
    _ paths: [RelativePath], listed: [RelativePath: RemoteObject], noting outcome: inout Outcome
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
        // There is no object to delete.
        outcome.deleted.append(path)
      case .failure(let error):
        note(error, on: Target(path: path, key: mapping.key(for: path)), in: &outcome)
      }
    }
    return left
  }

  /// One object to delete.
  struct Target: Sendable {
    var path: RelativePath
    var key: String
    /// The ETag that the object must have; nil for an unconditional delete.
    var etag: String?
  }

  /// The published ETag counts before a listed one, because a listing may already show another program's
  /// object.
  private func targets(
    of paths: [RelativePath], listed: [RelativePath: RemoteObject], noting outcome: inout Outcome
  ) async -> [Target] {
    if condition == .none { return paths.map { Target(path: $0, key: mapping.key(for: $0)) } }
    let known = paths.map { path in
      Target(path: path, key: mapping.key(for: path), etag: etag(of: path, listed))
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

  static func head(of key: String, in store: any ObjectStore) async -> Result<ObjectHead, any Error> {
    do {
      return .success(try await store.send(HeadObject(key: key)))
    } catch {
      return .failure(error)
    }
  }

  /// HeadObject requests at one time, for files that an earlier run published and whose directory was not
  /// listed.
  static let headsInFlight = 10

  /// - Returns: the objects that need single deletes: all of them if the server does not support
  ///   DeleteObjects, otherwise those whose error can be retried.
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

  /// Deletes one by one: keys with characters that XML 1.0 cannot represent, and objects that a common
  /// request did not delete.
  ///
  /// The deletes go in small groups with a check just before each group, so a file that came back keeps its
  /// object.
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

  func note(_ error: any Error, on target: Target, in outcome: inout Outcome) {
    if condition == .ifMatch, let error = error as? S3Error {
      // An object that is gone cannot match its ETag. The delete has its result all the same.
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
    noteGone(target.path)
    journal.deleted(mirror: name, path: target.path, key: target.key)
  }

  /// Notes that a path has no object any more.
  private func noteGone(_ path: RelativePath) {
    ledger.forget(path)
    if grounds == .absence { whenGone(path) }
  }
}

extension Result<ObjectHead, any Error> {
  /// Whether the key has no object.
  var isMissingKey: Bool {
    guard case .failure(let error as S3Error) = self else { return false }
    return error.isMissingKey
  }
}
