import MirrorModel
import Transfers

/// Whether the mirror makes progress, for a watchdog.
extension MirrorScope {
  /// Signs of life at one moment.
  struct VitalSigns: Sendable, Hashable {
    /// The mirror has work: its entry or end, a pass, or a change that is due.
    var hasWork: Bool
    /// An S3 operation, which has its own time limits, or a read or write of a file is running.
    var isWaitingForOthers: Bool
    /// How many operations have ended and how many turns lanes have taken. The number only grows.
    var progress: Int
  }

  /// Returns once every loop of this mirror has answered: the loops of requests and those of watches. If a
  /// loop is stuck, the call does not return.
  func loopsAnswer() async {
    await resolver.buckets.answer()
    for lane in state.withLock({ $0.lanes + $0.entering }) { await lane.place.answer() }
  }

  func vitalSigns(at now: Instant = .now) -> VitalSigns {
    let (lanes, isBetween) = state.withLock { state in
      (state.lanes + state.entering, !state.isEntered || state.isEnding || !state.beginnings.isEmpty)
    }
    let occupations = lanes.map(\.activity.occupation)
    let isOccupied = zip(lanes, occupations).contains { lane, occupation in
      !occupation.isResting || (lane.schedule.wakeTime.map { $0 <= now } ?? false)
    }
    let operations = meter.operations
    return VitalSigns(
      hasWork: isBetween || isOccupied,
      isWaitingForOthers: operations.underWay > 0 || resources.readers.isBusy || resources.writers.isBusy,
      progress: operations.ended + occupations.reduce(0) { $0 + $1.turns })
  }
}

/// Decides from vital signs whether a mirror makes progress.
///
/// A mirror without work only has to answer. A mirror with work makes progress while an S3 operation or a
/// read of a file runs, or if its counters moved within `patience`.
struct Stillness: Sendable {
  private let patience: Duration
  private var lastProgress: Int?
  private var since: Instant

  init(patience: Duration, startingAt now: Instant) {
    self.patience = patience
    since = now
  }

  /// - Returns: whether the mirror makes progress.
  mutating func note(_ signs: MirrorScope.VitalSigns, at now: Instant) -> Bool {
    if !signs.hasWork || signs.isWaitingForOthers || signs.progress != lastProgress {
      lastProgress = signs.progress
      since = now
    }
    return now - since <= patience
  }
}

/// Checks from time to time whether a mirror makes progress.
package struct MirrorPulse: Sendable {
  private let scope: MirrorScope
  private var stillness: Stillness

  /// - Parameter patience: how long a mirror with work may show no progress. ``Options/settle`` is added
  ///   twice, because a file that settles causes no activity.
  package init(of scope: MirrorScope, patience: Duration) {
    self.scope = scope
    stillness = Stillness(patience: patience + scope.options.settle * 2, startingAt: .now)
  }

  /// Whether the mirror makes progress. If one of its loops is stuck, the call does not return.
  package mutating func isMoving() async -> Bool {
    await scope.loopsAnswer()
    return stillness.note(scope.vitalSigns(), at: .now)
  }
}
