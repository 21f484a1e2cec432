import LocalTree
import MirrorModel

extension PrefixFetch {
  /// Fetches a known set of objects: first the data, then their markers.
  ///
  /// If data change, the local markers are removed first, so that no marker of an earlier version stays
  /// beside new data.
  func fetch(_ objects: [RelativePath: RemoteObject], serverSkew: Int64) async throws -> DownloadJob.Outcome {
    var outcome = DownloadJob.Outcome(local: job.local)
    let (markers, data) = objects.sorted { $0.key < $1.key }
      .map { wanted($0.key, $0.value, serverSkew: serverSkew) }.partitioned {
        job.commitOrder.isMarker($0.path)
      }
    let missing = try await differing(data)
    outcome.unchanged = data.count - missing.count
    if !missing.isEmpty {
      try await job.resources.writers.run {
        for marker in markers { try root.remove(marker.path) }
      }
    }
    let steps = await concurrentEach(missing, width: job.width) { wanted in
      (wanted.path, await fetch(wanted, under: nil))
    }
    var held = HeldMarkers()
    for marker in markers { held.hold(marker.path, marker.object) }
    for (path, step) in steps {
      if case .failed = step { held.noteMissing(path) }
      job.note(step, in: &outcome)
    }
    try await fetch(held, serverSkew: serverSkew, under: [:], in: &outcome)
    return outcome
  }

  /// Those of the objects whose local files differ or are absent.
  func differing(_ wanted: [DownloadJob.Wanted]) async throws -> [DownloadJob.Wanted] {
    let judged = await concurrentEach(wanted, width: job.questionWidth) {
      wanted -> Result<DownloadJob.Wanted?, any Error> in
      do {
        return .success(
          try await job.reason(toFetch: wanted, to: root, mapping: mapping) == nil ? nil : wanted)
      } catch {
        return .failure(error)
      }
    }
    return try judged.compactMap { try $0.get() }.sorted { $0.path < $1.path }
  }
}
