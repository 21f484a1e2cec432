import LocalTree
import MirrorModel

/// The status and the report of an upload.
extension UploadLane {
  /// The state of this upload at this moment.
  var status: UploadStatus {
    let doing = activity.snapshot
    var backlog = schedule.backlog()
    backlog.paths.removeAll { DirectoryMarker($0) != nil }
    var waitingBytes: Int64 = 0
    for path in backlog.paths {
      // A path that cannot be read now still waits; its size is unknown.
      if case .success(let entry?) = Result(catching: { try root.look(at: path) }) {
        waitingBytes = waitingBytes.addingSaturated(entry.stamp.size)
      }
    }
    return UploadStatus(
      name: settings.name, waitingFiles: backlog.paths.count, waitingBytes: waitingBytes,
      inFlightFiles: doing.inFlight.count,
      inFlightBytes: doing.inFlight.values.reduce(0) { $0.addingSaturated($1) },
      publishedFiles: doing.publishedFiles, publishedBytes: doing.publishedBytes,
      copiedBytes: doing.copiedBytes, failures: doing.failuresByPath,
      openFiles: backlog.openFiles.sorted { ($1.age, $0.path) < ($0.age, $1.path) }.map {
        .init(path: $0.path.string, age: $0.age)
      },
      temporaries: temporaries.present(in: root).map(\.string), withheldDeletes: doing.withheldDeletes,
      recoveryPoint: backlog.recoveryPoint, drift: doing.drift,
      heldMarkers: group?.driver.waitingMarkers.map { .init(path: $0.path.string, reason: $0.reason) } ?? [])
  }

  /// The report so far. Its failures are those of each path's latest attempt; a path that only waits is no
  /// failure.
  var reportSoFar: MirrorReport.Upload {
    let doing = activity.snapshot
    var report = doing.counts(named: settings.name)
    report.failures = doing.failuresByPath
    report.withheldDeletes = doing.withheldDeletes
    report.withheld = doing.withheld.sorted { $0.key < $1.key }.map {
      .init(path: $0.key.string, reason: $0.value.description)
    }
    report.ticks = schedule.passCount
    report.requests = requests.counts
    return report
  }

  /// The part of the report that counts what was done.
  var counts: MirrorReport.Upload { activity.snapshot.counts(named: settings.name) }
}

extension LaneActivity.Snapshot {
  fileprivate func counts(named name: String) -> MirrorReport.Upload {
    var report = MirrorReport.Upload(name: name)
    report.published = publishedFiles
    report.publishedBytes = publishedBytes
    report.deleted = deleted
    report.skipped = skipped
    report.drift = drift
    return report
  }

  fileprivate var failuresByPath: [MirrorError.Failure] {
    failures.sorted { $0.key < $1.key }.map { .init(path: $0.key.string, $0.value) }
  }
}
