import Glibc
import S3Mirror

/// How the program ends: the table "Exit status" of the page CommandLine. Thrown by commands that are done.
struct ExitStatus: Error, Sendable, Hashable {
  let code: Int32

  static let success = ExitStatus(code: 0)
  static let failure = ExitStatus(code: 1)
  static let usage = ExitStatus(code: 2)
  static let configuration = ExitStatus(code: 3)
  /// A command that cannot be executed, as shells say it.
  static let notExecutable = ExitStatus(code: 126)
  /// A command that is not found.
  static let notFound = ExitStatus(code: 127)

  /// Ended by a signal before all was published.
  static func signal(_ number: Int32) -> ExitStatus { ExitStatus(code: 128 + number) }

  init(code: Int32) {
    self.code = code
  }

  init(_ error: MirrorError) {
    switch error.kind {
    case .invalid: self = .usage
    case .configuration, .local: self = .configuration
    case .incomplete, .interrupted: self = .failure
    }
  }

  /// 1 when something is not on S3, or a delete that was asked for was withheld.
  init(_ report: MirrorReport) {
    let isDone = report.uploads.allSatisfy { $0.failures.isEmpty && $0.withheld.isEmpty }
    self = isDone ? .success : .failure
  }

  func leave() -> Never {
    exit(code)
  }
}
