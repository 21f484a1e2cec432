import S3Mirror
import Synchronization

/// Says on standard error what a mirror does: a line a pass, and failures as the library bounds them.
final class Narrator: Sendable {
  enum Detail: Sendable {
    /// Failures and notices only.
    case quiet
    /// Passes that did something.
    case normal
    /// Every pass and every file.
    case verbose
  }

  enum Format: Sendable {
    case text
    /// Every event on standard output; of the text on standard error only failures stay.
    case json
  }

  private let detail: Detail
  private let format: Format
  /// When a pass that could do nothing was last told of, by upload.
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
      // Something is not as it should be, which is what a quiet command says.
      if format == .text { Console.note(text) }
    case .ended:
      // The library's scopes end with it; a command tells its report itself.
      break
    }
  }

  /// Passes that asked for something. In an outage each tick is one in which everything fails: of those one a minute.
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

  /// What the first signal began may take its time: without a word it would seem lost.
  func tellOfFirstSignal(_ label: String) {
    tell(.notice("\(label): everything left is published first; a second signal leaves at once"))
  }

  /// The local path of a download, the command's result.
  func tell(download name: String, isAt path: String) {
    switch format {
    case .text: Console.result(path)
    case .json: Console.report(JSONText.encode(EventLine(event: "downloaded", mirror: name, local: path)))
    }
  }

  /// What did not arrive, and what was withheld: the last word of a run.
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

  /// A line for each reason, with the first names.
  static func withheld(_ upload: MirrorReport.Upload) -> [String] {
    var reasons: [String] = []
    for failure in upload.withheld where !reasons.contains(failure.reason) { reasons.append(failure.reason) }
    return reasons.map { reason in
      let paths = upload.withheld.filter { $0.reason == reason }.map(\.path)
      // Of more than a thousand the report has a number only.
      let count = reasons.count == 1 ? upload.withheldDeletes : paths.count
      let names = paths.prefix(3).joined(separator: ", ") + (count > 3 ? ", …" : "")
      return "\(count) \(count == 1 ? "delete" : "deletes") withheld: \(reason) (\(names))"
    }
  }

  /// The first failures by name, and how many more there are: after an outage they are thousands. JSON has them all.
  static func list(_ failures: [MirrorError.Failure], _ say: (String) -> Void) {
    for failure in failures.prefix(MirrorError.namedFailures) { say("\(failure)") }
    let more = failures.count - MirrorError.namedFailures
    if more > 0 { say("and \(more) more") }
  }
}
