import FoundationEssentials
import SystemPackage

/// The parts of a log file's name: `<mirror>-<date>-<start>-<pid>.jsonl.gz`, with `-<N>` after the pid from
/// the second file on.
package struct TransferLogFile: Sendable, Hashable {
  /// The mirror's name in the spelling of the file name.
  package var encodedMirror: String
  package var day: UTCDay
  /// The start of the run, `HHMMSS` in UTC.
  package var start: String
  package var processID: Int32
  /// 1 for the first file of a run's day.
  package var sequence: Int

  package init(mirror: String, day: UTCDay, start: String, processID: Int32, sequence: Int) {
    encodedMirror = Self.encoded(mirror)
    self.day = day
    self.start = start
    self.processID = processID
    self.sequence = sequence
  }

  /// Parses a name; `nil` for a name that this log did not give. Such a file is left alone.
  ///
  /// The name is parsed from its end, because a mirror's name may hold dashes and dates. The third field from
  /// the end distinguishes the two forms: a day has two digits, a start has six.
  package init?(name: String) {
    // ASCII only, as `encoded` writes it, so Swift's canonical equivalence has no effect.
    guard name.hasSuffix(Self.suffix), name.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
    var fields = name.dropLast(Self.suffix.count).split(separator: "-", omittingEmptySubsequences: false)[...]
    sequence = 1
    if fields.count >= 3, fields[fields.endIndex - 3].utf8.count == 6 {
      guard let number = Self.number(fields.removeLast()), number >= 2 else { return nil }
      sequence = Int(number)
    }
    guard fields.count >= 6, let processID = Self.number(fields.removeLast()),
      let processID = Int32(exactly: processID), let start = fields.popLast(), start.utf8.count == 6,
      Self.number(start) != nil, let day = Self.day(fields.suffix(3))
    else { return nil }
    self.processID = processID
    self.start = String(start)
    self.day = day
    encodedMirror = fields.dropLast(3).joined(separator: "-")
    // A different spelling (a leading zero, a lower-case escape) comes from another program.
    guard !encodedMirror.isEmpty, self.name.utf8.elementsEqual(name.utf8) else { return nil }
  }

  package var name: String {
    let tail = sequence > 1 ? "-\(sequence)" : ""
    return "\(encodedMirror)-\(day)-\(start)-\(processID)\(tail)\(Self.suffix)"
  }

  package func belongs(to mirror: String) -> Bool {
    encodedMirror.utf8.elementsEqual(Self.encoded(mirror).utf8)
  }

  static let suffix = ".jsonl.gz"

  /// A mirror's name in a form that a file name can hold: bytes outside `A–Z a–z 0–9 . _ @ = + -` become
  /// `%XX`.
  ///
  /// No two names have the same spelling, so the clean-up of one mirror never removes another's files. A
  /// leading dot (hidden file) or dash (an option for zcat) is escaped too. Beyond 120 bytes a hash replaces
  /// the rest, because a name has at most 255 bytes (NAME_MAX, limits.h).
  static func encoded(_ mirror: String) -> String {
    var encoded = ""
    for byte in mirror.utf8 {
      let isLeadingMark = encoded.isEmpty && (byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-"))
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "@"), UInt8(ascii: "="),
        UInt8(ascii: "+"):
        encoded.unicodeScalars.append(Unicode.Scalar(byte))
      case UInt8(ascii: "."), UInt8(ascii: "-"):
        encoded += isLeadingMark ? escape(byte) : String(Unicode.Scalar(byte))
      default:
        encoded += escape(byte)
      }
    }
    if encoded.isEmpty { return "%" }
    guard encoded.utf8.count > 120 else { return encoded }
    // FNV-1a, 64 bits. `~` occurs in no other spelling.
    let hash = mirror.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return encoded.prefix(100) + "~" + String(hash, radix: 16)
  }

  private static func escape(_ byte: UInt8) -> String {
    (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
  }

  private static func number(_ digits: Substring) -> Int64? {
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
    else { return nil }
    return Int64(digits)
  }

  private static func day(_ fields: ArraySlice<Substring>) -> UTCDay? {
    let numbers = fields.compactMap(number)
    guard numbers.count == 3, fields.map(\.utf8.count) == [4, 2, 2] else { return nil }
    return UTCDay(year: numbers[0], month: numbers[1], day: numbers[2])
  }
}

extension TransferLogFile: Comparable {
  /// Ordered by day, then by run, then by the file's number.
  package static func < (left: TransferLogFile, right: TransferLogFile) -> Bool {
    if left.day != right.day { return left.day < right.day }
    if left.start != right.start { return left.start < right.start }
    if left.encodedMirror != right.encodedMirror { return left.encodedMirror < right.encodedMirror }
    if left.processID != right.processID { return left.processID < right.processID }
    return left.sequence < right.sequence
  }
}

extension TransferLogFile {
  /// The log files of a directory, oldest first, for one mirror if it is named. An absent directory has none.
  package static func all(in directory: FilePath, mirror: String? = nil) throws(TransferLogError)
    -> [TransferLogFile]
  {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: directory.string)
    } catch {
      let code = ((error as? CocoaError)?.underlying as? POSIXError).map { Errno(rawValue: $0.code.rawValue) }
      if code == .noSuchFileOrDirectory { return [] }
      throw TransferLogError(
        .list, path: directory, cause: code.map { "\($0)" } ?? "\(error)",
        remedy: "check that it is a readable directory")
    }
    return names.compactMap(TransferLogFile.init(name:)).filter { file in
      mirror.map(file.belongs(to:)) ?? true
    }.sorted()
  }
}

/// The folder of the logs: `$XDG_STATE_HOME/s3mirror/log`, or `~/.local/state/s3mirror/log` without that
/// variable.
///
/// A relative value is ignored (XDG Base Directory Specification, "All paths … must be absolute").
package func defaultLogDirectory(environment: [String: String], home: FilePath) -> FilePath {
  let state = environment["XDG_STATE_HOME"].map { FilePath($0) }
  let base = state.flatMap { $0.isAbsolute ? $0 : nil } ?? home.appending(".local").appending("state")
  return base.appending("s3mirror").appending("log")
}
