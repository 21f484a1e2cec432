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
  private let columns: @Sendable () -> Int
  /// What stands in the last line now.
  private let status = Mutex("")

  /// - Parameter columns: the terminal's width, which may change while it is used; nil asks the terminal.
  package init(_ descriptor: FileDescriptor, kind: Kind, columns: (@Sendable () -> Int)? = nil) {
    self.descriptor = descriptor
    self.kind = kind
    self.columns = columns ?? { Self.columns(of: descriptor) }
  }

  /// Writes a message as one line, whatever is in it; the status moves below it.
  package func say(_ message: String) {
    let message = visible(message)
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
        // A line that wraps cannot be erased as one; in the last column some terminals wrap already.
        status = String(text.prefix(max(columns() - 1, 0)))
        write(Self.erase + status)
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

  /// ioctl_tty(2), TIOCGWINSZ; 80 where the terminal does not know.
  private static func columns(of descriptor: FileDescriptor) -> Int {
    var size = winsize()
    guard ioctl(descriptor.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  private func write(_ text: String) {
    do {
      try descriptor.writeAll(text.utf8)
    } catch {
      // There is no other place to say it.
    }
  }
}
