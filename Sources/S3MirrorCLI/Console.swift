import Glibc
import S3Mirror
import SystemPackage

/// Standard error: messages and progress. Standard output is for data.
enum Console {
  static func error(_ text: String) {
    write("s3mirror: \(text)")
  }

  static func note(_ text: String) {
    write("s3mirror: \(text)")
  }

  /// A line of data.
  static func data(_ line: String) {
    data(Array((line + "\n").utf8))
  }

  /// Data by bytes, for `log --json`.
  static func data(_ bytes: [UInt8]) {
    do {
      try FileDescriptor.standardOutput.writeAll(bytes)
    } catch let error as Errno {
      leave(afterFailedWrite: error)
    } catch {
      preconditionFailure("write(2) fails with an errno only: \(error)")
    }
  }

  /// Nobody gets the data, so the command is over: silently where the reader had enough (`| head`), as SIGPIPE would.
  private static func leave(afterFailedWrite error: Errno) -> Never {
    if error == .brokenPipe { ExitStatus.signal(SIGPIPE).leave() }
    Self.error("standard output cannot be written: \(error)")
    ExitStatus.failure.leave()
  }

  private static func write(_ text: String) {
    StatusLine.standardError.say(visible(text))
  }

  /// Control characters (ECMA-48, C0 without the line feed, DEL, and C1) as `\x1b`: names come from wherever files come
  /// from, and a message must not be able to command the terminal.
  private static func visible(_ text: String) -> String {
    let isControl = { (scalar: Unicode.Scalar) in
      scalar != "\n" && scalar.properties.generalCategory == .control
    }
    guard text.unicodeScalars.contains(where: isControl) else { return text }
    return text.unicodeScalars.reduce(into: "") { shown, scalar in
      if isControl(scalar) {
        shown += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      } else {
        shown.unicodeScalars.append(scalar)
      }
    }
  }
}
