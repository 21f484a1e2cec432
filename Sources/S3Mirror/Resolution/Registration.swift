import MirrorModel
import SystemPackage

/// A spec with its name and its places.
struct Registration: Sendable {
  var name: String
  var spec: MirrorSpec
  var resolution: SpecResolver.Resolution

  /// Nil if nothing is transferred.
  var place: ResolvedSpec? {
    guard case .s3(let place) = resolution else { return nil }
    return place
  }

  /// An absolute path without `.` and `..`.
  var local: FilePath {
    switch resolution {
    case .passThrough(let path): path
    case .s3(let place): place.local
    }
  }
}

extension Registration: Hashable {
  static func == (one: Registration, other: Registration) -> Bool {
    one.name == other.name && one.spec == other.spec && one.local == other.local
      && one.place?.location == other.place?.location
      && one.place?.bucket.identity == other.place?.bucket.identity
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(name)
    hasher.combine(spec)
    hasher.combine(local)
  }
}

/// The registrations of one mirror. No two of them may write to the same place.
struct RegistrationTable: Sendable {
  /// The session's own method names.
  static let reservedNames: Set<String> = ["download", "upload", "sync", "ls", "flush", "status"]

  private(set) var all: [Registration] = []
  /// Further names of registrations, with the name under which each registration is stored.
  private var aliases: [String: String] = [:]

  enum Addition: Sendable, Hashable {
    case new
    /// An equal registration exists already.
    case known(Registration)
  }

  /// What the caller uses names for.
  enum Naming: Sendable {
    /// As members of the session, beside its own methods.
    case members
    /// Only for messages and logs.
    case labels
  }

  /// Names are text: spellings that Swift calls equal are one name, unlike keys and paths.
  subscript(name: String) -> Registration? {
    all.first { $0.name == name }
  }

  /// Adds the registrations with which a scope is entered. Here a repeated name is an error even if both
  /// registrations are equal.
  ///
  /// - Returns: the registrations that have to be started.
  /// - Throws: `MirrorError.invalid` that names both registrations and the remedy. The table is then
  ///   unchanged.
  mutating func add(all registrations: [Registration], naming: Naming = .members) throws(MirrorError)
    -> [Registration]
  {
    var table = self
    var new: [Registration] = []
    var names: Set<String> = []
    for registration in registrations {
      if !names.insert(registration.name).inserted { throw givenTwice(registration.name) }
      if try table.add(registration, naming: naming) == .new { new.append(registration) }
    }
    self = table
    return new
  }

  /// - Throws: `MirrorError.invalid` that names both registrations and the remedy.
  mutating func add(_ registration: Registration, naming: Naming = .members) throws(MirrorError) -> Addition {
    try checkName(registration.name, naming: naming)
    for other in all {
      if let known = try sameRemote(registration, other) {
        try alias(registration.name, known)
        return .known(known)
      }
    }
    if self[registration.name] != nil || aliases[registration.name] != nil {
      throw givenTwice(registration.name)
    }
    for other in all {
      try checkRemotes(registration, other)
      try checkLocals(registration, other)
    }
    all.append(registration)
    return .new
  }

  /// Removes a registration whose start failed, so that it can be added again.
  mutating func remove(_ name: String) {
    all.removeAll { $0.name == name }
    aliases = aliases.filter { $0.value != name }
  }

  /// The name under which a registration is stored, because one remote may have several names.
  func owner(of name: String) -> String { aliases[name] ?? name }

  private mutating func alias(_ name: String, _ known: Registration) throws(MirrorError) {
    guard name != known.name else { return }
    guard self[name] == nil, aliases[name] ?? known.name == known.name else { throw givenTwice(name) }
    aliases[name] = known.name
  }

  private func givenTwice(_ name: String) -> MirrorError {
    MirrorError(.invalid, "the name \"\(name)\" is given twice; give each its own name")
  }

  private func checkName(_ name: String, naming: Naming) throws(MirrorError) {
    if name.isEmpty { throw MirrorError(.invalid, "a name is empty; name each download, upload and sync") }
    if naming == .members, Self.reservedNames.contains(name) {
      throw MirrorError(.invalid, "the name \"\(name)\" is the session's own; choose another")
    }
  }

  /// Finds an equal registration of the same remote. A different registration of the same remote is an error.
  private func sameRemote(_ new: Registration, _ other: Registration) throws(MirrorError) -> Registration? {
    guard let place = new.place, let otherPlace = other.place else {
      guard new.place == nil, other.place == nil else { return nil }
      return new.spec == other.spec && new.local == other.local ? other : nil
    }
    guard place.bucket.identity == otherPlace.bucket.identity,
      place.location.prefix.utf8.elementsEqual(otherPlace.location.prefix.utf8)
    else { return nil }
    if new.spec == other.spec, new.local == other.local { return other }
    throw MirrorError(
      .invalid,
      "\"\(new.name)\" and \"\(other.name)\" name the same remote \(place.location.url) in different ways; keep one"
    )
  }

  private func checkRemotes(_ new: Registration, _ other: Registration) throws(MirrorError) {
    guard new.spec.direction != .download || other.spec.direction != .download,
      let place = new.place, let otherPlace = other.place,
      place.bucket.identity == otherPlace.bucket.identity, place.location.overlaps(otherPlace.location)
    else { return }
    throw MirrorError(
      .invalid,
      "\"\(new.name)\" (\(place.location.url)) and \"\(other.name)\" (\(otherPlace.location.url)) overlap; give each its own prefix"
    )
  }

  private func checkLocals(_ new: Registration, _ other: Registration) throws(MirrorError) {
    guard new.place != nil, other.place != nil,
      new.local.starts(with: other.local) || other.local.starts(with: new.local)
    else { return }
    throw MirrorError(
      .invalid,
      "\"\(new.name)\" (\(new.local)) and \"\(other.name)\" (\(other.local)) share local files; give each its own directory"
    )
  }
}
