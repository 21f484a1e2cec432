import LocalTree
import Logging
import MirrorModel
import S3Client
import Transfers

/// The settings of a whole mirror.
public struct Options: Sendable {
  /// The folder for paths without `local`; `~` is the home directory. Default `~/.cache/positronic/s3/`.
  public var cacheRoot: String
  /// Print progress to standard error. Default true.
  public var showProgress: Bool
  /// The largest number of concurrent requests with a payload, over all downloads and uploads. Default
  /// ``MaxWorkers-swift.enum/automatic``.
  public var maxWorkers: MaxWorkers
  /// The AWS profile for URLs without one. Nil takes `AWS_PROFILE` or the default profile.
  public var profile: String?
  /// The service's URL. Nil takes `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile.
  public var endpointURL: String?
  /// The bucket's region. Nil takes the environment or the profile.
  public var region: String?
  /// Send requests without a signature. Default false.
  public var anonymous: Bool
  /// Allow plain http to other hosts. Default false.
  public var allowInsecure: Bool
  /// Whether signatures cover the uploaded content. Default ``PayloadSigning-swift.enum/automatic``.
  public var payloadSigning: PayloadSigning
  /// The access to buckets for specs without their own.
  public var access: BucketAccess
  /// What happens to uploads if the body throws. Default ``OnError-swift.enum/upload``.
  public var onError: OnError
  /// How long the final publication may take. Nil, the default, sets no limit.
  public var exitTimeout: Duration?
  /// With interval zero: how long a file must be unchanged before it is published. Also the time between the
  /// two reads of a snapshot. Default 1 second.
  public var settle: Duration
  /// How long an open file of ``appendNames`` waits for its close before a snapshot of it is published.
  /// Default: one interval.
  public var openFileGrace: Duration?
  /// Names of files that are only appended to. Such a file may be published while a program has it open for
  /// writing, but only if it adds bytes to the published ones. Every other file waits for its close, however
  /// long that takes, because a prefix of a checkpoint is an incomplete checkpoint. Default
  /// ``defaultAppendNames``.
  public var appendNames: [String]
  /// The time between two audits. An audit compares everything and should find no difference. Default one
  /// day; nil turns audits off.
  public var auditInterval: Duration?
  /// How a reconciliation compares a file and an object of equal size. Default
  /// ``Compare-swift.enum/standard``.
  public var compare: Compare
  /// With ``Compare-swift.enum/standard``: how much later than a file's last change its object must be dated,
  /// so that the contents need not be compared. Default 15 minutes, because AWS dates a multipart object by
  /// the start of its upload.
  public var suspectWithin: Duration
  /// How many objects one batch of deletes may remove. Default ``MaxDelete-swift.enum/standard``.
  public var maxDelete: MaxDelete
  /// How many of the newest complete checkpoints of each series of names stay on S3. Older ones are removed
  /// from S3, even if they still exist here. At least two; nil, the default, removes none.
  public var keepLast: Int?
  /// With ``keepLast``: checkpoints whose step is a multiple of this number stay too. Default nil.
  public var keepEvery: Int64?
  /// Publish a receipt for each checkpoint: `.s3mirror/receipts/<checkpoint>.json` below the remote names its
  /// objects with sizes, ETags and CRC-32. A restore trusts a receipt more than names, and needs one for
  /// frameworks that write no marker. Default false. In a group each host publishes one of its part, whatever
  /// this says.
  public var receipts: Bool
  /// What happens to the object under the old name of a renamed file. Default ``Renames-swift.enum/move``.
  public var renames: Renames
  /// The condition under which an object is deleted. Default ``DeleteCondition-swift.enum/none``.
  public var deleteCondition: DeleteCondition
  /// Names of commit markers, which are published after everything else in their directory. Default
  /// ``defaultCommitLast``.
  public var commitLast: [String]
  /// Names of in-progress marks. While a mark such as `X-unfinished` exists, readers treat X as incomplete. A
  /// mark is published before any change of the paths that it names, and removed after all of these changes,
  /// whatever `delete` is. Default ``defaultInProgressNames``.
  public var inProgressNames: [String]
  /// Temporary names of files and directories. Nothing is published under such a name. A file is published
  /// when it is renamed to a name that is not temporary. Default ``defaultTemporaryNames``.
  public var temporaryNames: [String]
  /// What to do with symbolic links. Default ``Symlinks-swift.enum/pointer``.
  public var symlinks: Symlinks
  /// What to do with directories that hold no published file. Default ``EmptyDirectories-swift.enum/skip``.
  public var emptyDirectories: EmptyDirectories
  /// The largest file that is sent in one request, in bytes. Default 16 MiB.
  public var multipartThreshold: Int64
  /// The smallest part size, in bytes. It grows so that S3's 10,000 parts suffice. Default 16 MiB.
  public var partBytes: Int64
  /// How a changed file is sent whose published content this mirror knows. Default
  /// ``Delta-swift.enum/automatic``.
  public var delta: Delta
  /// The limit for all uploads together, in bytes per second. Nil, the default, sets no limit.
  public var maxUploadBytesPerSecond: Int64?
  /// The limit for all downloads together, in bytes per second. Nil, the default, sets no limit.
  public var maxDownloadBytesPerSecond: Int64?
  /// Run with low priority for processor and disk. Default false.
  public var lowPriority: Bool
  /// Age, since its last part, at which an unfinished multipart upload under an upload's prefix is aborted at
  /// entry, whichever program began it. Unfinished uploads are billed. Nil aborts none. Default 7 days.
  public var staleUploadAge: Duration?
  /// How often a request is sent before the operation fails: twice as often if the service asks for fewer requests
  /// (503 SlowDown), unless this is 1. Default 5.
  public var maxAttempts: Int
  /// The folder of the transfer logs. Nil takes `$XDG_STATE_HOME/s3mirror/log`.
  public var logDirectory: String?
  /// How many days transfer logs are kept. Default 30.
  public var logKeepDays: Int
  /// The mirror's name in the transfer log. Default `mirror`.
  public var name: String
  /// Open a socket by which `s3mirror status` and `s3mirror flush` of the same user find this mirror. The
  /// socket is in `$XDG_RUNTIME_DIR/s3mirror` or, without that variable, in `$XDG_STATE_HOME/s3mirror/run`.
  /// Default false.
  public var controlSocket: Bool
  /// The group of hosts that this mirror belongs to. Nil, the default, is no group.
  public var group: Group?
  /// The library's logger. Default: swift-log with the label `s3mirror`.
  public var logger: Logger
  /// Receives every event, in the task that caused it. It must not block.
  public var observer: (@Sendable (MirrorEvent) -> Void)?
  /// The environment for credentials and endpoints. Nil takes the process's own.
  public var environment: [String: String]?

