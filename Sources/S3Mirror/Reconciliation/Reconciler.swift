import LocalTree
import MirrorModel
import S3Client

/// Publishes what a comparison finds to differ, while it goes on.
struct Reconciler: Sendable {
  struct Findings: Sendable {
    var survey: Survey
    /// Objects without a local file.
    var extras: Extras
  }

  let surveyor: Surveyor
  let content: ContentComparison
  let commitOrder: CommitOrder
  /// Files under way at one time.
  let width: Int

  /// Publishes the data below `directory` that differ, batch by batch. Commit markers are only gathered: they go when all data
  /// are there, in the pass that the caller ends with.
  ///
  /// - Parameters:
  ///   - pass: publishes the batches; it must not delete.
  ///   - watched: what the caller publishes itself, knowing more of it.
  ///   - markers: gathers what must wait.
  ///   - outcome: what all batches come to.
  ///   - settled: is given what was published, a batch at a time, so that no list of it grows.
  ///   - differing: is given the files that have to be published, before they are.
  /// - Throws: `S3Error` when the prefix cannot be listed in full. What was published until then is in `outcome`.
  func publish(
    _ directory: RelativePath, with pass: PublishPass, except watched: Set<RelativePath>,
    markers: inout DirtySet.Batch, noting outcome: inout PassOutcome, settled: ([RelativePath]) -> Void,
    differing: ([LocalEntry]) -> Void = { _ in }
  ) async throws -> Findings {
    let (survey, extras) = try await surveyor.survey(directory) { differences in
      let copies = await content.settle(differences.filter { !watched.contains($0.path) }, width: width)
      differing(copies.map(\.file))
      var batch = Self.batch(of: copies)
      for (path, entry) in batch.entries where commitOrder.isMarker(path) {
        markers.entries[path] = entry
        batch.entries[path] = nil
      }
      outcome = await pass.run(batch, within: .init(), after: outcome)
      settled(outcome.settled)
      outcome.settled = []
      outcome.met = []
    }
    return Findings(survey: survey, extras: extras)
  }

  /// What must be published.
  private static func batch(of copies: [ContentComparison.Copy]) -> DirtySet.Batch {
    let now = ContinuousClock.now
    let fresh = DirtyEntry(at: now)
    let absent = DirtyEntry(at: now, isNew: true)
    var batch = DirtySet.Batch()
    for copy in copies {
      batch.entries[copy.file.path] = copy.reason == .absent ? absent : fresh
    }
    return batch
  }
}

extension ContentComparison {
  /// A file that must be copied.
  struct Copy: Sendable {
    var file: LocalEntry
    var reason: CopyReason
    var object: RemoteObject?
  }

  /// The copies among differences, in their order, suspects being settled by content.
  func settle(_ differences: [Difference], width: Int) async -> [Copy] {
    let suspects = differences.compactMap { difference in
      if case .suspect(let file, let object) = difference { (file, object) } else { nil }
    }
    let verdicts = await concurrentEach(suspects, width: width) { file, object in
      do {
        return (file.path, try await isSame(file.path, stamp: file.stamp, remote: object))
      } catch {
        // Sending the file is the answer that loses nothing; if it cannot be read, the upload says so.
        return (file.path, false)
      }
    }
    let same = Set(verdicts.filter(\.1).map(\.0))
    return differences.compactMap { difference in
      switch difference {
      case .copy(let file, let reason, let object): Copy(file: file, reason: reason, object: object)
      case .suspect(let file, _) where same.contains(file.path): nil
      case .suspect(let file, let object): Copy(file: file, reason: .content, object: object)
      }
    }
  }
}

extension Difference {
  var path: RelativePath {
    switch self {
    case .copy(let file, _, _), .suspect(let file, _): file.path
    }
  }
}
