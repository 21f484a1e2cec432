import Glibc
import LoopThread
import S3Mirror
import Synchronization
import SystemPackage

/// Standard error: messages and progress. Standard output is for data.
enum Console {
  static func error(_ text: String) {
    StatusLine.standardError.say("s3mirror: \(text)")
  }

  static func note(_ text: String) {
    StatusLine.standardError.say("s3mirror: \(text)")
  }

  // MARK: Data that are the command

  /// A line of data for people: one line, whatever is in it.
  static func line(_ text: String) {
    raw(visible(text))
  }

  /// A line of data as it is: JSON, and what programs take for a name.
  static func raw(_ line: String) {
    if let failure = write(line) { leave(afterFailedWrite: failure) }
  }

  /// What a command has found when its work is done. That nobody reads it any more changes nothing of the work.
  static func result(_ line: String) {
    guard let failure = write(line) else { return }
    guard failure == .brokenPipe else { leave(afterFailedWrite: failure) }
    note("\(line) could not be written: the reader of standard output is gone")
  }

  /// - Returns: what kept it from being written.
  private static func write(_ line: String) -> Errno? {
    do throws(Errno) {
      try FileDescriptor.standardOutput.writeWhole(Array((line + "\n").utf8))
      return nil
    } catch {
      return error
    }
  }

  /// Nobody gets the data, so the command is over: silently where the reader had enough (`| head`), as SIGPIPE would.
  private static func leave(afterFailedWrite error: Errno) -> Never {
    if error == .brokenPipe { ExitStatus.signal(SIGPIPE).leave() }
    Self.error("standard output cannot be written: \(error)")
    ExitStatus.failure.leave()
  }

  // MARK: Data beside the work

  private static let isOutputLost = Mutex(false)

  /// A line that tells how a mirror goes on. The work does not depend on its reader: when nobody reads any more, that is said
  /// once, and the mirror goes on in silence to its own end and status.
  static func report(_ line: String) {
    let failure = isOutputLost.withLock { isLost -> Errno? in
      guard !isLost, let failure = write(line) else { return nil }
      // What comes later would follow upon half a line.
      isLost = true
      return failure
    }
    guard let failure else { return }
    let reason = failure == .brokenPipe ? "its reader is gone" : "\(failure)"
    note("standard output cannot be written (\(reason)); the mirror continues without it")
  }
}
