import LocalTree
import Logging
import MirrorModel
import S3Client
import Transfers

/// What holds for a whole mirror.
public struct Options: Sendable {
  /// Where paths without `local` lie; `~` is the home directory. Default `~/.cache/positronic/s3/`.
  public var cacheRoot: String
  /// Print progress to standard error. Default true.
  public var showProgress: Bool
  /// The most requests with a payload at one time, over all downloads and uploads. Default 10.
  public var maxWorkers: Int
  /// The AWS profile for URLs that name none; nil leaves it to `AWS_PROFILE` and the default profile.
  public var profile: String?
  /// The service's URL; nil leaves it to `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` and the profile.
  public var endpointURL: String?
  /// The bucket's region; nil leaves it to the environment and the profile.
  public var region: String?
  /// Send requests without a signature. Default false.
  public var anonymous: Bool
  /// Let plain http go to hosts other than this one. Default false.
  public var allowInsecure: Bool
  /// Whether signatures cover what is uploaded. Default ``PayloadSigning-swift.enum/automatic``.
  public var payloadSigning: PayloadSigning
  /// The access to buckets for which a spec names none.
  public var access: BucketAccess
  /// What happens to uploads when the body throws. Default ``OnError-swift.enum/upload``.
  public var onError: OnError
  /// How long the drain at exit may take; nil, the default, sets no bound.
  public var exitTimeout: Duration?
  /// With interval zero: how long a file must be unchanged before it is published. Also the time between the two readings of a
  /// snapshot. Default 1 second.
  public var settle: Duration
  /// How long an open file of ``appendNames`` waits for its close before a snapshot of it is published. Default: one interval.
  public var openFileGrace: Duration?
  /// Names of files that are only appended to. Such a file may be published while a program has it open for writing, and
  /// only with more at its end than S3 has. Every other file waits for its close, however long, because a prefix of a
  /// checkpoint is half a checkpoint. Default ``defaultAppendNames``.
  public var appendNames: [String]
  /// Time from audit to audit: a comparison of everything that should find nothing. Default one day; nil makes none.
  public var auditInterval: Duration?
  /// How a reconciliation compares a file and an object of equal size. Default ``Compare-swift.enum/standard``.
  public var compare: Compare
  /// With ``Compare-swift.enum/standard``: how much later than a file's last change its object must be dated, so
  /// that the contents need not be compared. Default 15 minutes, because AWS dates a multipart object by the start of its upload.
  public var suspectWithin: Duration
  /// How many objects one batch of deletes may remove. Default ``MaxDelete-swift.enum/standard``.
  public var maxDelete: MaxDelete
  /// How many of the newest complete checkpoints of each series of names stay on S3; older ones are removed from S3, whatever is kept
  /// here. Two at least; nil, the default, removes none.
  public var keepLast: Int?
  /// With ``keepLast``: checkpoints whose step is a multiple of this stay too. Default nil.
  public var keepEvery: Int64?
  /// What happens to the object under the old name of a renamed file. Default ``Renames-swift.enum/move``.
  public var renames: Renames
  /// What an object must still be to be deleted. Default ``DeleteCondition-swift.enum/none``.
  public var deleteCondition: DeleteCondition
  /// Names published only after everything else in their directory. Default ``defaultCommitLast``.
  public var commitLast: [String]
  /// Names of in-progress marks: while a mark such as `X-unfinished` is there, readers take X for incomplete. A mark is published
  /// before any change of what it speaks for, and removed after all of them, whatever `delete` says. Default
  /// ``defaultInProgressNames``.
  public var inProgressNames: [String]
  /// Temporary names of files and directories: these are never published under such a name. What has one is published when it is
  /// renamed to a name that is none. Default ``defaultTemporaryNames``.
  public var temporaryNames: [String]
  /// What to do with symbolic links. Default ``Symlinks-swift.enum/skip``.
  public var symlinks: Symlinks
  /// What to do with directories in which nothing has a key. Default ``EmptyDirectories-swift.enum/skip``.
  public var emptyDirectories: EmptyDirectories
  /// The largest file that is sent in one request, in bytes. Default 16 MiB.
  public var multipartThreshold: Int64
  /// The part size to start from, in bytes; grown so that S3's 10,000 parts suffice. Default 16 MiB.
  public var partBytes: Int64
  /// The most bytes per second of all uploads together; nil, the default, sets no bound.
  public var maxUploadBytesPerSecond: Int64?
  /// The most bytes per second of all downloads together; nil, the default, sets no bound.
  public var maxDownloadBytesPerSecond: Int64?
  /// Give other programs priority on the processor and on the disk. Default false.
  public var lowPriority: Bool
  /// Multipart uploads under an upload's prefix, whoever began them, that got no part for this long are aborted at entry, because
  /// they are billed; nil leaves them. Default 7 days.
  public var staleUploadAge: Duration?
  /// How often a request is sent before its operation fails. Default 5.
  public var maxAttempts: Int
  /// The folder of the transfer logs; nil is `$XDG_STATE_HOME/s3mirror/log`.
  public var logDirectory: String?
  /// Days that transfer logs are kept. Default 30.
  public var logKeepDays: Int
  /// The mirror's name in the transfer log. Default `mirror`.
  public var name: String
  /// Let `s3mirror status` and `s3mirror flush` of the same user find this mirror, by a socket in `$XDG_RUNTIME_DIR/s3mirror`
  /// or, without that variable, in `$XDG_STATE_HOME/s3mirror/run`. Default false.
  public var controlSocket: Bool
  /// Where the library logs. Default: swift-log's `s3mirror` label.
  public var logger: Logger
  /// Gets every event, from the task that caused it; must not block.
  public var observer: (@Sendable (MirrorEvent) -> Void)?
  /// The environment that credentials and endpoints come from; nil is the process's own.
  public var environment: [String: String]?

