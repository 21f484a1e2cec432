import ArgumentParser
import FoundationEssentials
import Glibc
import S3Mirror
import SystemPackage
import TransferLog

/// Reads the transfer logs.
struct LogCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(commandName: "log", abstract: "Read the transfer logs.")

  @Option(
    help: "Only records since then: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 90s, 30m, 12h, 7d.")
  var since: String?

  @Flag(help: "Only what failed.")
  var failed = false

  @Option(help: "Only paths and URLs that begin with this, or match it as a glob.")
  var key: String?

  @Option(help: "Only this mirror's logs.")
  var mirror: String?

  @Flag(help: "Print totals instead of records.")
  var summary = false

  @Flag(help: "Print the records as JSON lines.")
  var json = false

  @Option(help: "The folder of the transfer logs.")
  var logDir: String?

  func run() async throws {
    let environment = ProcessInfo.processInfo.environment
    let directory =
      logDir.map { FilePath($0) }
      ?? defaultLogDirectory(
        environment: environment,
        home: FilePath(environment["HOME"] ?? FileManager.default.homeDirectoryForCurrentUser.path))
    // A missing log is an error only if the user named the folder.
    if let logDir, access(logDir, F_OK) != 0 {
      Console.error("--log-dir \(logDir): there is no such folder")
      throw ExitStatus.configuration
    }
    let filter = TransferLogFilter(
      since: try since.map(Self.instant), outcome: failed ? .failed : nil, key: key.map { KeyPattern($0) })
    do {
      let reader = try TransferLogReader(directory: directory, mirror: mirror, filter: filter)
      let tally =
        summary
        ? try printSummary(reader)
        : try reader.forEach { record in
          if json { Console.raw(record.jsonLine) } else { Console.line(Self.line(record)) }
        }
      if tally.badLines > 0 || tally.damagedFiles > 0 {
        Console.note("\(tally.badLines) lines and \(tally.damagedFiles) files could not be read in full")
      }
    } catch let error as TransferLogError {
      Console.error(error.description)
      throw ExitStatus.configuration
    }
  }

  private func printSummary(_ reader: TransferLogReader) throws -> TransferLogReader.Tally {
    let (summary, tally) = try reader.summary()
    Console.line("operation    outcome       count          bytes    retries  seconds")
    for (kind, row) in summary.rows.sorted(by: { $0.key.operation.rawValue < $1.key.operation.rawValue }) {
      Console.line(
        [
          Self.pad(kind.operation.rawValue, 12), Self.pad(kind.outcome.rawValue, 10),
          Self.right(row.count, 8), Self.right(row.bytes, 14), Self.right(row.retries, 10),
          Self.right(row.wholeSeconds, 8),
        ].joined(separator: " "))
    }
    if let rate = summary.megabytesPerSecond { Console.line("\((rate * 10).rounded() / 10) MB/s over all") }
    return tally
  }

  /// A record as a line for users: time, outcome, operation, size, path, and the error if there is one.
  private static func line(_ record: TransferRecord) -> String {
    var parts = [
      record.time.description, pad(record.outcome.rawValue, 9), pad(record.operation.rawValue, 8),
      right(record.bytes ?? 0, 12), record.path ?? record.mirror,
    ]
    if let requests = record.requests {
      parts.append(requests.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
    }
    if let error = record.error { parts.append(error) }
    return parts.joined(separator: " ")
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  private static func right(_ number: some BinaryInteger, _ width: Int) -> String {
    let text = String(number)
    return String(repeating: " ", count: max(0, width - text.count)) + text
  }

  /// Parses a date, an instant, or an age before now.
  private static func instant(_ text: String) throws -> UTCTime {
    if let time = UTCTime(rfc3339: text) { return time }
    let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    if let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count >= 0,
      count < 1_000_000
    {
      return UTCTime(milliseconds: UTCTime.now().milliseconds - count * unit * 1000)
    }
    throw ValidationError("--since is a date, an instant or an age such as 12h, not \"\(text)\"")
  }
}
