import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// Decides which failures a mirror reports: `OutageNotices` with a lock and a clock.
final class FailureReporter: Sendable {
  private let notices = Mutex(OutageNotices())
  private let now: @Sendable () -> Instant

  init(now: @escaping @Sendable () -> Instant = { .now }) {
    self.now = now
  }

  func failed(_ subject: OutageNotices.Subject, because cause: String) -> (
    isNew: Bool, notices: [OutageNotices.Notice]
  ) {
    let instant = now()
    return notices.withLock { $0.failed(subject, because: cause, at: instant) }
  }

  func succeeded(_ subject: OutageNotices.Subject) -> [OutageNotices.Notice] {
    let instant = now()
    return notices.withLock { $0.succeeded(subject, at: instant) }
  }

  func passed() -> [OutageNotices.Notice] {
    let instant = now()
    return notices.withLock { $0.passed(at: instant) }
  }
}

extension OutageNotices.Notice {
  /// Nil for a single failure, which has its own text.
  var text: String? {
    switch self {
    case .single: nil
    case .began(let outage):
      "\(outage.names): more than \(OutageNotices.namedFailures) paths failed for one cause: \(outage.cause). "
        + "From now on they are counted, once a minute, and tried again"
    case .lasts(let outage):
      "\(outage.names): still failing after \(outage.seconds): \(outage.count(outage.failing)) not done, "
        + "and tried again: \(outage.cause)"
    case .ended(let outage):
      "\(outage.names): over after \(outage.seconds), \(outage.count(outage.paths)) had failed: \(outage.cause)"
    }
  }
}

extension OutageNotices.Outage {
  fileprivate var names: String {
    mirrors.prefix(3).joined(separator: ", ") + (mirrors.count > 3 ? " and \(mirrors.count - 3) more" : "")
  }

  fileprivate var seconds: String { "\(Int(lasted.seconds.rounded())) s" }

  fileprivate func count(_ paths: Int) -> String {
    let isMore = paths >= OutageNotices.capacity
    return "\(paths)\(isMore ? " or more" : "") \(paths == 1 ? "path" : "paths")"
  }
}

/// The text that failures of one cause share: their error without the path.
enum FailureCause {
  static func text(of error: any Error, operation: String, path: String, key: String) -> String {
    switch error {
    case let error as S3Error: text(of: error)
    case let error as TreeError: text(of: error)
    default:
      "\(operation): "
        + [key, path].reduce(cause(of: error)) { without($1, in: $0) }
    }
  }

  /// Removes a name from the text, but only where the name is a whole word, because a file may be called `a`.
  private static func without(_ name: String, in text: String) -> String {
    guard !name.isEmpty else { return text }
    var shown = ""
    var rest = text[...]
    while let found = rest.firstRange(of: name) {
      let isWord =
        !(rest[..<found.lowerBound].last ?? shown.last).isPartOfName
        && !rest[found.upperBound...].first.isPartOfName
      shown += rest[..<found.lowerBound] + (isWord ? "…" : rest[found])
      rest = rest[found.upperBound...]
    }
    return shown + rest
  }

  /// The number of missing bytes is left out, because it differs between files.
  private static func text(of error: TreeError) -> String {
    if case .diskFull = error.detail { return "the disk is full; free space on that filesystem" }
    return without(error.path, in: error.description)
  }

  /// Only S3's code is kept, because libcurl's texts contain milliseconds and the server's contain request
  /// IDs and keys. A lack of permission concerns one operation; other errors concern all operations.
  static func text(of error: S3Error) -> String {
    let subject = error.isAccessDenied ? "\(error.operation) on s3://\(error.bucket)" : "s3://\(error.bucket)"
    let status = error.status == 0 ? "" : " (HTTP \(error.status))"
    return "\(subject): \(error.code)\(status)" + (error.remedy.map { "; \($0)" } ?? "")
  }
}

extension Character? {
  fileprivate var isPartOfName: Bool { map { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "/" } ?? false }
}
