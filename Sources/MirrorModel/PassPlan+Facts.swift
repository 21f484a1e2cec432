// What a plan is told, and what it says.
extension PassPlan {
  /// What the driver does next.
  package enum Action: Sendable, Hashable {
    /// Publish this path. Others may be published at the same time.
    case publish(RelativePath)
    /// Nothing more can begin before something under way has ended.
    case wait
    /// Ask which names files have left that wait outside of the pass (`note(origins:)`).
    case askForOrigins
    /// List the objects below a directory that has left the tree (`note(listing:of:)`).
    case list(RelativePath)
    case delete(Deletion)
    case over
  }

  /// Objects that may go.
  package struct Deletion: Sendable, Hashable {
    package var paths: [RelativePath]
    /// Paths whose content is on S3 under a new name: such a delete loses nothing.
    package var moved: Set<RelativePath>
    /// What the pass has just listed.
    package var listed: [RelativePath: RemoteObject]
    /// Paths that are known to have objects.
    package var known: Set<RelativePath>
  }

  /// What a publication came to.
  package enum Publication: Sendable, Hashable {
    case published(Version)
    /// Nothing has the name: a delete, or nothing to do.
    case absent
    /// A directory has taken the name. Its object goes after the directory's files.
    case isDirectory
    /// There is nothing to publish: a socket, a link that is not followed, a directory that is not empty.
    case needless
    /// The path can never be an object under its name.
    case refused
    /// No whole version could be read, or a marker was held back.
    case waiting(isOpen: Bool)
    case failed

    /// Whether no file has the name.
    var isAbsence: Bool { self == .absent || self == .isDirectory }
  }

  package enum Version: Sendable, Hashable {
    /// The one that is there.
    case latest
    /// A reading of a file that a writer was still at.
    case snapshot
    /// One that another has replaced, which is still to be published.
    case superseded
    /// The same, of a marker that was read when the pass began.
    case held
  }

  /// What the driver does with a path after its publication.
  package enum Sequel: Sendable, Hashable {
    case nothing
    /// Publish the version of the marker that was read when the pass began.
    case publishHeldVersion
  }

  /// Which objects without a file go.
  package enum Removal: Sendable, Hashable {
    /// None, in any pass.
    case never
    /// None in this pass. What is gone comes back for a later one.
    case later
    /// In-progress marks alone.
    case marks
    /// In-progress marks, and those that this run published under a name which a rename has left: their content is there under the new name.
    case moves
    case everything
  }

  /// Whether events tell what changes while the pass runs.
  package enum Events: Sendable, Hashable {
    case complete
    /// The watch has ended: a later version of a file holds markers back like a failure.
    case ended
  }

  /// What the pass has to respect besides its batch.
  package struct Surroundings: Sendable {
    /// What waits outside of the pass and was whole before something in it; a directory that is not compared stands for all below
    /// it.
    package var deferred: Set<RelativePath> = []
    /// Paths left out of which S3 has had an older version since before something that the pass takes.
    package var stale: Set<RelativePath> = []
    /// Publications that have outlived their pass.
    package var inFlight: [RelativePath: DirtyEntry] = [:]
    /// When the watch told that a directory of the batch had left the tree.
    package var departures: [RelativePath: Instant] = [:]
    /// What earlier batches of the same pass have left unpublished.
    package var unpublished: Set<RelativePath> = []
    /// Commit markers on S3, or on their way there, above data of the batch that are written over.
    package var withdrawals = Withdrawals()
    /// Whether something failed in an earlier batch of the same pass.
    package var hasFailed = false

    package init(deferred: Set<RelativePath> = []) { self.deferred = deferred }

    /// What waits outside of the pass.
    var unpublishedPaths: Set<RelativePath> { deferred.union(unpublished).union(inFlight.keys) }
  }
}
