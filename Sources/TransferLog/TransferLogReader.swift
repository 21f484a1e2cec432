import FoundationEssentials
import SystemPackage

/// Reads records file by file as a stream, in memory that does not grow with the files.
///
/// Files are ordered by day and run, and records by line; overlapping runs are not merged. Unreadable lines,
/// damage and incomplete ends are counted in the tally, and the reading continues.
package struct TransferLogReader: Sendable {
  /// What the reading found.
  package struct Tally: Sendable, Hashable {
    package var files = 0
    /// The number of records, selected or not.
    package var records = 0
    /// Lines that are no records, or that exceed the length limit.
    package var badLines = 0
    /// Files with missing bytes in the middle.
    package var damagedFiles = 0
    /// Files that end inside a member: the run was killed during a write, or is writing now.
    package var cutFiles = 0
    /// Files that could not be opened or read to their end.
    package var failures: [TransferLogError] = []

    package init() {}
  }

  package var files: [FilePath]
  package var filter: TransferLogFilter

  package init(files: [FilePath], filter: TransferLogFilter = TransferLogFilter()) {
    self.files = files
    self.filter = filter
  }

  /// Reads all logs of a directory, or those of one mirror. An absent directory has none.
  package init(
    directory: FilePath, mirror: String? = nil, filter: TransferLogFilter = TransferLogFilter()
  ) throws(TransferLogError) {
    let files = try TransferLogFile.all(in: directory, mirror: mirror)
    self.init(
      files: files.filter { filter.accepts(fileOf: $0.day) }.map { directory.appending($0.name) },
      filter: filter)
  }

  /// Calls `body` for each selected record. An error of `body` ends the reading.
  @discardableResult
  package func forEach(_ body: (TransferRecord) throws -> Void) throws -> Tally {
    var tally = Tally()
    for file in files {
      tally.files += 1
      try read(file, into: &tally, body)
    }
    return tally
  }

  /// Sums the selected records.
  package func summary() throws -> (summary: TransferSummary, tally: Tally) {
    var summary = TransferSummary()
    let tally = try forEach { summary.add($0) }
    return (summary, tally)
  }

  private func read(
    _ file: FilePath, into tally: inout Tally, _ body: (TransferRecord) throws -> Void
  ) throws {
    let decoder = JSONDecoder()
    var lines = LineSplitter()
    var isDamaged = false
    defer {
      if isDamaged { tally.damagedFiles += 1 }
      if lines.hasPartialLine { tally.badLines += 1 }
    }
    var reader: GzipReader?
    while true {
      let piece: GzipReader.Piece?
      do throws(TransferLogError) {
        if reader == nil { reader = try GzipReader(path: file) }
        piece = try reader?.nextPiece()
      } catch {
        // Only errors of the file are counted. An error of `body` goes to the caller.
        tally.failures.append(error)
        return
      }
      switch piece {
      case nil: return
      case .bytes(let bytes):
        try lines.split(bytes) { line in
          guard let line, let record = Self.record(of: line, with: decoder) else {
            tally.badLines += 1
            return
          }
          tally.records += 1
          if filter.accepts(record) { try body(record) }
        }
      case .damage:
        isDamaged = true
        lines.dropPartialLine()
      case .cut:
        tally.cutFiles += 1
        lines.dropPartialLine()
      }
    }
  }

  /// The line's record; `nil` for a line without one, which the tally counts.
  private static func record(of line: ArraySlice<UInt8>, with decoder: JSONDecoder) -> TransferRecord? {
    do {
      return try decoder.decode(TransferRecord.self, from: Data(line))
    } catch {
      return nil
    }
  }
}

/// Splits a stream of bytes into lines, in bounded memory.
struct LineSplitter {
  /// 1 MiB. An error text and two paths of 4 KiB each (PATH_MAX), escaped, are far smaller.
  static let maxLineBytes = 1024 * 1024

  private var partial: [UInt8] = []
  private var isTooLong = false

  var hasPartialLine: Bool { !partial.isEmpty || isTooLong }

  mutating func dropPartialLine() {
    partial = []
    isTooLong = false
  }

  /// Calls `body` for each line that ends here, without its newline; with `nil` for a line that was too long.
  mutating func split(_ bytes: [UInt8], _ body: (ArraySlice<UInt8>?) throws -> Void) rethrows {
    var rest = bytes[...]
    while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
      let end = rest[..<newline]
      rest = rest[(newline + 1)...]
      keep(end)
      let line = isTooLong ? nil : partial[...]
      dropPartialLine()
      try body(line)
    }
    keep(rest)
  }

  private mutating func keep(_ bytes: ArraySlice<UInt8>) {
    if isTooLong || partial.count + bytes.count > Self.maxLineBytes {
      partial = []
      isTooLong = true
    } else {
      partial += bytes
    }
  }
}
