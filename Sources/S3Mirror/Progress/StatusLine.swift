import Glibc
import Synchronization
import SystemPackage

/// The output for users: messages and, on a terminal, one line below them that changes in place.
package final class StatusLine: Sendable {
  package enum Kind: Sendable {
    /// The last line may be overwritten.
    case terminal
    /// A file or a pipe: text that is written stays.
    case plain
  }

  /// The process's standard error. There is only one instance, so that messages and progress never mix in a
  /// line.
  package static let standardError = StatusLine(
    .standardError, kind: isatty(FileDescriptor.standardError.rawValue) == 1 ? .terminal : .plain)

  package let kind: Kind
  private let descriptor: FileDescriptor
  private let columns: @Sendable () -> Int
  /// The text of the last line now.
  private let status = Mutex("")

  /// - Parameter columns: the terminal's width, which may change during use; nil reads it from the terminal.
  package init(_ descriptor: FileDescriptor, kind: Kind, columns: (@Sendable () -> Int)? = nil) {
    self.descriptor = descriptor
    self.kind = kind
    self.columns = columns ?? { Self.columns(of: descriptor) }
  }

  /// Writes a message as one line, whatever characters it holds. The status line moves below it.
  package func say(_ message: String) {
    let message = visible(message)
    status.withLock { status in
      write(status.isEmpty ? message + "\n" : Self.erase + message + "\n" + status)
    }
  }

  /// Shows the status: in place of the last status on a terminal, otherwise as a line of its own.
  func show(_ text: String) {
    status.withLock { status in
      switch kind {
      case .plain: write(text + "\n")
      case .terminal:
        // A line that wraps cannot be erased as one line. Some terminals wrap already in the last column.
        status = String(text.prefix(max(columns() - 1, 0)))
        write(Self.erase + status)
      }
    }
  }

  /// Removes the status.
  func clear() {
    status.withLock { status in
      guard !status.isEmpty else { return }
      status = ""
      write(Self.erase)
    }
  }

  /// Moves to the line's beginning and erases the line (console_codes(4): CR, and ECMA-48 EL).
  private static let erase = "\r\u{1b}[K"

  /// The width by ioctl_tty(2), TIOCGWINSZ; 80 if it is unknown.
  private static func columns(of descriptor: FileDescriptor) -> Int {
    var size = winsize()
    guard ioctl(descriptor.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  private func write(_ text: String) {
    do {
      try descriptor.writeAll(text.utf8)
    } catch {
      // There is no other place for the message.
    }
  }
}
