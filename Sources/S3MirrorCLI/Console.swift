import Glibc
import LoopThread
import S3Mirror
import Synchronization
import SystemPackage

/// Standard error is for messages and progress, standard output for data.
enum Console {
  static func error(_ text: String) {
    StatusLine.standardError.say("s3mirror: \(text)")
  }

  static func note(_ text: String) {
    StatusLine.standardError.say("s3mirror: \(text)")
  }

  // MARK: Data as the command's result

  /// Writes a line of data for users. Special characters are escaped, so it stays one line.
  static func line(_ text: String) {
    raw(visible(text))
  }

  /// Writes a line of data unchanged: JSON, or names for programs.
  static func raw(_ line: String) {
    if let failure = write(line) { leave(afterFailedWrite: failure) }
  }

  /// Writes a command's result after its work is done. If the reader is gone, the work has succeeded all the
  /// same.
  static func result(_ line: String) {
    guard let failure = write(line) else { return }
    guard failure == .brokenPipe else { leave(afterFailedWrite: failure) }
    note("\(line) could not be written: the reader of standard output is gone")
  }

  /// - Returns: why the line could not be written; nil on success.
  private static func write(_ line: String) -> Errno? {
    do throws(Errno) {
      try FileDescriptor.standardOutput.writeWhole(Array((line + "\n").utf8))
      return nil
    } catch {
      return error
    }
  }

  /// Ends the command, because its data cannot be written. It ends without a message if the reader closed the
  /// pipe (`| head`), as after SIGPIPE.
  private static func leave(afterFailedWrite error: Errno) -> Never {
    if error == .brokenPipe { ExitStatus.signal(SIGPIPE).leave() }
    Self.error("standard output cannot be written: \(error)")
    ExitStatus.failure.leave()
  }

  // MARK: Data besides the work

  private static let isOutputLost = Mutex(false)

  /// Writes a line about a mirror's progress. The work does not depend on its reader. If the reader is gone,
  /// one message reports it, and the mirror continues to its own end and status.
  static func report(_ line: String) {
    let failure = isOutputLost.withLock { isLost -> Errno? in
      guard !isLost, let failure = write(line) else { return nil }
      // A later line would follow a partial one.
      isLost = true
      return failure
    }
    guard let failure else { return }
    let reason = failure == .brokenPipe ? "its reader is gone" : "\(failure)"
    note("standard output cannot be written (\(reason)); the mirror continues without it")
  }
}
