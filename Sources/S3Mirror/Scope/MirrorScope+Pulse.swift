import MirrorModel
import Transfers

/// Whether the mirror moves, for a watchdog.
extension MirrorScope {
  /// Signs of life at one moment.
  struct VitalSigns: Sendable, Hashable {
    /// Something is in hand or due: the entry, the end, a pass, a change whose time has come.
    var hasWork: Bool
    /// An operation of S3, whose own time limits end it, or a read or write of a file.
    var isWaitingForOthers: Bool
    /// Operations that have ended, and what lanes have taken up: it only grows.
    var progress: Int
  }

  /// Returns when every loop of this mirror has come round: those that carry requests and those that watch. Where one is stuck
  /// it does not return.
  func loopsAnswer() async {
    await resolver.buckets.answer()
    for lane in state.withLock({ $0.lanes + $0.entering }) { await lane.place.answer() }
  }

  func vitalSigns(at now: ContinuousClock.Instant = .now) -> VitalSigns {
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

/// Decides from signs of life whether a mirror moves.
///
/// A mirror with nothing to do moves as long as its loops answer. One that has work moves while an operation of S3 or a file's read
/// is under way, or something came of its work within `patience`.
struct Stillness: Sendable {
  private let patience: Duration
  private var lastProgress: Int?
  private var since: ContinuousClock.Instant

  init(patience: Duration, startingAt now: ContinuousClock.Instant) {
    self.patience = patience
    since = now
  }

  /// - Returns: whether the mirror moves.
  mutating func note(_ signs: MirrorScope.VitalSigns, at now: ContinuousClock.Instant) -> Bool {
    if !signs.hasWork || signs.isWaitingForOthers || signs.progress != lastProgress {
      lastProgress = signs.progress
      since = now
    }
    return now - since <= patience
  }
}

/// Feels a mirror's pulse from time to time.
package struct MirrorPulse: Sendable {
  private let scope: MirrorScope
  private var stillness: Stillness

  /// - Parameter patience: how long a mirror that has work may show no sign of life. Waiting for a file to be quiet
  ///   (``Options/settle``) shows none, and is allowed for in addition.
  package init(of scope: MirrorScope, patience: Duration) {
    self.scope = scope
    stillness = Stillness(patience: patience + scope.options.settle * 2, startingAt: .now)
  }

  /// Whether the mirror moves. Where one of its loops is stuck this does not return.
  package mutating func isMoving() async -> Bool {
    await scope.loopsAnswer()
    return stillness.note(scope.vitalSigns(), at: .now)
  }
}
