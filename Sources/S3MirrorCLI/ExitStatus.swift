import Glibc
import S3Mirror

/// The program's exit status, as in the table "Exit status" of the page CommandLine. Commands throw it at
/// their end.
struct ExitStatus: Error, Sendable, Hashable {
  let code: Int32

  static let success = ExitStatus(code: 0)
  static let failure = ExitStatus(code: 1)
  static let usage = ExitStatus(code: 2)
  static let configuration = ExitStatus(code: 3)
  /// A command that cannot be executed; the number is that of shells.
  static let notExecutable = ExitStatus(code: 126)
  /// A command that was not found.
  static let notFound = ExitStatus(code: 127)

  /// A signal ended the program before everything was published.
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

  /// 1 if a path is not on S3, or if a requested delete was withheld.
  init(_ report: MirrorReport) {
    let isDone = report.uploads.allSatisfy { $0.failures.isEmpty && $0.withheld.isEmpty }
    self = isDone ? .success : .failure
  }

  func leave() -> Never {
    exit(code)
  }
}
