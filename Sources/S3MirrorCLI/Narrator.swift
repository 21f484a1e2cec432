import S3Mirror
import Synchronization

/// Says on standard error what a mirror does: a line a pass, and a failed path once until it succeeds.
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
  private let told = Mutex<Set<String>>([])

  init(_ detail: Detail, format: Format = .text) {
    self.detail = format == .json ? .quiet : detail
    self.format = format
  }

  func tell(_ event: MirrorEvent) {
    if format == .json { EventLine.lines(of: event).forEach { Console.data(JSONText.encode($0)) } }
    switch event {
    case .transferred(let transfer):
      if detail == .verbose { Console.note("\(transfer.mirror): \(transfer.operation) \(transfer.path)") }
    case .failed(let mirror, let operation, let path, let reason):
      let isNew = told.withLock { told in
        // A long outage would otherwise say the same of every file at every tick.
        if told.count > 10_000 { told = [] }
        return told.insert("\(mirror)/\(path): \(reason)").inserted
      }
      if isNew { Console.note("\(mirror): \(operation) of \(path) failed: \(reason)") }
    case .pass(let summary):
      let isWorthALine = summary.requestCount > 0 || !summary.failures.isEmpty
      if detail == .verbose || (detail == .normal && isWorthALine) { Console.note(summary.description) }
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

  /// What the first signal began may take its time: without a word it would seem lost.
  func tellOfFirstSignal(_ label: String) {
    tell(.notice("\(label): it goes on to its end; a second signal leaves at once"))
  }

  /// The local path of a download, the command's result.
  func tell(download name: String, isAt path: String) {
    switch format {
    case .text: Console.data(path)
    case .json: Console.data(JSONText.encode(EventLine(event: "downloaded", mirror: name, local: path)))
    }
  }

  /// What did not arrive, and what was withheld: the last word of a run.
  func tell(_ report: MirrorReport) {
    if format == .json { EventLine.lines(of: .ended(report)).forEach { Console.data(JSONText.encode($0)) } }
    for upload in report.uploads {
      for failure in upload.failures { Console.error("\(upload.name): not published: \(failure)") }
      if let first = upload.withheld.first {
        Console.error("\(upload.name): \(upload.withheldDeletes) deletes withheld: \(first.reason)")
      }
      if upload.drift > 0 {
        Console.note("\(upload.name): comparisons found \(upload.drift) changes that no event had told of")
      }
      if upload.skipped > 0, detail != .quiet {
        Console.note("\(upload.name): \(upload.skipped) symbolic links and special files left out")
      }
    }
  }
}
