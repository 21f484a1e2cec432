/// What a scope did, upload by upload.
public struct MirrorReport: Sendable, Hashable {
  /// One upload from entry to exit.
  public struct Upload: Sendable, Hashable {
    public var name: String
    public var published = 0
    public var publishedBytes: Int64 = 0
    public var deleted = 0
    /// How many deletes the guard withheld. No error.
    public var withheldDeletes = 0
    /// The first thousand of them, and why.
    public var withheld: [MirrorError.Failure] = []
    /// What is not on S3 though it should be.
    public var failures: [MirrorError.Failure] = []
    /// Symbolic links, sockets, FIFOs and devices that were left out.
    public var skipped = 0
    /// Paths that audits, and the exit's comparison, found different from S3 though no event had told so. Above zero
    /// it is a bug, or somebody else writes under the prefix.
    public var drift = 0
    public var ticks = 0
    /// Requests by S3 operation.
    public var requests: [String: Int] = [:]
  }

  public var uploads: [Upload] = []

  package init(uploads: [Upload] = []) {
    self.uploads = uploads
  }

  /// Whether everything that should be on S3 is there.
  public var isComplete: Bool { uploads.allSatisfy { $0.failures.isEmpty } }
}

extension MirrorReport {
  /// What `withMirror` throws for a body that succeeded; nil when everything is published.
  var error: MirrorError? {
    let failures = uploads.flatMap { upload in
      upload.failures.map { failure in
        MirrorError.Failure(
          path: uploads.count > 1 ? "\(upload.name)/\(failure.path)" : failure.path, reason: failure.reason,
          fault: failure.fault)
      }
    }
    guard !failures.isEmpty else { return nil }
    let count = failures.count
    return MirrorError(
      .incomplete, "\(count) \(count == 1 ? "path" : "paths") could not be published", failures: failures)
  }
}
