import S3Mirror
import Synchronization

/// Reports on standard error what a mirror does: one line for each pass, and failures within the library's
/// limits.
final class Narrator: Sendable {
  enum Detail: Sendable {
    /// Only failures and notices.
    case quiet
    /// Also passes that did something.
    case normal
    /// Also every pass and every file.
    case verbose
  }

  enum Format: Sendable {
    case text
    /// Every event on standard output. Standard error has only failures.
    case json
  }

  private let detail: Detail
  private let format: Format
  /// For each upload: when a pass that achieved nothing was last reported.
  private let barren = Mutex<[String: ContinuousClock.Instant]>([:])
  private let now: @Sendable () -> ContinuousClock.Instant

  init(
    _ detail: Detail, format: Format = .text,
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
  ) {
    self.detail = format == .json ? .quiet : detail
    self.format = format
    self.now = now
  }

  func tell(_ event: MirrorEvent) {
    if format == .json { EventLine.lines(of: event).forEach { Console.report(JSONText.encode($0)) } }
    switch event {
    case .transferred(let transfer):
      if detail == .verbose { Console.note("\(transfer.mirror): \(transfer.operation) \(transfer.path)") }
    case .failed(let mirror, let operation, let path, let reason):
      Console.note("\(mirror): \(operation) of \(path) failed: \(reason)")
    case .pass(let summary):
      if detail == .verbose || (detail == .normal && isWorthALine(summary)) {
        Console.note(summary.description)
      }
    case .downloaded(let name, let files, let bytes, let unchanged):
      if detail != .quiet {
        Console.note(
          "\(name): \(files) \(files == 1 ? "file" : "files"), \(ByteCount(bytes)) fetched, \(unchanged) unchanged"
        )
      }
    case .notice(let text):
      // A notice means that something is wrong, so even a quiet command reports it.
      if format == .text { Console.note(text) }
    case .ended:
      // The library's scopes send this event; a command reports the end itself.
      break
    }
  }

  /// Whether to report a pass: only passes that sent requests or failed. In an outage every tick fails, so
  /// only one such pass a minute is reported.
  func isWorthALine(_ summary: PassSummary) -> Bool {
    let isBarren = summary.published == 0 && summary.deleted == 0 && !summary.failures.isEmpty
    return barren.withLock { barren in
      guard isBarren, summary.kind != .exit else {
        barren[summary.name] = nil
        return summary.requestCount > 0 || !summary.failures.isEmpty
      }
      if let last = barren[summary.name], now() - last < .seconds(60) { return false }
      barren[summary.name] = now()
      return true
    }
  }

  /// Reports the first signal, because the work that it begins may take long without further output.
  func tellOfFirstSignal(_ label: String) {
    tell(.notice("\(label): everything left is published first; a second signal leaves at once"))
  }

  /// Reports the local path of a download, which is the command's result.
  func tell(download name: String, isAt path: String) {
    switch format {
    case .text: Console.result(path)
    case .json: Console.report(JSONText.encode(EventLine(event: "downloaded", mirror: name, local: path)))
    }
  }

  /// Reports unpublished paths and withheld deletes at the end of a run.
  func tell(_ report: MirrorReport) {
    if format == .json { EventLine.lines(of: .ended(report)).forEach { Console.report(JSONText.encode($0)) } }
    for upload in report.uploads {
      Self.list(upload.failures) { Console.error("\(upload.name): not published: \($0)") }
      for line in Self.withheld(upload) { Console.error("\(upload.name): \(line)") }
      if upload.drift > 0 {
        Console.note("\(upload.name): comparisons found \(upload.drift) changes that no event had reported")
      }
      if upload.skipped > 0, detail != .quiet {
        Console.note("\(upload.name): \(upload.skipped) symbolic links and special files left out")
      }
    }
  }

  /// One line for each reason, with the first paths.
  static func withheld(_ upload: MirrorReport.Upload) -> [String] {
    var reasons: [String] = []
    for failure in upload.withheld where !reasons.contains(failure.reason) { reasons.append(failure.reason) }
    return reasons.map { reason in
      let paths = upload.withheld.filter { $0.reason == reason }.map(\.path)
      // The report names at most a thousand paths; beyond that it only has the number.
      let count = reasons.count == 1 ? upload.withheldDeletes : paths.count
      let names = paths.prefix(3).joined(separator: ", ") + (count > 3 ? ", …" : "")
      return "\(count) \(count == 1 ? "delete" : "deletes") withheld: \(reason) (\(names))"
    }
  }

  /// Reports the first failures by name and the number of the others, because an outage causes thousands.
  /// JSON output has all of them.
  static func list(_ failures: [MirrorError.Failure], _ say: (String) -> Void) {
    for failure in failures.prefix(MirrorError.namedFailures) { say("\(failure)") }
    let more = failures.count - MirrorError.namedFailures
    if more > 0 { say("and \(more) more") }
  }
}
