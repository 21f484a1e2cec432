/// What a scope did, for each upload.
public struct MirrorReport: Sendable, Hashable {
  /// One upload from entry to exit.
  public struct Upload: Sendable, Hashable {
    public var name: String
    public var published = 0
    public var publishedBytes: Int64 = 0
    public var deleted = 0
    /// How many deletes the guard withheld. Withheld deletes are no error.
    public var withheldDeletes = 0
    /// The first thousand withheld deletes, with the reasons.
    public var withheld: [MirrorError.Failure] = []
    /// Paths that should be on S3 and are not.
    public var failures: [MirrorError.Failure] = []
    /// Symbolic links, sockets, FIFOs and devices that were left out.
    public var skipped = 0
    /// How many paths audits and the comparison at exit found different from S3 although no event had
    /// reported a change. A number above zero means a bug, or another writer under the prefix.
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
  /// The error that `withMirror` throws if its body succeeded; nil if everything is published.
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
