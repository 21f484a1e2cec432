// S3MirrorCLI: arguments, terminal, exit status. All other work belongs to the library.
//
// Glossary
//
// spec                     `name=remote[,key=value]…`: one download, upload or sync on the command line
// child                    the program that `run` starts
// supervisor               decides what each signal does at each moment of a run
// first and second signal  "finish and publish", and "end now"
// service notifier         reports the state of a watch to systemd
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
  /// Tasks run on threads that sleep while there is nothing to do, so that a watch costs nothing while
  /// nothing changes.
  static func main() {
    // Keeps malloc(3)'s default threshold fixed. Then large freed blocks always return to the system;
    // otherwise malloc would raise the threshold and keep such blocks.
    mallopt(M_MMAP_THRESHOLD, 128 << 10)
    reserveStandardStreams()
    SignalStream.unblock()
    // A closed reader must cause a failed write, and not end the process.
    signal(SIGPIPE, SIG_IGN)
    // The parent process may have ignored SIGCHLD. Then the status of child processes would be lost
    // (waitpid(2)).
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

  /// Opens closed standard streams. Otherwise the next opened file would get the number of the stream, and
  /// output might go into a connection. The replacement cannot be written, and no child inherits it.
  private static func reserveStandardStreams() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
      // open(2) uses the lowest free number, which is this one. Without /dev/null the stream stays closed.
      _ = open("/dev/null", O_RDONLY | O_CLOEXEC)
    }
  }

  /// One thread per processor, as in the runtime. At least two, because one may be in a long call; at most
  /// four, because the trainer needs the processors.
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

  /// Parses the arguments, runs the command and ends the process with its status.
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

  /// For wrong arguments the parser uses 64 (sysexits.h); this program uses 2, as most tools do.
  private static func leave(withParserError error: any Error) -> Never {
    switch exitCode(for: error) {
    case .success:
      // Help or the version, as requested.
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

  /// Joins a message into one line for scripts and logs. The parser breaks some messages and adds a usage
  /// text, which `--help` explains better.
  private static func oneLine(_ text: String) -> String {
    text.split(whereSeparator: \.isNewline).map { $0.trimmingPrefix(while: \.isWhitespace) }
      .joined(separator: " ")
  }
}
