import LocalTree
import MirrorModel

/// What it is doing, for whoever asks.
extension UploadLane {
  /// The state of this upload at this moment.
  var status: UploadStatus {
    let doing = activity.snapshot
    var backlog = schedule.backlog()
    backlog.paths.removeAll { DirectoryMarker($0) != nil }
    var waitingBytes: Int64 = 0
    for path in backlog.paths {
      // A path that cannot be looked at now waits all the same, with a size nobody knows.
      if case .success(let entry?) = Result(catching: { try root.look(at: path) }) {
        waitingBytes = waitingBytes.addingSaturated(entry.stamp.size)
      }
    }
    return UploadStatus(
      name: settings.name, waitingFiles: backlog.paths.count, waitingBytes: waitingBytes,
      inFlightFiles: doing.inFlight.count,
      inFlightBytes: doing.inFlight.values.reduce(0) { $0.addingSaturated($1) },
      publishedFiles: doing.publishedFiles, publishedBytes: doing.publishedBytes,
      failures: doing.failures.sorted { $0.key < $1.key }.map {
        .init(path: $0.key.string, $0.value)
      },
      openFiles: backlog.openFiles.sorted { ($1.age, $0.path) < ($0.age, $1.path) }.map {
        .init(path: $0.path.string, age: $0.age)
      },
      temporaries: temporaries.present(in: root).map(\.string), withheldDeletes: doing.withheldDeletes,
      recoveryPoint: backlog.recoveryPoint, drift: doing.drift)
  }
}
