import MirrorModel
import SystemPackage

/// A spec whose remote and local sides are known.
struct Registration: Sendable, Hashable {
  enum Remote: Sendable, Hashable {
    /// Nothing is transferred: the path is used as it is.
    case passThrough
    /// `identity` is endpoint and bucket.
    case s3(S3Location, identity: String)
  }

  var name: String
  var spec: MirrorSpec
  var remote: Remote
  /// Absolute, without `.` and `..`.
  var local: FilePath

  var location: S3Location? {
    guard case .s3(let location, _) = remote else { return nil }
    return location
  }
}

/// The registrations of one mirror, and the rules between them (SPEC 2).
struct RegistrationTable: Sendable {
  /// The session's own method names.
  static let reservedNames: Set<String> = ["download", "upload", "sync", "ls", "flush", "status"]

  private(set) var all: [Registration] = []

  enum Addition: Sendable, Hashable {
    case new
    /// The very same registration was there: one is enough.
    case known(Registration)
  }

  subscript(name: String) -> Registration? {
    all.first { $0.name.utf8.elementsEqual(name.utf8) }
  }

  /// - Throws: `MirrorError.invalid` that names both culprits and the cure.
  mutating func add(_ registration: Registration) throws(MirrorError) -> Addition {
    try checkName(registration.name)
    for other in all {
      if let known = try sameRemote(registration, other) { return .known(known) }
    }
    if self[registration.name] != nil {
      throw MirrorError(.invalid, "the name \"\(registration.name)\" is given twice; give each its own name")
    }
    for other in all {
      try checkRemotes(registration, other)
      try checkLocals(registration, other)
    }
    all.append(registration)
    return .new
  }

  private func checkName(_ name: String) throws(MirrorError) {
    if name.isEmpty { throw MirrorError(.invalid, "a name is empty; name each download, upload and sync") }
    if Self.reservedNames.contains(name) {
      throw MirrorError(.invalid, "the name \"\(name)\" is the session's own; choose another")
    }
  }

  /// The same registration twice is one; a different one under the same remote is an error.
  private func sameRemote(_ new: Registration, _ other: Registration) throws(MirrorError) -> Registration? {
    guard case .s3(let location, let identity) = new.remote,
      case .s3(let otherLocation, let otherIdentity) = other.remote,
      identity == otherIdentity, location.prefix.utf8.elementsEqual(otherLocation.prefix.utf8)
    else { return nil }
    if new.spec == other.spec, new.local == other.local { return other }
    guard new.spec.direction == .download, other.spec.direction == .download else {
      throw MirrorError(
        .invalid,
        "\"\(new.name)\" and \"\(other.name)\" name the same remote \(location.url) in different ways; keep one"
      )
    }
    return nil
  }

  private func checkRemotes(_ new: Registration, _ other: Registration) throws(MirrorError) {
    guard new.spec.direction != .download || other.spec.direction != .download,
      case .s3(let location, let identity) = new.remote,
      case .s3(let otherLocation, let otherIdentity) = other.remote,
      identity == otherIdentity, location.overlaps(otherLocation)
    else { return }
    throw MirrorError(
      .invalid,
      "\"\(new.name)\" (\(location.url)) and \"\(other.name)\" (\(otherLocation.url)) overlap; give each its own prefix"
    )
  }

  private func checkLocals(_ new: Registration, _ other: Registration) throws(MirrorError) {
    guard new.remote != .passThrough, other.remote != .passThrough,
      new.local.starts(with: other.local) || other.local.starts(with: new.local)
    else { return }
    throw MirrorError(
      .invalid,
      "\"\(new.name)\" (\(new.local)) and \"\(other.name)\" (\(other.local)) share local files; give each its own directory"
    )
  }
}
