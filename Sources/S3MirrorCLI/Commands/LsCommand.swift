import ArgumentParser
import Glibc
import S3Mirror

/// Lists a remote, with one full URL a line.
struct LsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List a remote; each line is a full URL.",
    discussion: """
      On a terminal control characters of a key appear as \\n or \\x1b; a pipe or file gets the keys as they are.
      """)

  @Argument(help: "s3://[profile@]bucket/key")
  var remote: String

  @Flag(name: .shortAndLong, help: "List everything below, not one level.")
  var recursive = false

  @Flag(help: "Print JSON lines: url, bytes, lastModified.")
  var json = false

  @OptionGroup var mirror: MirrorOptions

  func run() async throws {
    let isTerminal = isatty(STDOUT_FILENO) == 1
    let scope = try MirrorScope(options: mirror.options(for: "ls", telling: mirror.narrator))
    do {
      try await scope.list(remote, depth: recursive ? .recursive : .level) { line in
        if json {
          Console.raw(JSONText.line(line))
        } else if isTerminal {
          Console.line(line.url)
        } else {
          Console.raw(line.url)
        }
      }
    } catch {
      await scope.close()
      throw error
    }
    await scope.close()
  }
}
