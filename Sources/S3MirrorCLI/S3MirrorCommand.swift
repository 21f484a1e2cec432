// S3MirrorCLI: arguments, terminal, exit status. Everything else is the library's.
//
// Glossary
//
// spec                     `name=remote[,key=value]…`: one download, upload or sync on the command line
// child                    the program that `run` wraps
// supervisor               decides what each signal means at each moment of a run
// first and second signal  "finish and publish", and "leave now"
// service notifier         reports to systemd how a watch stands
// narrator                 turns the mirror's events into lines of text, or of JSON with `--json`
// session                  a mirror that another program drives, by JSON lines over two pipes
// console                  the two standard streams, and the status line on a terminal

import ArgumentParser
import CLinux
import FoundationEssentials
import Glibc
import LoopThread
import S3Mirror

@main
enum Program {
  /// Tasks run on threads that sleep when there is nothing to do: a watch is to cost nothing while nothing changes.
  static func main() {
    // Large pieces of memory that were freed go back to the system, instead of making malloc(3) keep the next ones like them: its
    // own default, made to stay.
    mallopt(M_MMAP_THRESHOLD, 128 << 10)
    reserveStandardStreams()
    SignalStream.unblock()
    // A reader that went away is a failed write, not the end.
    signal(SIGPIPE, SIG_IGN)
    // Whoever started us may ignore it, and a child's status would be lost (waitpid(2)).
    signal(SIGCHLD, SIG_DFL)
    ChildProcess.noteInheritedDescriptors()
    do {
      try OrphanReaper.startIfNeeded()
      let threads = try TaskThreads(count: taskThreadCount, name: "s3m-task")
      threads.run { await S3MirrorCommand.carryOut() }
    } catch {
      Console.error("\(error)")
      ExitStatus.configuration.leave()
    }
  }

  /// A standard stream that is closed would be the number of what is opened next, and data would go into a connection. Here it
  /// gets one that cannot be written, which no child inherits.
  private static func reserveStandardStreams() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      // The lowest number that is free, which is this one (open(2)); without /dev/null it stays closed.
      _ = open("/dev/null", O_RDONLY | O_CLOEXEC)
    }
  }

  /// One a processor, as the runtime has them, but two at least, for one may be in a call that takes its time, and four at
  /// the most: the processors are the trainer's.
  private static var taskThreadCount: Int { min(max(ProcessInfo.processInfo.activeProcessorCount, 2), 4) }
}

struct S3MirrorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "s3mirror",
    abstract: "Streams what changes in a directory to S3, and fetches what a job needs.",
    discussion: """
      A remote is s3://[profile@]bucket/key. Credentials, region and endpoint come from the places that AWS's \
      tools use. Data go to standard output, everything else to standard error.

      Exit status: 0 all done; 1 some transfer failed, a delete was withheld or something differs; 2 usage; \
      3 configuration, credentials or access; 128+n ended by signal n before all was published.
      """,
    version: s3MirrorVersion,
    subcommands: [
      RunCommand.self, WatchCommand.self, UploadCommand.self, DownloadCommand.self, RestoreCommand.self,
      LsCommand.self,
      VerifyCommand.self, StatusCommand.self, FlushCommand.self, LogCommand.self, SessionCommand.self,
    ])

  /// Parses the arguments, carries out the command and ends the process with its status.
  static func carryOut() async {
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      ExitStatus.success.leave()
    } catch let status as ExitStatus {
      status.leave()
    } catch let error as MirrorError {
      error.lines.forEach(Console.error)
      ExitStatus(error).leave()
    } catch is CancellationError {
      Console.error("it was cut short")
      ExitStatus.failure.leave()
    } catch {
      leave(withParserError: error)
    }
  }

  /// The parser's own status for wrong arguments is 64 (sysexits.h); ours is 2, as most tools have it.
  private static func leave(withParserError error: any Error) -> Never {
    switch exitCode(for: error) {
    case .success:
      // Help or the version, which were asked for.
      Console.raw(fullMessage(for: error))
      ExitStatus.success.leave()
    case .validationFailure:
      Console.error(oneLine(message(for: error)))
      ExitStatus.usage.leave()
    default:
      Console.error(oneLine("\(error)"))
      ExitStatus.failure.leave()
    }
  }

  /// Scripts and logs take one line; the parser breaks some of its messages, and adds usage that `--help` tells better.
  private static func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }
      .joined(separator: " ")
  }
}
