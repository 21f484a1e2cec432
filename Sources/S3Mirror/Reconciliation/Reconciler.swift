import LocalTree
import MirrorModel
import S3Client

/// Takes what a comparison finds, while the comparison goes on.
protocol ReconciliationObserver: Sendable {
  /// - Parameter copies: files that S3 lacks or has other content of, in the order of keys; at most `Surveyor.batchSize`.
  mutating func take(_ copies: [ContentComparison.Copy]) async
}

/// Finds what a tree and a listing differ in, suspects being settled by content.
struct Reconciler: Sendable {
  struct Findings: Sendable {
    var survey: Survey
    /// Objects without a local file.
    var extras: Extras
  }

  let surveyor: Surveyor
  let content: ContentComparison
  /// Files under way at one time.
  let width: Int

  /// Compares `directory` and all below it.
  ///
  /// - Parameters:
  ///   - watched: what the caller publishes itself, knowing more of it.
  ///   - observer: is given the files that have to be copied, batch by batch.
  /// - Throws: `S3Error` when the prefix cannot be listed in full. What the observer was given until then stands.
  func compare(
    _ directory: RelativePath, except watched: Set<RelativePath> = [],
    telling observer: inout some ReconciliationObserver
  ) async throws -> Findings {
    let (survey, extras) = try await surveyor.survey(directory) { differences in
      await observer.take(
        await content.settle(differences.filter { !watched.contains($0.path) }, width: width))
    }
    return Findings(survey: survey, extras: extras)
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
