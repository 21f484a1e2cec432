import ArgumentParser
import Glibc
import LoopThread
import S3Mirror

/// A mirror for another program.
struct SessionCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session", abstract: "Serve one mirror to another program.",
    usage: "s3mirror session --read-fd NUMBER --write-fd NUMBER --parent PID",
    discussion: """
      For libraries in other languages; the Python package starts it. Requests come as JSON lines on one inherited pipe, \
      answers go as JSON lines to another; standard error is for messages. The page SessionProtocol of the documentation \
      has every message.

      The command leaves the terminal's process group. When the parent process ends, or closes the pipe, without an end \
      request, everything left is published and nothing is deleted.
      """,
    shouldDisplay: false)

  @Option(
    name: .customLong("read-fd"),
    help: ArgumentHelp("The file descriptor that requests are read from.", valueName: "number"))
  var reader: Int32

  @Option(
    name: .customLong("write-fd"),
    help: ArgumentHelp("The file descriptor that answers are written to.", valueName: "number"))
  var writer: Int32

  @Option(help: ArgumentHelp("The process whose end is the end of the session.", valueName: "pid"))
  var parent: Int32

  mutating func validate() throws {
    guard reader != writer else { throw ValidationError("--read-fd and --write-fd are two descriptors") }
    try Self.check(reader, of: "--read-fd", cannot: O_WRONLY, "read")
    try Self.check(writer, of: "--write-fd", cannot: O_RDONLY, "written")
    guard parent > 0 else { throw ValidationError("--parent is the number of a process, not \(parent)") }
  }

  private static func check(_ descriptor: Int32, of option: String, cannot mode: Int32, _ verb: String) throws
  {
    let flags = descriptor == STDERR_FILENO ? -1 : fcntl(descriptor, F_GETFL)
    guard flags >= 0 else {
      throw ValidationError("\(option) \(descriptor): this program was given no such descriptor for messages")
    }
    guard flags & O_ACCMODE != mode else {
      throw ValidationError("\(option) \(descriptor): this descriptor cannot be \(verb)")
    }
  }

  func run() async throws {
    // EPERM means that the process already leads a group of its own. After setsid, a Ctrl-C at the terminal
    // reaches only the parent.
    _ = setsid()
    for descriptor in [reader, writer] { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
    let supervisor = try Supervisor()
    let channel: SessionChannel
    do {
      channel = try SessionChannel(reader: reader, writer: writer)
      try ParentWatch.begin(parent) {
        channel.giveUp()
        channel.note(.ended(.parentEnded))
      }
    } catch {
      throw MirrorError(.configuration, "the session has no thread or descriptor: \(error)")
    }
    throw await Session(channel).serve(under: supervisor)
  }
}
