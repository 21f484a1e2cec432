import Foundation
import Glibc

/// A change of the names below a run's directory, or a version that a process begins to write.
///
/// Paths are bytes, relative to the run's directory: a hidden name is no string, and strings that look alike are equal.
enum NameChange: Hashable, Sendable {
  /// A file was opened for writing, and made if it was not there.
  case opened([UInt8], session: Session)
  /// A file without a name (O_TMPFILE) was opened.
  case openedUnnamed(session: Session)
  case writes(version: UInt64, session: Session)
  case named([UInt8], session: Session)
  case madeDirectory([UInt8])
  case madeFile([UInt8])
  case madeLink([UInt8])
  case linked([UInt8], to: [UInt8])
  case renamed([UInt8], to: [UInt8])
  case exchanged([UInt8], with: [UInt8])
  case removed([UInt8])

  /// An open file: whose descriptor it is, and which.
  struct Session: Hashable, Sendable {
    var process: Int32
    var descriptor: Int32
  }
}

/// Every change of names that a run's writers made, in the order in which the tree took them.
///
/// A change and its record are made under one lock over all processes (flock(2)), so a replay of the records knows which
/// names every file had at every moment. Bytes are written outside of it: only names wait for one another.
final class NameJournal: Sendable {
  struct Record: Hashable, Sendable {
    /// Before the change.
    var nanoseconds: UInt64
    var change: NameChange
  }

  let directory: String
  private let descriptor: Int32

  /// - Parameter directory: the run's, which holds everything that the writers touch.
  init(in directory: String) throws {
    self.directory = directory
    descriptor = open(directory + "/names", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw JournalError(operation: "open", code: errno) }
  }

  deinit { close(descriptor) }

  /// - Parameter change: makes a change and returns it; nil if the tree does not allow it.
  func record(_ change: () -> NameChange?) -> Bool {
    guard flock(descriptor, LOCK_EX) == 0 else { return false }
    defer { flock(descriptor, LOCK_UN) }
    let now = Self.nanoseconds
    guard let change = change() else { return false }
    let line = Self.line(Record(nanoseconds: now, change: change))
    return line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) } == line.count
  }

  /// A path without the run's directory.
  func relative(_ path: some Sequence<UInt8>) -> [UInt8] { Array(path.dropFirst(directory.utf8.count + 1)) }

  /// The clock of the records, the same for every process.
  static var nanoseconds: UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
  }

  /// A moment as failures show it: in whole milliseconds of the clock, so that names and requests can be compared.
  static func milliseconds(of moment: UInt64) -> String {
    moment == .max ? "now" : "\(moment / 1_000_000) ms"
  }

  // MARK: The file

  /// What was recorded so far.
  func records() throws -> [Record] {
    let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: directory + "/names")))
    var records: [Record] = []
    var fields: [[UInt8]] = []
    // A record ends with an empty field, which no path is.
    for field in bytes.split(separator: 0, omittingEmptySubsequences: false) {
      if !field.isEmpty {
        fields.append(Array(field))
      } else if !fields.isEmpty {
        guard let record = Self.record(fields) else { throw JournalError(operation: "read", code: 0) }
        records.append(record)
        fields = []
      }
    }
    return records
  }

  private static func line(_ record: Record) -> [UInt8] {
    var fields: [[UInt8]]
    func number(_ value: some BinaryInteger) -> [UInt8] { Array(String(value).utf8) }
    func open(_ session: NameChange.Session) -> [[UInt8]] {
      [number(session.process), number(session.descriptor)]
    }
    switch record.change {
    case .opened(let path, let session): fields = [Array("o".utf8), path] + open(session)
    case .openedUnnamed(let session): fields = [Array("u".utf8)] + open(session)
    case .writes(let version, let session): fields = [Array("v".utf8), number(version)] + open(session)
    case .named(let path, let session): fields = [Array("n".utf8), path] + open(session)
    case .madeDirectory(let path): fields = [Array("d".utf8), path]
    case .madeFile(let path): fields = [Array("f".utf8), path]
    case .madeLink(let path): fields = [Array("s".utf8), path]
    case .linked(let path, let other): fields = [Array("l".utf8), path, other]
    case .renamed(let path, let other): fields = [Array("r".utf8), path, other]
    case .exchanged(let path, let other): fields = [Array("x".utf8), path, other]
    case .removed(let path): fields = [Array("-".utf8), path]
    }
    fields.insert(number(record.nanoseconds), at: 0)
    return fields.flatMap { $0 + [0] } + [0]
  }

  private static func record(_ fields: [[UInt8]]) -> Record? {
    guard fields.count >= 3, let nanoseconds = UInt64(text(fields[0])) else { return nil }
    let rest = fields.dropFirst(2)
    guard let change = change(text(fields[1]), Array(rest)) else { return nil }
    return Record(nanoseconds: nanoseconds, change: change)
  }

  private static func change(_ kind: String, _ fields: [[UInt8]]) -> NameChange? {
    let session = session(fields.suffix(2))
    switch (kind, fields.count) {
    case ("o", 3): return session.map { .opened(fields[0], session: $0) }
    case ("u", 2): return session.map { .openedUnnamed(session: $0) }
    case ("v", 3):
      guard let session, let version = UInt64(text(fields[0])) else { return nil }
      return .writes(version: version, session: session)
    case ("n", 3): return session.map { .named(fields[0], session: $0) }
    case ("d", 1): return .madeDirectory(fields[0])
    case ("f", 1): return .madeFile(fields[0])
    case ("s", 1): return .madeLink(fields[0])
    case ("l", 2): return .linked(fields[0], to: fields[1])
    case ("r", 2): return .renamed(fields[0], to: fields[1])
    case ("x", 2): return .exchanged(fields[0], with: fields[1])
    case ("-", 1): return .removed(fields[0])
    default: return nil
    }
  }

  private static func session(_ fields: ArraySlice<[UInt8]>) -> NameChange.Session? {
    guard let first = fields.first, let last = fields.last, fields.count == 2 else { return nil }
    guard let process = Int32(text(first)), let descriptor = Int32(text(last)) else { return nil }
    return .init(process: process, descriptor: descriptor)
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  private struct JournalError: Error {
    var operation: String
    var code: Int32
  }
}
