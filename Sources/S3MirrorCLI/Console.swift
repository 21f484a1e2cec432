import Foundation
import Glibc
import S3Mirror
import Synchronization

/// Standard error: messages and progress. Standard output is for data.
enum Console {
  static func error(_ text: String) {
    write("s3mirror: \(text)\n")
  }

  static func note(_ text: String) {
    write("s3mirror: \(text)\n")
  }

  /// A line of data.
  static func data(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }

  /// Data by bytes, for `log --json`.
  static func data(_ bytes: [UInt8]) {
    FileHandle.standardOutput.write(Data(bytes))
  }

  private static func write(_ text: String) {
    FileHandle.standardError.write(Data(text.utf8))
  }
}

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

  private let detail: Detail
  private let told = Mutex<Set<String>>([])

  init(_ detail: Detail) {
    self.detail = detail
  }

  func tell(_ event: MirrorEvent) {
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
        Console.note("\(name): \(files) files, \(bytes) bytes fetched, \(unchanged) unchanged")
      }
    case .notice(let text):
      if detail != .quiet { Console.note(text) }
    case .ended(let report):
      tell(report)
    }
  }

  /// What did not arrive, and what was withheld: the last word of a run.
  func tell(_ report: MirrorReport) {
    for upload in report.uploads {
      for failure in upload.failures { Console.error("\(upload.name): not published: \(failure)") }
      if let first = upload.withheld.first {
        Console.error("\(upload.name): \(upload.withheld.count) deletes withheld: \(first.reason)")
      }
      if upload.skipped > 0, detail != .quiet {
        Console.note("\(upload.name): \(upload.skipped) symbolic links and special files left out")
      }
    }
  }
}
