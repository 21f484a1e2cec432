/// What an observer is told while a mirror works.
public enum MirrorEvent: Sendable {
  /// A file arrived: on S3, or here.
  case transferred(Transfer)
  /// A file did not arrive; it is tried again unless this was the end. Of one cause only the first ten are told, then a notice
  /// that they are more, one a minute with a count, and one when that is over. ``PassSummary/failures`` has all.
  case failed(mirror: String, operation: String, path: String, reason: String)
  /// A pass over one upload ended.
  case pass(PassSummary)
  /// A download ended.
  case downloaded(name: String, files: Int, bytes: Int64, unchanged: Int)
  /// The scope ended.
  case ended(MirrorReport)
  /// Something that the user should know and need not act on at once.
  case notice(String)

  public struct Transfer: Sendable {
    public var mirror: String
    /// `upload`, `download` or `copy`.
    public var operation: String
    public var path: String
    public var bytes: Int64
  }
}

/// What one pass over an upload did.
public struct PassSummary: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable {
    case entry
    case tick
    case flush
    case exit
    /// A comparison in between that should find nothing.
    case audit
    /// Old checkpoints were removed, or are withheld.
    case retention
  }

  /// The upload's name.
  public var name: String
  public var kind: Kind
  /// Ticks of this upload so far.
  public var number: Int
  public var published = 0
  public var publishedBytes: Int64 = 0
  /// Objects made by a copy on the server, for a rename; among `published`.
  public var copied = 0
  public var deleted = 0
  public var withheldDeletes = 0
  /// Files left dirty because they were open or changing.
  public var waiting = 0
  /// Symbolic links, sockets, FIFOs and devices that were met and left out.
  public var skipped = 0
  public var failures: [MirrorError.Failure] = []
  /// Requests by S3 operation, retries included.
  public var requests: [String: Int] = [:]
  public var seconds: Double = 0

  init(name: String, kind: Kind, number: Int) {
    self.name = name
    self.kind = kind
    self.number = number
  }

  /// Whether it did nothing and left nothing to be done but deletes that are withheld.
  var isIdle: Bool {
    published == 0 && deleted == 0 && waiting == 0 && failures.isEmpty && requests.isEmpty
  }

  /// All requests of the pass.
  public var requestCount: Int { requests.values.reduce(0, +) }
}

extension PassSummary: CustomStringConvertible {
  /// One line: `checkpoints: tick 3: 4 files, 61.2 MB published, 1 deleted; 9 requests (5 PutObject, …)`.
  public var description: String {
    let head = kind == .tick ? "\(name): tick \(number)" : "\(name): \(kind.rawValue)"
    var parts = ["\(published) \(published == 1 ? "file" : "files"), \(ByteCount(publishedBytes)) published"]
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
  /// Paths whose last attempt failed, with the reason.
  public var failures: [MirrorError.Failure]
  /// Files that wait because a program has them open for writing, those that have waited longest first.
  public var openFiles: [OpenFile] = []
  /// What was found under temporary names and is still there: it is published when it is renamed. At most 1,000, in order.
  public var temporaries: [String] = []
  public var withheldDeletes: Int
  /// The age of the oldest change that is not published: what a crash now would cost. Nil when everything is.
  public var recoveryPoint: Duration?
  /// Paths that audits, and the exit's comparison, found different from S3 though no event had told so. Above zero it
  /// is a bug, or somebody else writes under the prefix.
  public var drift = 0

  /// A file that is not published before it is closed.
  public struct OpenFile: Sendable, Hashable {
    /// Relative to the upload's root.
    public var path: String
    /// How long it has been open for writing, as far as it was seen.
    public var age: Duration
  }
}
