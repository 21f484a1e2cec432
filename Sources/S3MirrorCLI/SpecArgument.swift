import ArgumentParser
import S3Mirror

/// One transfer on the command line:
/// `name=remote[,local=PATH][,interval=SECONDS|none][,delete=true|false][,exclude=PATTERN][,include=PATTERN]`,
/// and for a restore
/// `name=remote[,local=PATH][,unit=NAME][,member-only=true|false][,exclude=PATTERN][,include=PATTERN]`.
///
/// A comma begins the next key; a comma in the text itself is written `\,` (see `SpecFields`). Text after a
/// comma that is no known key is an error, because as part of the remote or the path it would silently mirror
/// something else.
struct SpecArgument: Sendable, Hashable {
  var name: String
  var remote: String
  var local: String?
  var interval: Interval = .unset
  var delete: Bool?
  var exclude: [String] = []
  var include: [String] = []
  /// The checkpoint to restore; nil restores the newest complete one.
  var unit: String?
  /// How much of the checkpoint is restored.
  var extent = RestoreExtent.everything

  enum Interval: Sendable, Hashable {
    case unset
    case none
    case seconds(Double)
  }

  /// The use of the spec.
  enum Use: Sendable, Hashable {
    case mirror
    case restore

    fileprivate var keys: [Key] {
      switch self {
      case .mirror: [.local, .interval, .delete, .exclude, .include]
      case .restore: [.local, .unit, .memberOnly, .exclude, .include]
      }
    }
  }

  fileprivate enum Key: String {
    case local, interval, delete, exclude, include, unit
    case memberOnly = "member-only"
  }

  /// - Throws: `ValidationError` that names the error.
  init(parsing text: String, for use: Use = .mirror) throws {
    // Scalars, not characters: with a combining mark after it, the sign would be part of another character.
    guard let equals = text.unicodeScalars.firstIndex(of: "="), equals != text.startIndex else {
      throw ValidationError("\"\(text)\" is no spec; write name=s3://bucket/key[,local=PATH]…")
    }
    name = String(text[..<equals])
    guard !name.unicodeScalars.contains(","), !name.contains("://") else {
      throw ValidationError(
        "\"\(text)\" does not begin with a name; write name=s3://bucket/key[,local=PATH]…")
    }
    let fields = SpecFields.split(text[text.unicodeScalars.index(after: equals)...])
    remote = fields[0]
    guard !remote.isEmpty else {
      throw ValidationError("\"\(text)\" names no remote; write name=s3://bucket/key[,local=PATH]…")
    }
    var seen: Set<Key> = []
    for field in fields.dropFirst() {
      let (key, value) = try Self.setting(field, of: use.keys, in: text)
      guard seen.insert(key).inserted || key == .exclude || key == .include else {
        throw ValidationError("\"\(text)\" has \(key.rawValue)= twice; keep one")
      }
      try set(key, to: value, in: text)
    }
  }

  /// The key and the value of a field after a comma.
  private static func setting(_ field: String, of keys: [Key], in text: String) throws -> (Key, String) {
    let scalars = field.unicodeScalars
    let equals = scalars.firstIndex(of: "=")
    let word = String(scalars[..<(equals ?? scalars.endIndex)])
    guard let equals, let key = Key(rawValue: word), keys.contains(key) else {
      let known = keys.map(\.rawValue)
      let cure =
        Suggestion.nearest(to: word.trimmingPrefix(while: \.isWhitespace).description, in: known).map {
          "did you mean \($0)=?"
        }
        ?? "the keys are \(known.map { $0 + "=" }.joined(separator: ", "))."
      throw ValidationError(
        "\",\(field)\" in \"\(text)\" is no key; \(cure) A comma that is part of a name is written \\,")
    }
    let value = String(scalars[scalars.index(after: equals)...])
    guard !value.isEmpty else {
      throw ValidationError("\(word)= in \"\(text)\" is empty; give it a value, or leave it out")
    }
    return (key, value)
  }

  private mutating func set(_ key: Key, to value: String, in text: String) throws {
    switch key {
    case .local: local = value
    case .exclude: exclude.append(value)
    case .include: include.append(value)
    case .unit: unit = value
    case .interval:
      if value == "none" {
        interval = .none
      } else if let seconds = Double(value), Seconds.range.contains(seconds) {
        interval = .seconds(seconds)
      } else {
        throw ValidationError(
          "interval=\(value) in \"\(text)\": it is a number of seconds up to ten years, or none")
      }
    case .delete: delete = try Self.flag(key, value, in: text)
    case .memberOnly: extent = try Self.flag(key, value, in: text) ? .ownPart : .everything
    }
  }

  private static func flag(_ key: Key, _ value: String, in text: String) throws -> Bool {
    guard let flag = Bool(value) else {
      throw ValidationError("\(key.rawValue)=\(value) in \"\(text)\": it is true or false")
    }
    return flag
  }

  // MARK: Specs

  /// On the command line, an upload deletes only if the spec asks for it.
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
