import LocalTree
import MirrorModel

// A root that was deleted, replaced, moved away or unmounted, or may not be read. Nothing is concluded from what is not below it then.
extension UploadLane {
  /// Looks whether the root is in its place, takes it up again if it has come back, and polls what has to be polled.
  func look(answering flushes: [LaneSchedule.Flush]) async {
    if schedule.isRootLost || !root.isUnchanged || root.isForbidden {
      guard await recoverRoot() else {
        for flush in flushes { flush.answer(rootIsLost) }
        return
      }
    } else {
      // With an interval every pass makes a try, so what still has no watch is dirty by now.
      if settings.policy.interval == .zero { await place.retryUnwatched() }
      notices.sayOver(besides: Set(schedule.polled.values))
    }
    schedule.repeatFlushes(flushes)
  }

  /// - Returns: whether the root is there, and has to be compared.
  func recoverRoot() async -> Bool {
    schedule.noteRootLost()
    do {
      try await place.renew { schedule.noteRootReturned() }
    } catch {
      schedule.noteRootLost()
      notices.sayRootLost(root.path.string, because: error)
      return false
    }
    notices.sayRootReturned(root.path.string, isThatOfEntry: place.isThatOfEntry)
    return true
  }

  private var rootIsLost: PassOutcome {
    var outcome = PassOutcome(summary: summary(of: .flush))
    outcome.summary.failures.append(
      .init(
        path: root.path.string,
        reason: "the local root is gone or may not be read; nothing below it could be published"))
    return outcome
  }
}

// What it is doing, for whoever asks.
extension UploadLane {
  /// The state of this upload at this moment.
  var status: UploadStatus {
    let doing = activity.snapshot
    var backlog = schedule.backlog()
    backlog.paths.removeAll(where: \.hasTrailingSlash)
    var waitingBytes: Int64 = 0
    for path in backlog.paths {
      // A path that cannot be looked at now waits all the same, with a size nobody knows.
      if case .success(let entry?) = Result(catching: { try root.look(at: path) }) {
        waitingBytes += entry.stamp.size
      }
    }
    return UploadStatus(
      name: settings.name, waitingFiles: backlog.paths.count, waitingBytes: waitingBytes,
      inFlightFiles: doing.inFlight.count, inFlightBytes: doing.inFlight.values.reduce(0, +),
      publishedFiles: doing.publishedFiles, publishedBytes: doing.publishedBytes,
      failures: doing.failures.sorted { $0.key < $1.key }.map {
        .init(path: $0.key.string, reason: $0.value)
      },
      withheldDeletes: doing.withheldDeletes, recoveryPoint: backlog.recoveryPoint, drift: doing.drift)
  }
}
