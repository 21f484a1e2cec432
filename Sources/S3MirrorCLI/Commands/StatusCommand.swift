import ArgumentParser
import S3Mirror

/// Shows what the running mirrors are doing.
struct StatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show what this user's running mirrors are doing.",
    discussion: """
      Prints one line for each upload: what waits, what is in flight, what was published, and the recovery point. That \
      is the age of the oldest change that is not on S3: what a crash now would cost. Exit status 3 if no mirror runs.

      With --group it prints one line for each host of each group: its state, and how long ago the instant lies until which everything \
      that was closed there is on S3. Exit status 1 if a host has not begun, 3 if there is no group.
      """)

  @OptionGroup var choice: MirrorChoice

  @Flag(
    help:
      "Print one JSON line for each mirror: mirror, pid, phase, uploads (name, remote, local, waitingFiles, waitingBytes, inFlightFiles, inFlightBytes, publishedFiles, publishedBytes, copiedBytes, failedFiles, failures, openFiles, longestOpen (path, seconds), temporaryNames, temporaries (the first 10), withheldDeletes, recoveryPoint, drift, heldMarkers). With --group one line for each group: group, members, slots (member, state, host, pid, generation, attempt, confirmed)."
  )
  var json = false

  @Option(
    help: ArgumentHelp(
      "Show the hosts of the groups that mirror to this remote instead, from what they have written there. Needs the right to read only.",
      valueName: "remote"))
  var group: String?

  @OptionGroup var connection: StatusConnectionOptions

  func run() async throws {
    if let group { throw try await showGroups(under: group) }
    let (choices, hasSilent) = try choice.resolve()
    let states = choices.map { choice in
      var state = choice.state
      if let upload = choice.upload { state.uploads.removeAll { $0.name != upload } }
      return state
    }
    if json {
      for state in states { Console.raw(JSONText.encode(state)) }
    } else {
      for line in StatusTable.lines(states) { Console.line(line) }
    }
    throw hasSilent ? ExitStatus.failure : ExitStatus.success
  }
}

/// Formats running mirrors for users: one line for each upload, with failures below.
enum StatusTable {
  private static let header = [
    "MIRROR", "PID", "PHASE", "UPLOAD", "WAITING", "IN FLIGHT", "PUBLISHED", "FAILED", "WITHHELD",
    "RECOVERY POINT",
  ]

  static func lines(_ states: [MirrorState]) -> [String] {
    var rows = [header]
    for state in states {
      let mirror = [state.mirror, String(state.pid), state.phase.rawValue]
      // A mirror without uploads gets a line too.
      if state.uploads.isEmpty {
        rows.append(mirror + Array(repeating: "-", count: header.count - mirror.count))
      }
      for upload in state.uploads { rows.append(mirror + cells(upload, in: state.phase)) }
    }
    return aligned(rows) + states.flatMap { state in state.uploads.flatMap { remarks(on: $0) } }
  }

  /// The rows as lines with aligned columns. The width of a column is computed from the displayed text.
  static func aligned(_ rows: [[String]]) -> [String] {
    let rows = rows.map { row in row.map { visible($0) } }
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      zip(row, widths).map { text, width in text + String(repeating: " ", count: width - text.count) }
        .joined(separator: "  ").trimmingSuffix { $0 == " " }
    }
  }

  private static func remarks(on upload: MirrorState.Upload) -> [String] {
    failures(of: upload) + heldMarkers(of: upload) + openFiles(of: upload) + temporaries(of: upload)
  }

  private static func cells(_ upload: MirrorState.Upload, in phase: MirrorState.Phase) -> [String] {
    [
      upload.name, amount(upload.waitingFiles, upload.waitingBytes),
      amount(upload.inFlightFiles, upload.inFlightBytes),
      amount(upload.publishedFiles, upload.publishedBytes),
      String(upload.failedFiles), String(upload.withheldDeletes), age(upload.recoveryPoint, in: phase),
    ]
  }

  private static func failures(of upload: MirrorState.Upload) -> [String] {
    let more = upload.failedFiles - upload.failures.count
    return upload.failures.map { "\(upload.name): failed: \($0.path): \($0.reason)" }
      + (more > 0 ? ["\(upload.name): and \(more) more failed"] : [])
      + (upload.drift > 0
        ? ["\(upload.name): comparisons found \(upload.drift) changes that no event had reported"] : [])
  }

  private static func heldMarkers(of upload: MirrorState.Upload) -> [String] {
    (upload.heldMarkers ?? []).map { "\(upload.name): not published yet: \($0.path): \($0.reason)" }
  }

  private static func openFiles(of upload: MirrorState.Upload) -> [String] {
    let named = upload.longestOpen ?? []
    let more = (upload.openFiles ?? 0) - named.count
    return named.map {
      "\(upload.name): waits for its close, open for writing for \(age($0.seconds)): \($0.path)"
    } + (more > 0 ? ["\(upload.name): and \(more) more open files"] : [])
  }

  private static func temporaries(of upload: MirrorState.Upload) -> [String] {
    let named = upload.temporaries ?? []
    let more = (upload.temporaryNames ?? 0) - named.count
    return named.map { "\(upload.name): has a temporary name, and is published when it is renamed: \($0)" }
      + (more > 0 ? ["\(upload.name): and \(more) more temporary names"] : [])
  }

  private static func amount(_ files: Int, _ bytes: Int64) -> String {
    files == 0 ? "0" : "\(files) (\(ByteCount(bytes)))"
  }

  /// `0 s` if everything is published, and "unknown" before the first comparison is complete. Long times are
  /// in minutes and hours.
  private static func age(_ seconds: Double?, in phase: MirrorState.Phase) -> String {
    guard let seconds else { return phase == .entering ? "unknown" : "0 s" }
    return age(seconds)
  }

  static func age(_ seconds: Double) -> String {
    let whole = Int(min(seconds, 1e9))
    if whole < 120 { return "\(whole) s" }
    return whole < 7200 ? "\(whole / 60) min" : "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}

extension String {
  fileprivate func trimmingSuffix(while isTrimmed: (Character) -> Bool) -> String {
    var end = endIndex
    while end > startIndex, isTrimmed(self[index(before: end)]) { end = index(before: end) }
    return String(self[..<end])
  }
}
