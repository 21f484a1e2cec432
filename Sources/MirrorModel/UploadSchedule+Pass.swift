// A schedule's settings, and the passes that it starts.
extension UploadSchedule {
  package struct Policy: Sendable {
    /// The time between two ticks. Nil publishes only at exit. Zero publishes a closed change once it has
    /// been quiet for `settle`.
    package var interval: Duration?
    /// How long a change must have been quiet with `interval` zero, and the time between the two reads of a
    /// reread.
    package var settle: Duration
    /// How long an open file of `appendNames` waits for its close before a snapshot is published.
    package var openFileGrace: Duration
    /// The names of files that are only appended to: logs, metrics, event files.
    ///
    /// A prefix of such a file is useful, so it may be published while a program has the file open for
    /// writing. A prefix of any other file, above all of a checkpoint, is half a file. Two equal reads do not
    /// show that a file is complete, because a file that only grows always has an equal prefix. So every
    /// other file waits for its close.
    package var appendNames: NamePatterns
    /// Which files are commit markers, and when they are published.
    package var commitOrder: CommitOrder

    /// A file that changes without pause is published after this time, settled or not.
    var longestUnsettled: Duration { max(settle, min(settle * 10, .seconds(5))) }

    /// How long a new directory must have been quiet before a tick publishes it.
    var unitPause: Duration { max(settle, .milliseconds(10)) }

    /// A new directory with an open file is published after this time, complete or not.
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

  /// What starts a pass. It decides which paths the pass takes.
  package enum Trigger: Sendable, Hashable {
    /// The interval's tick: closed changes, and open files of `appendNames` after their grace.
    case tick
    /// A caller waits: everything that is closed, including failed paths in back-off.
    case flush
    /// The scope ends: everything, including open files.
    case drain
  }

  package struct Pass: Sendable {
    package var trigger: Trigger
    package var batch: DirtySet.Batch
    /// Paths that this pass leaves out although they were complete before a change that the pass takes: they
    /// are in back-off, not settled, or written again. Markers wait for these paths. A directory whose
    /// comparison is left out represents everything below it.
    package var deferred: Set<RelativePath>
    /// Paths that this pass leaves out, and whose version on S3 has been outdated since before a change that
    /// the pass takes. The objects that an old marker among them may name are not deleted.
    package var stale: Set<RelativePath> = []
    /// Files that this pass leaves out because they are open, and that a comparison found open.
    package var unwatched: [RelativePath: UnwatchedTime] = [:]
    /// Publications that have outlived their pass. The batch holds none of their paths.
    package var inFlight: [RelativePath: DirtyEntry] = [:]
    /// When the watch reported that a directory of the batch had left the tree.
    package var departures: [RelativePath: Instant] = [:]

    /// What the plan of the pass has to consider besides the batch.
    package var surroundings: PassPlan.Surroundings {
      var surroundings = PassPlan.Surroundings()
      surroundings.deferred = deferred
      surroundings.stale = stale
      surroundings.unwatched = unwatched
      surroundings.inFlight = inFlight
      surroundings.departures = departures
      return surroundings
    }
  }
}
