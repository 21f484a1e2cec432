import FoundationEssentials

/// The slots of one group below a remote.
package struct GroupPlace: Hashable, Sendable {
  package var group: String
  package var count: Int

  package init(group: String, count: Int) {
    self.group = group
    self.count = count
  }

  /// The folder of all groups, below the remote.
  package static let groups = UnitReceipt.folder.appending("groups")

  /// The folder of this group.
  package var folder: RelativePath { Self.groups.appending(group) }

  package func path(of member: Int) -> RelativePath { folder.appending(name(of: member)) }

  /// The last name in the paths of what a member writes for the group.
  func name(of member: Int) -> String { "\(member)-of-\(count).json" }

  /// The member and the number of members in such a name; nil for other names.
  static func numbers(inName name: Substring) -> (member: Int, count: Int)? {
    guard name.hasSuffix(".json") else { return nil }
    let parts = name.dropLast(".json".count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[1] == "of", let member = Int(parts[0]), let count = Int(parts[2]),
      (0..<count).contains(member)
    else { return nil }
    return (member, count)
  }

  /// The member whose slot has this path; nil for all other paths.
  package func member(at path: RelativePath) -> Int? {
    guard let place = Self.parse(path), place.place == self else { return nil }
    return place.member
  }

  /// The group and the member of a slot's path; nil for paths that are no slot's.
  package static func parse(_ path: RelativePath) -> (place: GroupPlace, member: Int)? {
    let names = path.string.split(separator: "/")
    guard names.count == 4, path.isWithin(groups), let (member, count) = numbers(inName: names[3]) else {
      return nil
    }
    let place = GroupPlace(group: String(names[2]), count: count)
    return place.path(of: member) == path ? (place, member) : nil
  }

  /// Why a text cannot be a group's name; nil if it can. The name is a part of a key and of messages.
  package static func fault(inName name: String) -> String? {
    let isPlain = name.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
        true
      default: false
      }
    }
    if isPlain, (1...100).contains(name.utf8.count), name != ".", name != ".." { return nil }
    return "\"\(name)\" is no name of a group; it has 1 to 100 letters, digits, '-', '_' and '.'"
  }
}

/// A slot's object on S3 is one line of JSON. Instants are nanoseconds since 1970-01-01 UTC by the server's clock.
/// Readers ignore fields that they do not know.
extension GroupSlot {
  private static let currentFormat = 1

  /// The limit of a slot's bytes. A slot has some 40 bytes for each member that it has answered.
  package static let longest: Int64 = 1 << 20

  private struct Document: Codable {
    var format: Int
    var generation: Int
    var attempt: String
    var order: Int64
    var tree: String
    var state: String
    var speaksSince: ServerTime?
    var watermark: ServerTime?
    var doubtUntil: ServerTime?
    var question: Question?
    var answers: [String: Question]?
    var host: String?
    var pid: Int32?
  }

  private struct Question: Codable {
    var generation: Int
    var number: Int

    init(_ question: GroupQuestion) {
      generation = question.generation
      number = question.number
    }

    var value: GroupQuestion { GroupQuestion(generation: generation, number: number) }
  }

  /// - Throws: `UnreadableSlot` with a reason.
  package init(json bytes: [UInt8]) throws(UnreadableSlot) {
    let document: Document
    do {
      document = try JSONDecoder().decode(Document.self, from: Data(bytes))
    } catch {
      throw UnreadableSlot(reason: "it is no JSON of a slot")
    }
    guard document.format == Self.currentFormat else {
      throw UnreadableSlot(
        reason: "its format is \(document.format), and this version reads \(Self.currentFormat)")
    }
    guard let attempt = UInt64(document.attempt, radix: 16) else {
      throw UnreadableSlot(reason: "its attempt is no hexadecimal number")
    }
    let states: [String: State] = ["running": .running, "ended": .ended]
    guard let state = states[document.state] else {
      throw UnreadableSlot(reason: "its state is \"\(document.state)\"")
    }
    self.init(
      claim: GroupClaim(
        generation: document.generation, attempt: attempt, order: document.order, tree: document.tree),
      speaksSince: document.speaksSince)
    self.state = state
    watermark = document.watermark
    doubtUntil = document.doubtUntil
    question = document.question?.value
    for (member, question) in document.answers ?? [:] {
      guard let member = Int(member) else {
        throw UnreadableSlot(reason: "it answers \"\(member)\", which is no member")
      }
      answers[member] = question.value
    }
    origin = Origin(host: document.host ?? "", pid: document.pid ?? 0)
  }

  /// The slot as it is published.
  package var json: [UInt8] {
    let document = Document(
      format: Self.currentFormat, generation: claim.generation, attempt: claim.attemptText,
      order: claim.order, tree: claim.tree, state: state == .ended ? "ended" : "running",
      speaksSince: speaksSince, watermark: watermark, doubtUntil: doubtUntil,
      question: question.map(Question.init),
      answers: Dictionary(answers.map { (String($0), Question($1)) }, uniquingKeysWith: { $1 }),
      host: origin.host, pid: origin.pid)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return Array(try encoder.encode(document)) + [UInt8(ascii: "\n")]
    } catch {
      preconditionFailure("texts and numbers can always be JSON: \(error)")
    }
  }
}

extension GroupClaim {
  /// The attempt in 16 hexadecimal digits.
  package var attemptText: String {
    let digits = String(attempt, radix: 16)
    return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
  }
}

/// An object that lies where a slot does and is none.
package struct UnreadableSlot: Error, Sendable, Hashable {
  package var reason: String

  package init(reason: String) {
    self.reason = reason
  }
}
