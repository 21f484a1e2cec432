/// The part of a unit that one member of a group wrote.
///
/// Each member publishes a receipt of its part: at `.s3mirror/member-receipts/<unit>/<group>/<K>-of-<N>.json` below
/// the remote. The last two names are always those of the group and the member, so the receipts of two units
/// never have one path.
package struct UnitPart: Hashable, Sendable {
  package var place: GroupPlace
  package var member: Int

  package init(place: GroupPlace, member: Int) {
    self.place = place
    self.member = member
  }

  /// The folder of all members' receipts below the remote.
  package static let receipts = UnitReceipt.folder.appending("member-receipts")

  /// The folder of the receipts of a unit that the members of a group wrote.
  package static func receipts(of unit: RelativePath, in place: GroupPlace) -> RelativePath {
    (unit.isRoot ? receipts : receipts.appending(unit.string)).appending(place.group)
  }

  /// The path of this part's receipt.
  package func receipt(of unit: RelativePath) -> RelativePath {
    Self.receipts(of: unit, in: place).appending(place.name(of: member))
  }

  /// The unit and the part whose receipt has this path; nil for all other paths.
  package static func parse(_ path: RelativePath) -> (unit: RelativePath, part: UnitPart)? {
    guard path.isWithin(receipts), path != receipts, path.parent != receipts else { return nil }
    let group = path.parent.name
    guard let (member, count) = GroupPlace.numbers(inName: path.name) else { return nil }
    let part = UnitPart(place: GroupPlace(group: String(group), count: count), member: member)
    let folder = path.parent.parent
    let unit = folder == receipts ? .root : folder.moved(from: receipts, to: .root)
    return part.receipt(of: unit) == path ? (unit, part) : nil
  }
}

/// The receipts of a unit, as a listing shows them.
package struct ListedReceipts: Sendable, Hashable {
  package var whole: RemoteObject?
  package var parts: [UnitPart: RemoteObject] = [:]

  package init(whole: RemoteObject? = nil) {
    self.whole = whole
  }

  /// The receipts' objects by their paths below the remote.
  package func objects(of unit: RelativePath) -> [RelativePath: RemoteObject] {
    var objects: [RelativePath: RemoteObject] = [:]
    if let whole { objects[UnitReceipt.path(of: unit)] = whole }
    for (part, object) in parts { objects[part.receipt(of: unit)] = object }
    return objects
  }
}

/// The receipts that the members of one group wrote of a unit, each for its own part.
package struct PartReceipts: Sendable {
  package typealias Reading = Result<UnitReceipt, UnreadableReceipt>

  package var place: GroupPlace
  /// When the latest of the receipts was published, by the server's clock.
  package private(set) var published = Int64.min
  /// By member.
  package private(set) var receipts: [Int: Reading] = [:]

  package init(_ place: GroupPlace) {
    self.place = place
  }

  package mutating func add(_ reading: Reading, of member: Int, published: Int64) {
    receipts[member] = reading
    self.published = max(self.published, published)
  }

  private var readable: [UnitReceipt] {
    receipts.values.compactMap {
      if case .success(let receipt) = $0 { receipt } else { nil }
    }
  }

  /// Whether a member has recorded that the unit is complete.
  var isSealed: Bool { readable.contains { $0.part?.completeWith != nil } }

  var objectCount: Int { readable.reduce(0) { $0 + $1.objects.count } }

  /// The objects that the receipts name; nil if a receipt does not name all objects of its member.
  package var named: Set<RelativePath>? {
    let receipts = readable
    guard receipts.count == self.receipts.count, receipts.allSatisfy({ $0.part?.omitted == nil }) else {
      return nil
    }
    return Set(receipts.flatMap(\.objects).map { RelativePath($0.key) })
  }

  /// The objects that one member's receipt names; an empty set if the member has none.
  ///
  /// - Throws: `UnreadableReceipt` if the receipt cannot be used, or does not name all objects.
  package func named(by member: Int) throws(UnreadableReceipt) -> Set<RelativePath> {
    guard let reading = receipts[member] else { return [] }
    let receipt = try reading.get()
    if let omitted = receipt.part?.omitted {
      throw UnreadableReceipt(reason: "it does not name \(omitted) objects")
    }
    return Set(receipt.objects.map { RelativePath($0.key) })
  }

  /// Why the objects differ from the receipts, or which receipt is missing; nil if the receipts are right.
  func fault(in objects: [RelativePath: RemoteObject]) -> String? {
    var needed: [Int: Set<Int>] = [:]
    for (member, revision) in readable.flatMap({ $0.part?.completeWith ?? [:] }) {
      needed[member, default: []].insert(revision)
    }
    for member in Set(needed.keys).union(receipts.keys).sorted() {
      let owner = "member \(member) of the group \(place.group)"
      switch receipts[member] {
      case nil: return "the receipt of \(owner) is missing"
      case .failure(let error): return "the receipt of \(owner) cannot be used: \(error.reason)"
      case .success(let receipt):
        if let fault = receipt.fault(in: objects) { return "\(fault) (\(owner))" }
        if needed[member, default: []].contains(where: { $0 != receipt.part?.revision ?? 0 }) {
          return "\(owner) has written over files of it since it was complete"
        }
      }
    }
    return nil
  }
}

