/// A checkpoint under a remote, as ``checkpoints(at:exclude:include:options:)`` lists it.
public struct Checkpoint: Sendable, Hashable {
  /// Whether it may be restored.
  public enum State: String, Sendable, Hashable, CaseIterable {
    /// A receipt, a marker of its framework, or a file that names it says that nothing is missing.
    case complete
    /// Nothing is known to be missing, and nothing says that it is complete.
    case unproved
    case incomplete
  }

  /// Its path below the remote: a directory, or what the names of its files have in common. `.` is the remote itself.
  public var name: String
  public var files: Int
  public var bytes: Int64
  /// When its last object was published, as the server dates it: nanoseconds since 1970-01-01 UTC.
  public var published: Int64
  public var state: State
  /// What shows that it is complete, or why it is not.
  public var reason: String
  /// Paths below the remote of the files that name it, such as `latest`.
  public var namedBy: [String]
}

/// What ``restore(_:local:unit:exclude:include:options:)`` brought.
public struct RestoredCheckpoint: Sendable, Hashable {
  public var checkpoint: Checkpoint
  /// The local path of the checkpoint: its directory, or its file if it is one.
  public var path: FilePath
  /// Files that were fetched.
  public var files: Int
  public var bytes: Int64
  /// Files that were here already.
  public var unchanged: Int
}
