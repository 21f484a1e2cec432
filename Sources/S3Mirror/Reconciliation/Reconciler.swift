import LocalTree
import MirrorModel
import S3Client

/// Takes what a comparison finds, while the comparison goes on.
protocol ReconciliationObserver: Sendable {
  /// - Parameter copies: files and directory markers that S3 lacks, and files of which it has other content, in the order of keys; at most `Surveyor.batchSize`.
  mutating func take(_ copies: [ContentComparison.Copy]) async
}

/// Finds what a tree and a listing differ in, suspects being settled by content.
struct Reconciler: Sendable {
  struct Findings: Sendable {
    var survey: Survey
    /// Objects without a local file.
    var extras: Extras
    /// Those of them that another writer put there, once that was found out.
    var foreign = Extras()
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
  /// What must be copied to S3.
  enum Copy: Sendable {
    case file(LocalEntry, CopyReason, RemoteObject?)
    case marker(DirectoryMarker)

    var path: RelativePath {
      switch self {
      case .file(let file, _, _): file.path
      case .marker(let marker): marker.path
      }
    }

    var reason: CopyReason {
      switch self {
      case .file(_, let reason, _): reason
      case .marker: .absent
      }
    }
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
      case .copy(let file, let reason, let object): .file(file, reason, object)
      case .suspect(let file, _) where same.contains(file.path): nil
      case .suspect(let file, let object): .file(file, .content, object)
      case .marker(let marker): .marker(marker)
      }
    }
  }
}

extension Difference {
  var path: RelativePath {
    switch self {
    case .copy(let file, _, _), .suspect(let file, _): file.path
    case .marker(let marker): marker.path
    }
  }
}