/// The receipts of a unit, read.
package struct ReadReceipts: Sendable {
  /// Nil if no receipt names the whole unit.
  package var whole: PartReceipts.Reading?
  private var groups: [PartReceipts] = []

  /// What the receipts show.
  package struct Testimony: Sendable {
    /// Nil if the receipts do not decide whether the unit is complete.
    package var state: UnitState?
    /// The unit's objects; nil if the receipts do not name them all.
    package var named: Set<RelativePath>?
    /// The group whose members wrote the unit; nil if no group did, as far as is known.
    package var group: PartReceipts?

    package init(state: UnitState? = nil, named: Set<RelativePath>? = nil, group: PartReceipts? = nil) {
      self.state = state
      self.named = named
      self.group = group
    }
  }

  package init(whole: PartReceipts.Reading? = nil, groups: [PartReceipts] = []) {
    self.whole = whole
    self.groups = groups.sorted {
      ($1.published, $0.place.group, $0.place.count) < ($0.published, $1.place.group, $1.place.count)
    }
  }

  /// What the receipts show, beside the listed objects of the unit.
  ///
  /// One job may have written the unit after another, each as a group of its own. So one set of receipts that is
  /// right is enough. While no member has recorded that the unit is complete, its marker decides, and the
  /// receipts of the latest group must be right nevertheless.
  package func testimony(of objects: [RelativePath: RemoteObject]) -> Testimony {
    var faults: [String] = []
    switch whole {
    case nil: break
    case .success(let receipt)?:
      guard let fault = receipt.fault(in: objects) else {
        return Testimony(
          state: .complete(proof: "its receipt names \(receipt.objects.count) objects, and all are there"),
          named: Set(receipt.objects.map { RelativePath($0.key) }))
      }
      faults.append(fault)
    case .failure(let error)?: faults.append("its receipt cannot be used: \(error.reason)")
    }
    for group in groups where group.isSealed {
      guard let fault = group.fault(in: objects) else {
        return Testimony(
          state: .complete(
            proof:
              "the receipts of \(group.receipts.count) members name \(group.objectCount) objects, and all are there"
          ), named: group.named, group: group)
      }
      faults.append(fault)
    }
    if let fault = faults.first { return Testimony(state: .incomplete(fault), group: groups.first) }
    guard let latest = groups.first else { return Testimony() }
    if let fault = latest.fault(in: objects) {
      return Testimony(state: .incomplete(fault), group: latest)
    }
    return Testimony(group: latest)
  }
}
