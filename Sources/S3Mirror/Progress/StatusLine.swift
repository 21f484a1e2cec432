import Glibc
import Synchronization
import SystemPackage

/// Where people read: messages, and on a terminal below them one line that changes in place.
package final class StatusLine: Sendable {
  package enum Kind: Sendable {
    /// The last line may be written over.
    case terminal
    /// A file or a pipe: what is written stays.
    case plain
  }

  /// The process's standard error. One for all, so that messages and progress never mix in a line.
  package static let standardError = StatusLine(
    .standardError, kind: isatty(FileDescriptor.standardError.rawValue) == 1 ? .terminal : .plain)

  package let kind: Kind
  private let descriptor: FileDescriptor
  /// What stands in the last line now.
  private let status = Mutex("")

  package init(_ descriptor: FileDescriptor, kind: Kind) {
    self.descriptor = descriptor
    self.kind = kind
  }

  /// Writes a message; the status moves below it.
  package func say(_ message: String) {
    status.withLock { status in
      write(status.isEmpty ? message + "\n" : Self.erase + message + "\n" + status)
    }
  }

  /// Shows how far things are: in place of the last status, or as a line of its own where nothing can be replaced.
  func show(_ text: String) {
    status.withLock { status in
      switch kind {
      case .plain: write(text + "\n")
      case .terminal:
        status = text
        write(Self.erase + text)
      }
    }
  }

  /// Takes the status away.
  func clear() {
    status.withLock { status in
      guard !status.isEmpty else { return }
      status = ""
      write(Self.erase)
    }
  }

  /// To the line's beginning, and erase it (console_codes(4): CR, and ECMA-48 EL).
  private static let erase = "\r\u{1b}[K"

  private func write(_ text: String) {
    do {
      try descriptor.writeAll(text.utf8)
    } catch {
      // There is no other place to say it.
    }
  }
}