  public enum PayloadSigning: String, Sendable, Hashable, CaseIterable {
    /// Large bodies are not signed if TLS protects them or if they stay on this host, because a SHA-256 of
    /// all content costs processor time. Small bodies are always signed.
    case automatic = "auto"
    /// For services that reject unsigned payloads (`UNSIGNED-PAYLOAD`; Amazon S3 API Reference, "Signature
    /// Calculations for the Authorization Header").
    case always
    /// For services behind a proxy that changes bodies.
    case never
  }

  public enum OnError: String, Sendable, Hashable, CaseIterable {
    /// Publish what exists and delete nothing.
    case upload
    /// Leave S3 as it is.
    case skip
  }

  public enum Compare: String, Sendable, Hashable, CaseIterable {
    /// Sizes alone.
    case size
    /// Sizes, and contents if the times are inconclusive.
    case standard = "default"
    /// Contents always.
    case checksum
  }

  public enum MaxDelete: Sendable, Hashable {
    /// Deletes are withheld if they exceed both half of the objects under the prefix and 10 objects.
    case standard
    case limit(Int)
    case unlimited
  }

  public enum DeleteCondition: Sendable, Hashable {
    /// No condition: the object is deleted whichever program wrote it last.
    case none
    /// The object is deleted only while it has the ETag that this mirror published or, without a publication,
    /// listed. An object that another program has written since is kept and reported as withheld. A server
    /// without conditional deletes deletes the object all the same.
    case ifMatch
  }

  public enum Renames: String, Sendable, Hashable, CaseIterable {
    /// The object that this run published under the old name is deleted once the new name is published,
    /// whatever `delete` is. Otherwise every temporary name would stay beside the final one.
    case move
    /// The object stays, unless `delete` removes it.
    case copy
  }