  public enum PayloadSigning: String, Sendable, Hashable, CaseIterable {
    /// Not where TLS protects the bytes, or where they do not leave this host: there a SHA-256 of everything would only cost
    /// processor time. Small bodies are covered always.
    case automatic = "auto"
    /// For services that take no unsigned payload (`UNSIGNED-PAYLOAD`; Amazon S3 API Reference, "Signature Calculations for
    /// the Authorization Header").
    case always
    /// For services behind something that changes bodies on their way.
    case never
  }

  public enum OnError: String, Sendable, Hashable, CaseIterable {
    /// Publish what there is, delete nothing.
    case upload
    /// Leave S3 as it is.
    case skip
  }

  public enum Compare: String, Sendable, Hashable, CaseIterable {
    /// Sizes alone.
    case size
    /// Sizes, and content where times leave a doubt.
    case standard = "default"
    /// Content always.
    case checksum
  }

  public enum MaxDelete: Sendable, Hashable {
    /// Withheld above both half of the objects under the prefix and 10 objects.
    case standard
    case limit(Int)
    case unlimited
  }

  public enum DeleteCondition: Sendable, Hashable {
    /// Whoever wrote it last.
    case none
    /// Only while its ETag is the one that this mirror published or, where it did not, listed. What somebody else wrote since
    /// stays, and is reported as withheld. A server that does not know conditional deletes deletes all the same.
    case ifMatch
  }

  public enum Renames: String, Sendable, Hashable, CaseIterable {
    /// What this run published there goes once the new name is there, whatever `delete` says: otherwise every temporary
    /// name that a program renames would stay beside the final one.
    case move
    /// It stays, unless `delete` removes it.
    case copy
  }

  public enum Symlinks: String, Sendable, Hashable, CaseIterable {
    /// Left out and counted.
    case skip
    /// What they point to is uploaded; loops are detected.
    case follow
  }

  public enum EmptyDirectories: String, Sendable, Hashable, CaseIterable {
    /// S3 has no directories: left out.
    case skip
    /// Each has a zero-byte object whose key ends in a slash, removed with `delete` only when the directory is gone.
    case marker
  }

  public init(
    cacheRoot: String = "~/.cache/positronic/s3/", showProgress: Bool = true, maxWorkers: Int = 10
  ) {
    self.cacheRoot = cacheRoot
    self.showProgress = showProgress
    self.maxWorkers = maxWorkers
    profile = nil
    endpointURL = nil
    region = nil
    anonymous = false
    allowInsecure = false
    payloadSigning = .automatic
    access = BucketAccess()
    onError = .upload
    exitTimeout = nil
    settle = .seconds(1)
    openFileGrace = nil
    appendNames = Self.defaultAppendNames
    auditInterval = .seconds(86_400)
    compare = .standard
    suspectWithin = .nanoseconds(Comparison.defaultSuspicionWindow)
    maxDelete = .standard
    keepLast = nil
    keepEvery = nil
    renames = .move
    deleteCondition = .none
    commitLast = Self.defaultCommitLast
    inProgressNames = Self.defaultInProgressNames
    temporaryNames = Self.defaultTemporaryNames
    symlinks = .skip
    emptyDirectories = .skip
    multipartThreshold = 16 << 20
    partBytes = 16 << 20
    maxUploadBytesPerSecond = nil
    maxDownloadBytesPerSecond = nil
    lowPriority = false
    staleUploadAge = .seconds(7 * 86_400)
    maxAttempts = 5
    logDirectory = nil
    logKeepDays = 30
    name = "mirror"
    controlSocket = false
    logger = Logger(label: "s3mirror")
    observer = nil
    environment = nil
  }
}

