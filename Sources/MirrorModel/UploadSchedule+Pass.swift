// What a schedule is made with, and what it gives out.
extension UploadSchedule {
  package struct Policy: Sendable {
    /// Time from tick to tick; nil publishes at exit only; zero publishes as soon as a closed change was quiet for `settle`.
    package var interval: Duration?
    /// How long a change must have been quiet where `interval` is zero, and the gap between the reads of a reread.
    package var settle: Duration
    /// How long a file of `appendNames` with an unclosed write waits for its close before it goes as a reread snapshot.
    package var openFileGrace: Duration
    /// The names of files that are only appended to: logs, metrics, event files.
    ///
    /// A prefix of such a file is worth having, so it may go while a program has it open for writing. A prefix of any other
    /// file, a checkpoint above all, is half a file: two equal readings do not show that it is whole, because a file that
    /// only grows always has an equal prefix. So every other file waits for its close.
    package var appendNames: NamePatterns
    /// Which files are commit markers, and when they go.
    package var commitOrder: CommitOrder

    /// A file that changes without pause does not wait for ever to settle: after this time it goes all the same.
    var longestUnsettled: Duration { max(settle, min(settle * 10, .seconds(5))) }

    /// How long a new directory must have been quiet before a tick shows it.
    var unitPause: Duration { max(settle, .milliseconds(10)) }

    /// A new directory in which a file is being written does not wait for ever: after this time it goes as it is.
    var longestWriting: Duration { max(.seconds(30), interval ?? .zero) }

    package init(
      interval: Duration?, settle: Duration = .seconds(1), openFileGrace: Duration? = nil,
      appendNames: NamePatterns = .none, commitOrder: CommitOrder = CommitOrder { _ in false }
    ) {
      self.interval = interval
      self.settle = settle
      self.openFileGrace = openFileGrace ?? interval ?? .zero
      self.appendNames = appendNames
      self.commitOrder = commitOrder
    }
  }

  /// What starts a pass, and so what it takes.
  package enum Trigger: Sendable, Hashable {
    /// The interval's tick: closed changes, and open files of `appendNames` past their grace.
    case tick
    /// Somebody waits: everything closed, failures too, without their back-off.
    case flush
    /// The scope ends: everything, open files as well.
    case drain
  }

  package struct Pass: Sendable {
    package var trigger: Trigger
    package var batch: DirtySet.Batch
    /// What this pass leaves out though it was whole before something that the pass takes: in back-off, not settled, or
    /// written again. Markers wait for it; a directory whose comparison is left out stands for all below it.
    package var deferred: Set<RelativePath>
    /// Paths that this pass leaves out though S3 has had an older version of them since before something that the pass
    /// takes. What a marker among them may name there is not deleted.
    package var stale: Set<RelativePath> = []
    /// Publications that have outlived their pass: none of their paths is in the batch.
    package var inFlight: [RelativePath: DirtyEntry] = [:]
    /// When the watch told that a directory of the batch had left the tree.
    package var departures: [RelativePath: Instant] = [:]

    /// What the plan of the pass has to respect besides the batch.
    package var surroundings: PassPlan.Surroundings {
      var surroundings = PassPlan.Surroundings()
      surroundings.deferred = deferred
      surroundings.stale = stale
      surroundings.inFlight = inFlight
      surroundings.departures = departures
      return surroundings
    }
  }
}
