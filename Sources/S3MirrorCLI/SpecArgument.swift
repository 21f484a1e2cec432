import ArgumentParser
import S3Mirror

/// `name=remote[,local=PATH][,interval=SECONDS|none][,delete=true|false][,exclude=PATTERN][,include=PATTERN]`
///
/// Only these keys end the remote, so that other commas are part of it; `\,` is a comma anywhere.
struct SpecArgument: ExpressibleByArgument, Sendable, Hashable {
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

  init?(argument: String) {
    guard case .success(let spec) = Result(catching: { try SpecArgument(parsing: argument) }) else {
      return nil
    }
    self = spec
  }

  /// - Throws: `ValidationError` that names the fault.
  init(parsing text: String) throws {
    guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
      throw ValidationError("\"\(text)\" is no spec; write name=s3://bucket/key[,local=PATH]…")
    }
    name = String(text[..<equals])
    let pieces = Self.split(text[text.index(after: equals)...])
    guard let first = pieces.first, !first.isEmpty else {
      throw ValidationError("\"\(text)\" names no remote; write name=s3://bucket/key[,local=PATH]…")
    }
    remote = first
    for piece in pieces.dropFirst() { try set(piece, in: text) }
  }

  private mutating func set(_ piece: String, in text: String) throws {
    guard let equals = piece.firstIndex(of: "=") else { return }
    let value = String(piece[piece.index(after: equals)...])
    switch piece[..<equals] {
    case "local": local = value
    case "exclude": exclude.append(value)
    case "include": include.append(value)
    case "interval":
      if value == "none" {
        interval = .none
      } else if let seconds = Double(value), seconds >= 0, seconds.isFinite {
        interval = .seconds(seconds)
      } else {
        throw ValidationError("interval=\(value) in \"\(text)\": a number of seconds, or none.")
      }
    default:
      guard let flag = Bool(value) else {
        throw ValidationError("delete=\(value) in \"\(text)\": true or false.")
      }
      delete = flag
    }
  }

  /// Cuts at commas that stand before a known key; `\,` never cuts.
  private static func split(_ text: Substring) -> [String] {
    var pieces: [String] = []
    var piece = ""
    var rest = text
    while let character = rest.popFirst() {
      if character == "\\", rest.first == "," {
        piece.append(rest.removeFirst())
      } else if character == ",", startsWithKey(rest) {
        pieces.append(piece)
        piece = ""
      } else {
        piece.append(character)
      }
    }
    return pieces + [piece]
  }

  private static func startsWithKey(_ text: Substring) -> Bool {
    guard let equals = text.firstIndex(of: "=") else { return false }
    return keys.contains(String(text[..<equals]))
  }

  // MARK: Specs

  /// The command line deletes only when asked to.
  func upload() -> MirrorSpec {
    .upload(
      remote, local: local, interval: duration, delete: delete ?? false, exclude: exclude, include: include)
  }

  func sync() -> MirrorSpec {
    .sync(
      remote, local: local, interval: duration, delete: delete ?? false, exclude: exclude, include: include)
  }

  func download() throws -> MirrorSpec {
    guard interval == .unset else {
      throw ValidationError("interval= has no meaning for the download \"\(name)\".")
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