extension Options {
  /// No time in them is longer: ten years, in seconds.
  static let longestSeconds: Int64 = 10 * 365 * 86_400

  /// - Throws: `MirrorError.invalid` that names the option and what it may be.
  func check() throws(MirrorError) {
    guard (1...10_000).contains(maxWorkers) else {
      throw MirrorError(.invalid, "maxWorkers is \(maxWorkers); it may be from 1 to 10,000")
    }
    guard (UploadPlan.Limit.smallestPart...UploadPlan.Limit.largestPart).contains(partBytes) else {
      throw MirrorError(.invalid, "partBytes is \(partBytes); S3 takes parts from 5 MiB to 5 GiB")
    }
    guard (0...UploadPlan.Limit.largestSingle).contains(multipartThreshold) else {
      throw MirrorError(
        .invalid, "multipartThreshold is \(multipartThreshold); S3 takes up to 5 GiB in one request")
    }
    guard (1...100).contains(maxAttempts) else {
      throw MirrorError(.invalid, "maxAttempts is \(maxAttempts); it may be from 1 to 100")
    }
    for rate in [maxUploadBytesPerSecond, maxDownloadBytesPerSecond] {
      if let rate, rate <= 0 {
        throw MirrorError(.invalid, "a limit of \(rate) bytes a second lets nothing through; nil means none")
      }
    }
    if case .limit(let limit) = maxDelete, limit < 0 {
      throw MirrorError(.invalid, "maxDelete is \(limit); it cannot be negative")
    }
    _ = try retentionPolicy()
    try access.check()
    let times: [(String, Duration?)] = [
      ("settle", settle), ("openFileGrace", openFileGrace), ("exitTimeout", exitTimeout),
      ("staleUploadAge", staleUploadAge), ("suspectWithin", suspectWithin),
    ]
    for (name, time) in times {
      guard let time else { continue }
      guard time >= .zero, time <= .seconds(Self.longestSeconds) else {
        throw MirrorError(.invalid, "\(name) is \(time); it may be from nothing to ten years")
      }
    }
    try checkNames()
  }
}

extension Options {
  /// Files under way at one time: more than requests, so that the next ones are read, proved and signed while those are sent.
  /// Sixteen more suffice, for that takes microseconds; each costs a task and a buffer.
  var filesUnderWay: Int { maxWorkers + min(maxWorkers, 16) }
}

extension Options {
  /// Nil where no checkpoint is removed.
  ///
  /// - Throws: `MirrorError.invalid` that says what the numbers may be.
  func retentionPolicy() throws(MirrorError) -> RetentionPlan.Policy? {
    guard let keepLast else {
      if keepEvery == nil { return nil }
      throw MirrorError(.invalid, "keepEvery keeps checkpoints besides those of keepLast; set keepLast too")
    }
    do {
      return try RetentionPlan.Policy(keepLast: keepLast, keepEvery: keepEvery)
    } catch {
      throw MirrorError(.invalid, error.description)
    }
  }

  /// What a checkpoint's readers take for a marker, whatever the uploads of this mirror publish last.
  var restoreMarkers: [String] { commitLast + DefaultNames.markers }
}

extension Options.Symlinks {
  var policy: SymlinkPolicy {
    switch self {
    case .skip: .skip
    case .follow: .follow
    }
  }
}

extension Options {
  /// How a reconciliation compares. The server's clock is found out by the listing.
  var comparison: Comparison {
    let (seconds, attoseconds) = suspectWithin.components
    return Comparison(
      policy: compare.policy, suspicionWindow: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
  }
}

extension Options.PayloadSigning {
  var policy: S3Bucket.PayloadSigning {
    switch self {
    case .automatic: .automatic
    case .always: .always
    case .never: .never
    }
  }
}

extension Options.Compare {
  var policy: ComparePolicy {
    switch self {
    case .size: .size
    case .standard: .standard
    case .checksum: .checksum
    }
  }
}

extension Options.MaxDelete {
  var bound: DeleteBound {
    switch self {
    case .standard: .standard
    case .limit(let limit): .limit(limit)
    case .unlimited: .unlimited
    }
  }
}
