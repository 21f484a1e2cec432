/// What a mirror reports to its observer.
public enum MirrorEvent: Sendable {
  /// A file was published, or downloaded.
  case transferred(Transfer)
  /// A file could not be transferred. It is tried again, except at the end of the mirror. For one cause only
  /// the first ten failures are reported, then a notice that there are more, one notice a minute with a
  /// count, and one when the outage is over. ``PassSummary/failures`` holds all of them.
  case failed(mirror: String, operation: String, path: String, reason: String)
  /// A pass of one upload ended.
  case pass(PassSummary)
  /// A download ended.
  case downloaded(name: String, files: Int, bytes: Int64, unchanged: Int)
  /// The scope ended.
  case ended(MirrorReport)
  /// Information for the user that requires no immediate action.
  case notice(String)

  public struct Transfer: Sendable {
    public var mirror: String
    /// `upload`, `download` or `copy`.
    public var operation: String
    public var path: String
    public var bytes: Int64
  }
}

/// What one pass of an upload did.
public struct PassSummary: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable {
    case entry
    case tick
    case flush
    case exit
    /// An audit: a comparison during the run that should find no difference.
    case audit
    /// Old checkpoints were removed, or their deletes are withheld.
    case retention
  }

  /// The upload's name.
  public var name: String
  public var kind: Kind
  /// How many ticks this upload has had so far.
  public var number: Int
  public var published = 0
  public var publishedBytes: Int64 = 0
  /// How many of `published` are server-side copies for renamed files.
  public var copied = 0
  /// How many of `publishedBytes` were not sent, because the server copied them: from the objects that changed files
  /// replaced, or under another name.
  public var copiedBytes: Int64 = 0
  public var deleted = 0
  public var withheldDeletes = 0
  /// Files that stay unpublished because they are open or changing.
  public var waiting = 0
  /// Symbolic links, sockets, FIFOs and devices that were left out.
  public var skipped = 0
  public var failures: [MirrorError.Failure] = []
  /// Requests by S3 operation, including retries.
  public var requests: [String: Int] = [:]
  public var seconds: Double = 0

  init(name: String, kind: Kind, number: Int) {
    self.name = name
    self.kind = kind
    self.number = number
  }

  /// Whether the pass did nothing and left nothing to do except withheld deletes.
  var isIdle: Bool {
    published == 0 && deleted == 0 && waiting == 0 && failures.isEmpty && requests.isEmpty
  }

  /// How many requests the pass sent.
  public var requestCount: Int { requests.values.reduce(0, +) }
}

extension PassSummary: CustomStringConvertible {
  /// One line: `checkpoints: tick 3: 4 files, 61.2 MB published, 1 deleted; 9 requests (5 PutObject, …)`.
  public var description: String {
    let head = kind == .tick ? "\(name): tick \(number)" : "\(name): \(kind.rawValue)"
    var parts = ["\(published) \(published == 1 ? "file" : "files"), \(ByteCount(publishedBytes)) published"]
    if copiedBytes > 0 {
      parts.append("\(ByteCount(copiedBytes)) of them unchanged and copied on the server")
    }
    if copied > 0 { parts.append("\(copied) copied on the server") }
    if deleted > 0 { parts.append("\(deleted) deleted") }
    if waiting > 0 { parts.append("\(waiting) waiting") }
    if skipped > 0 { parts.append("\(skipped) skipped") }
    if withheldDeletes > 0 { parts.append("\(withheldDeletes) deletes withheld") }
    if !failures.isEmpty { parts.append("\(failures.count) failed") }
    let detail = requests.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    let total = "\(requestCount) \(requestCount == 1 ? "request" : "requests")"
    return "\(head): \(parts.joined(separator: ", ")); \(total)" + (detail.isEmpty ? "" : " (\(detail))")
  }
}

/// The state of one upload at this moment.
public struct UploadStatus: Sendable, Hashable {
  public var name: String
  public var waitingFiles: Int
  public var waitingBytes: Int64
  public var inFlightFiles: Int
  public var inFlightBytes: Int64
  public var publishedFiles: Int
  public var publishedBytes: Int64
  /// How many of `publishedBytes` were not sent, because the server copied them: from the objects that changed files
  /// replaced, or under another name.
  public var copiedBytes: Int64 = 0
  /// Paths whose last attempt failed, with the reasons.
  public var failures: [MirrorError.Failure]
  /// Files that wait because a program has them open for writing, longest wait first.
  public var openFiles: [OpenFile] = []
  /// Paths with temporary names that still exist, sorted, at most 1,000. A path is published when it is
  /// renamed to another name.
  public var temporaries: [String] = []
  public var withheldDeletes: Int
  /// The age of the oldest unpublished change: the work that a crash now would lose. Nil if everything is
  /// published.
  public var recoveryPoint: Duration?
  /// How many paths audits and the comparison at exit found different from S3 although no event had reported
  /// a change. A number above zero means a bug, or another writer under the prefix.
  public var drift = 0
  /// Commit markers that wait for other hosts of the group, each with the host for which it waits.
  public var heldMarkers: [MirrorError.Failure] = []

  /// A file that waits for its close.
  public struct OpenFile: Sendable, Hashable {
    /// Relative to the upload's root.
    public var path: String
    /// How long the file has been open for writing, since the mirror noticed it.
    public var age: Duration
  }
}
