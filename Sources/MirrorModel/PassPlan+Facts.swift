// The facts that a plan receives, and the actions that it returns.
extension PassPlan {
  /// What the driver does next.
  package enum Action: Sendable, Hashable {
    /// Publish this path. Others may be published at the same time.
    case publish(RelativePath)
    /// Nothing can begin until a publication under way has ended.
    case wait
    /// Find the old names of renamed files that are dirty outside of the pass (`note(origins:)`).
    case askForOrigins
    /// List the objects below a directory that has left the tree (`note(listing:of:)`).
    case list(RelativePath)
    case delete(Deletion)
    case over
  }

  /// Objects to delete.
  package struct Deletion: Sendable, Hashable {
    package var paths: [RelativePath]
    /// Paths whose content is on S3 under a new name, so that the delete loses nothing.
    package var moved: Set<RelativePath>
    /// The objects that the pass has just listed.
    package var listed: [RelativePath: RemoteObject]
    /// Paths that are known to have objects.
    package var known: Set<RelativePath>
  }

  /// The result of a publication.
  package enum Publication: Sendable, Hashable {
    case published(Version)
    /// Nothing has the name: its object must be deleted, or there is nothing to do.
    case absent
    /// A directory has this name now. The object of the name is deleted after the directory's files are
    /// published.
    case isDirectory
    /// An object now has the name of a mark that came and went. It is deleted after the paths that it announces.
    case shown
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
    /// The version that the file has now.
    case latest
    /// A reading of a file that a process was still writing.
    case snapshot
    /// A version that has been replaced; the newer version is still to be published.
    case superseded
    /// The same, for a marker that was read when the pass began.
    case held
  }

  /// What the driver does with a path after its publication.
  package enum Sequel: Sendable, Hashable {
    case nothing
    /// Publish the version of the marker that was read when the pass began.
    case publishHeldVersion
  }

  /// Which objects without a file are deleted.
  package enum Removal: Sendable, Hashable {
    /// None, in any pass.
    case never
    /// None in this pass. Paths without a file are left for a later pass.
    case later
    /// Only in-progress marks.
    case marks
    /// In-progress marks, and objects that this run published under the old name of a renamed file: their
    /// content is on S3 under the new name.
    case moves
    case everything
  }

  /// Whether events report changes during the pass.
  package enum Events: Sendable, Hashable {
    case complete
    /// The watch has ended. A later version of a file then holds markers back as a failure does.
    case ended
  }

  /// When commit markers are published again that were removed from S3 before their data.
  package enum Returning: Sendable, Hashable {
    /// In the same pass, after the data.
    case withTheirData
    /// The pass publishes a part of a comparison, and a later pass publishes the markers.
    case later
  }

  /// What the pass must take into account besides its batch.
  package struct Surroundings: Sendable {
    /// Paths outside of the pass that were whole before a path in it. A directory that is not compared stands
    /// for everything below it.
    package var deferred: Set<RelativePath> = []
    /// Paths outside of the pass that have had an older version on S3 since before a path of the pass
    /// changed.
    package var stale: Set<RelativePath> = []
    /// Open files outside of the pass that a comparison found open.
    package var unwatched: [RelativePath: UnwatchedTime] = [:]
    /// For each marker of the batch, the open files of which it may name an earlier version.
    package internal(set) var openUnder: [RelativePath: [RelativePath]] = [:]
    /// The pointers among these paths, and the files to which they lead.
    package var pointers: [RelativePath: RelativePath] = [:]
    /// Publications that have outlived their pass.
    package var inFlight: [RelativePath: DirtyEntry] = [:]
    /// When the watch reported that a directory of the batch had left the tree.
    package var departures: [RelativePath: Instant] = [:]
    /// Paths that earlier batches of the same pass have left unpublished.
    package var unpublished: Set<RelativePath> = []
    /// Commit markers that are on S3, or in flight, and cover data that the batch overwrites.
    package var withdrawals = Withdrawals()
    /// Who publishes the withdrawn markers again.
    package var returning = Returning.withTheirData
    /// Whether something failed in an earlier batch of the same pass.
    package var hasFailed = false
    /// The markers that wait until the group of hosts lets them appear.
    package var group = GroupHold.none

    package init(deferred: Set<RelativePath> = []) { self.deferred = deferred }

    /// The unpublished paths outside of the pass.
    var unpublishedPaths: Set<RelativePath> { deferred.union(unpublished).union(inFlight.keys) }
  }
}
