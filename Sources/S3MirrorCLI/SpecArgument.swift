import ArgumentParser
import S3Mirror

/// `name=remote[,local=PATH][,interval=SECONDS|none][,delete=true|false][,exclude=PATTERN][,include=PATTERN]`
///
/// Only these keys end the remote, so that other commas are part of it; `\,` is a comma anywhere.
struct SpecArgument: Sendable, Hashable {
  var name: String
  var remote: String
  var local: String?
  var interval: Interval = .unset
  var delete: Bool?
  var exclude: [String] = []
  var include: [String] = []

  enum Interval: Sendable, Hashable {
    case unset
    case none
    case seconds(Double)
  }

  private static let keys: Set<String> = ["local", "interval", "delete", "exclude", "include"]

  /// - Throws: `ValidationError` that names the fault.
  init(parsing text: String) throws {
    // Scalars, not characters: a combining mark after a sign would hide the sign.
    guard let equals = text.unicodeScalars.firstIndex(of: "="), equals != text.startIndex else {
      throw ValidationError("\"\(text)\" is no spec; write name=s3://bucket/key[,local=PATH]…")
    }
    name = String(text[..<equals])
    let pieces = Self.split(text.unicodeScalars[text.unicodeScalars.index(after: equals)...])
    guard let first = pieces.first, !first.isEmpty else {
      throw ValidationError("\"\(text)\" names no remote; write name=s3://bucket/key[,local=PATH]…")
    }
    remote = first
    for piece in pieces.dropFirst() { try set(piece, in: text) }
  }

  private mutating func set(_ piece: String, in text: String) throws {
    guard let equals = piece.unicodeScalars.firstIndex(of: "=") else { return }
    let value = String(piece.unicodeScalars[piece.unicodeScalars.index(after: equals)...])
    switch piece[..<equals] {
    case "local": local = value
    case "exclude": exclude.append(value)
    case "include": include.append(value)
    case "interval":
      if value == "none" {
        interval = .none
      } else if let seconds = Double(value), Seconds.range.contains(seconds) {
        interval = .seconds(seconds)
      } else {
        throw ValidationError(
          "interval=\(value) in \"\(text)\": it is a number of seconds up to ten years, or none")
      }
    default:
      guard let flag = Bool(value) else {
        throw ValidationError("delete=\(value) in \"\(text)\": it is true or false")
      }
      delete = flag
    }
  }

  /// Cuts at commas that stand before a known key; `\,` never cuts.
  private static func split(_ text: Substring.UnicodeScalarView) -> [String] {
    var pieces: [String] = []
    var piece = String.UnicodeScalarView()
    var rest = text
    while let scalar = rest.popFirst() {
      if scalar == "\\", rest.first == "," {
        piece.append(rest.removeFirst())
      } else if scalar == ",", startsWithKey(rest) {
        pieces.append(String(piece))
        piece = String.UnicodeScalarView()
      } else {
        piece.append(scalar)
      }
    }
    return pieces + [String(piece)]
  }

  private static func startsWithKey(_ text: Substring.UnicodeScalarView) -> Bool {
    guard let equals = text.firstIndex(of: "=") else { return false }
    return keys.contains(String(text[..<equals]))
  }

  // MARK: Specs

  /// The command line deletes only when asked to.
  func upload(_ properties: ObjectProperties = .init()) -> MirrorSpec {
    .upload(
      remote, local: local, interval: duration, delete: delete ?? false, exclude: exclude, include: include,
      properties: properties)
  }

  func sync(_ properties: ObjectProperties = .init()) -> MirrorSpec {
    .sync(
      remote, local: local, interval: duration, delete: delete ?? false, exclude: exclude, include: include,
      properties: properties)
  }

  func download() throws -> MirrorSpec {
    guard interval == .unset else {
      throw ValidationError("interval= has no meaning for the download \"\(name)\"")
    }
    return .download(remote, local: local, delete: delete ?? false, exclude: exclude, include: include)
  }

  private var duration: Duration? {
    switch interval {
    case .unset: .seconds(300)
    case .none: nil
    case .seconds(let seconds): .seconds(seconds)
    }
  }
}
