/// A checkpoint under a remote, as ``checkpoints(at:exclude:include:options:)`` lists it.
public struct Checkpoint: Sendable, Hashable {
  /// Whether it may be restored.
  public enum State: String, Sendable, Hashable, CaseIterable {
    /// A receipt, its framework's marker, or a file that names the checkpoint shows that nothing is missing.
    case complete
    /// Nothing is known to be missing, but nothing shows that the checkpoint is complete.
    case unproved
    case incomplete
  }

  /// The checkpoint's path below the remote: a directory, or the part that the names of its files share. `.`
  /// is the remote itself.
  public var name: String
  public var files: Int
  public var bytes: Int64
  /// When its last object was published, by the server's clock: nanoseconds since 1970-01-01 UTC.
  public var published: Int64
  public var state: State
  /// What shows that the checkpoint is complete, or why it is not complete.
  public var reason: String
  /// The files that name the checkpoint, such as `latest`, as paths below the remote.
  public var namedBy: [String]
}

/// How much of a checkpoint a restore fetches.
public enum RestoreExtent: Sendable, Hashable {
  /// All of it, whichever hosts wrote it.
  case everything
  /// What this member of ``Options/group`` wrote, and the files that name the checkpoint.
  case ownPart
}

/// The result of ``restore(_:local:unit:exclude:include:extent:options:)``.
public struct RestoredCheckpoint: Sendable, Hashable {
  public var checkpoint: Checkpoint
  /// The local path of the checkpoint: its directory, or its file if it is one.
  public var path: FilePath
  /// How many files were fetched.
  public var files: Int
  public var bytes: Int64
  /// How many files existed locally and were not fetched.
  public var unchanged: Int
}