  public enum Symlinks: String, Sendable, Hashable, CaseIterable {
    /// Left out and counted.
    case skip
    /// Their targets are uploaded. Loops are detected.
    case follow
    /// A link to a file inside of the root becomes an object with that file's content. The object is copied
    /// on the server, after the file itself. All other links are left out and counted.
    case pointer
    /// Each link becomes a small object that a download turns back into a link.
    case link
  }

  public enum Delta: String, Sendable, Hashable, CaseIterable {
    /// Only what changed is sent, and the server copies the rest from the object that is replaced, where this
    /// saves enough.
    case automatic = "auto"
    /// The whole file is sent.
    case off
  }

  public enum EmptyDirectories: String, Sendable, Hashable, CaseIterable {
    /// Left out, because S3 has no directories.
    case skip
    /// Each directory has a zero-byte object whose key ends in a slash. With `delete`, the object is removed
    /// once the directory is gone.
    case marker
  }

  public init(
    cacheRoot: String = "~/.cache/positronic/s3/", showProgress: Bool = true,
    maxWorkers: MaxWorkers = .automatic
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
    receipts = false
    keepLast = nil
    keepEvery = nil
    renames = .move
    deleteCondition = .none
    commitLast = Self.defaultCommitLast
    inProgressNames = Self.defaultInProgressNames
    temporaryNames = Self.defaultTemporaryNames
    symlinks = .pointer
    emptyDirectories = .skip
    multipartThreshold = 16 << 20
    partBytes = 16 << 20
    delta = .automatic
    maxUploadBytesPerSecond = nil
    maxDownloadBytesPerSecond = nil
    lowPriority = false
    staleUploadAge = .seconds(7 * 86_400)
    maxAttempts = 5
    logDirectory = nil
    logKeepDays = 30
    name = "mirror"
    controlSocket = false
    group = nil
    logger = Logger(label: "s3mirror")
    observer = nil
    environment = nil
  }
}

extension Options {
  /// The longest time of any option: ten years, in seconds.
  static let longestSeconds: Int64 = 10 * 365 * 86_400

  /// - Throws: `MirrorError.invalid` that names the option and its valid values.
  func check() throws(MirrorError) {
    if case .fixed(let count) = maxWorkers, !(1...10_000).contains(count) {
      throw MirrorError(.invalid, "maxWorkers is \(count); it may be from 1 to 10,000")
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
    try group?.check()
    if let group, group.isShared, keepLast != nil {
      throw MirrorError(
        .invalid,
        "keepLast removes whole checkpoints, and in a group each host removes only its own objects; remove old checkpoints without --keep-last, or without a group"
      )
    }
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
  /// How many files are at most in work at one time.
  var filesUnderWay: Int { Self.filesUnderWay(forRequests: workerLimit.most) }

  /// How many objects are asked about, or compared with files, at one time. What these bring is not measured, so
  /// an automatic number does not grow with them.
  var questionsUnderWay: Int { maxWorkers == .automatic ? min(filesUnderWay, 80) : filesUnderWay }

  /// How many files are in work while so many requests may be in flight. There are more files, so that the next
  /// ones are read, proved and signed while requests run. Four more suffice: there are two reader threads, and the
  /// other steps take microseconds. Each file costs a task and a buffer, so more of them drive one another out of
  /// the processor's cache; with sixteen more a small file takes 5 % longer.
  static func filesUnderWay(forRequests requests: Int) -> Int { requests + min(requests, 4) }

  /// The same for downloads. A file is in work until it has reached the disk, which its request does not wait for.
  static func downloadsUnderWay(forRequests requests: Int) -> Int { requests + min(requests, 16) }
}

extension Options {
  /// Nil if no checkpoint is removed.
  ///
  /// - Throws: `MirrorError.invalid` that names the valid numbers.
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

  /// The commit markers of checkpoints, including the default ones, whatever this mirror's uploads use.
  var restoreMarkers: [String] { commitLast + DefaultNames.markers }
}

extension Options.Symlinks {
  var policy: SymlinkPolicy {
    switch self {
    case .skip: .skip
    case .follow: .follow
    case .pointer: .pointer
    case .link: .link
    }
  }
}

extension Options {
  /// How a reconciliation compares. The listing measures the server's clock.
  var comparison: Comparison {
    Comparison(policy: compare.policy, suspicionWindow: suspectWithin.wholeNanoseconds)
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
