import LocalTree
import MirrorModel
import S3Client

/// Receives the results of a comparison while the comparison goes on.
protocol ReconciliationObserver: Sendable {
  /// - Parameter copies: files and directory markers that S3 lacks, and files with other content on S3, in
  ///   key order; at most `Surveyor.batchSize`.
  mutating func take(_ copies: [ContentComparison.Copy]) async
}

/// Finds the differences between a tree and a listing. The contents of suspects are compared.
struct Reconciler: Sendable {
  struct Findings: Sendable {
    var survey: Survey
    /// Objects without a local file.
    var extras: Extras
    /// The extras that another writer put there, once this was checked.
    var foreign = Extras()
  }

  let surveyor: Surveyor
  let content: ContentComparison
  /// Files under way at one time.
  let width: Int

  /// Compares `directory` and everything below it.
  ///
  /// - Parameters:
  ///   - watched: the paths that the caller publishes itself, because it knows more about them.
  ///   - observer: receives the files to be copied, batch by batch.
  /// - Throws: `S3Error` if the prefix cannot be listed in full. The batches that the observer has received
  ///   remain valid.
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

  /// The copies among differences, in their order. The contents of suspects are compared.
  func settle(_ differences: [Difference], width: Int) async -> [Copy] {
    let suspects = differences.compactMap { difference in
      if case .suspect(let file, let object) = difference { (file, object) } else { nil }
    }
    let verdicts = await concurrentEach(suspects, width: width) { file, object in
      do {
        return (file.path, try await isSame(file.path, stamp: file.stamp, remote: object))
      } catch {
        // If in doubt the file is sent, which loses nothing. If it cannot be read, the upload reports that.
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
