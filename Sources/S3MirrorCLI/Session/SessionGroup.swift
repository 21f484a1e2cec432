import S3Mirror

/// The group of hosts in a session's JSON: `"auto"`, or an object in which every key may be missing. What is missing
/// comes from the launcher's environment.
struct SessionGroup: Decodable {
  private enum Keys: String, CodingKey, CaseIterable {
    case name, member, members, timeout, takeover, fencing
  }

  private enum Fencing: String, CaseIterable {
    case conditionalWrites = "conditional-writes"
    case none
  }

  private var name: String?
  private var member: Int?
  private var members: Int?
  private var timeout: Duration?
  private var takeover: Duration?
  private var fencing: Fencing?

  init(from decoder: any Decoder) throws {
    do {
      let word = try decoder.singleValueContainer().decode(String.self)
      guard word == "auto" else {
        throw DecodingError.dataCorrupted(
          .init(
            codingPath: decoder.codingPath,
            debugDescription:
              "it is \"auto\", or an object with name, member, members, timeout, takeover, fencing"))
      }
      return
    } catch DecodingError.typeMismatch {
      // It is an object.
    }
    try decoder.refuseKeys(besides: Keys.self)
    let values = try decoder.container(keyedBy: Keys.self)
    name = try values.decodeIfPresent(String.self, forKey: .name)
    member = try values.decodeIfPresent(Int.self, forKey: .member)
    members = try values.decodeIfPresent(Int.self, forKey: .members)
    timeout = try values.decodeIfPresent(SessionOptions.Time.self, forKey: .timeout)?.duration
    takeover = try values.decodeIfPresent(SessionOptions.Time.self, forKey: .takeover)?.duration
    if values.contains(.fencing) { fencing = try values.word(Fencing.self, forKey: .fencing) }
  }

  /// - Throws: `MirrorError` that names what is missing, and the remedy.
  func group() throws -> Options.Group {
    var group = try Options.Group.found(name: name, member: member, members: members)
    if let timeout { group.timeout = timeout }
    if let takeover { group.takeover = takeover }
    if fencing == Fencing.none { group.fencing = .none }
    return group
  }
}
