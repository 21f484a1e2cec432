import MirrorModel
import Synchronization

/// What an upload is doing at this moment and has done so far, for `status` and the report.
final class LaneActivity: Sendable {
  struct Snapshot: Sendable {
    var inFlight: [RelativePath: Int64] = [:]
    var publishedFiles = 0
    var publishedBytes: Int64 = 0
    /// The published bytes that the server copied.
    var copiedBytes: Int64 = 0
    var deleted = 0
    /// The largest number of files that one comparison left out.
    var skipped = 0
    /// The total duration of the passes that published something.
    var busySeconds = 0.0
    var failures: [RelativePath: FailureReason] = [:]
    var withheldDeletes = 0
    /// The first thousand withheld deletes.
    var withheld: [RelativePath: WithheldReason] = [:]
    var drift = 0
    /// Markers that wait for other hosts of the group.
    var heldByGroup: Set<RelativePath> = []
    var occupation = Occupation()

    /// How fast files are sent. What the server copies shows nothing of that. Nil if nothing was sent yet.
    var sentBytesPerSecond: Double? {
      let sent = publishedBytes - copiedBytes
      return busySeconds > 0 && sent > 0 ? Double(sent) / busySeconds : nil
    }
  }

  /// What the lane's task does: it waits until something is due, or it works.
  struct Occupation: Sendable, Hashable {
    var isResting = false
    /// How often the task has begun to work.
    var turns = 0
  }

  private let state = Mutex(Snapshot())

  var snapshot: Snapshot { state.withLock { $0 } }

  var occupation: Occupation { state.withLock { $0.occupation } }

  func rest() {
    state.withLock { $0.occupation.isResting = true }
  }

  func takeUp() {
    state.withLock { state in
      state.occupation.isResting = false
      state.occupation.turns += 1
    }
  }

  func began(_ path: RelativePath, bytes: Int64) {
    state.withLock { $0.inFlight[path] = bytes }
  }

  func ended(_ path: RelativePath) {
    state.withLock { $0.inFlight[path] = nil }
  }

  /// Drops the failures of these paths.
  func settle(_ paths: [RelativePath]) {
    state.withLock { state in
      if state.failures.isEmpty { return }
      for path in paths { state.failures[path] = nil }
    }
  }

  /// Adds the number of paths that an audit or the exit found to be drift.
  func note(drift paths: Int) {
    state.withLock { $0.drift += paths }
  }

  func note(_ outcome: PassOutcome) {
    state.withLock { state in
      state.publishedFiles += outcome.summary.published
      state.publishedBytes += outcome.summary.publishedBytes
      state.copiedBytes += outcome.summary.copiedBytes
      state.deleted += outcome.summary.deleted
      state.skipped = max(state.skipped, outcome.skipped)
      if outcome.summary.publishedBytes > 0 { state.busySeconds += outcome.summary.seconds }
      state.withheldDeletes = outcome.summary.withheldDeletes
      state.withheld = outcome.withheld
      state.heldByGroup = outcome.heldByGroup
      for path in outcome.settled { state.failures[path] = nil }
      for (path, reason) in outcome.failed { state.failures[path] = reason }
      for (path, reason) in outcome.refused { state.failures[path] = "\(reason)" }
    }
  }
}
