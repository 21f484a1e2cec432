import MirrorModel

/// The halves of renames: what has left a name, and how it is told gone.
extension EventTranslation {
  /// Keeps what left a name until its arrival tells where it went.
  mutating func hold(
    _ cookie: UInt32, _ name: RelativePath, _ kind: EntryKind, _ node: NodeID?, from parent: NodeID,
    into steps: inout [TranslationStep]
  ) {
    let departure = Departure(
      cookie: cookie, parent: parent, name: name, kind: kind, node: node, sequence: sequence)
    giveUpUnanswered(pairing.hold(departure), into: &steps)
  }

  /// A record about a name that something left says that the name is in use again, so no arrival came before it.
  ///
  /// A visit that meets the name says so too. It must come first: what is told gone afterwards would take the files
  /// with it that the visit gives out.
  package mutating func settleDepartures(
    of name: RelativePath, from parent: NodeID, unlessCookie cookie: UInt32 = 0,
    into steps: inout [TranslationStep]
  ) {
    guard !pairing.isEmpty else { return }
    giveUp(
      pairing.takeAll { $0.name == name && $0.parent == parent && $0.cookie != cookie }, into: &steps)
  }

  /// Takes departures for gone: first all are named, because what one leaves behind may be below another.
  ///
  /// The steps hold no visit, so nothing that a visit gives out is taken back by what is told gone after it.
  mutating func giveUp(_ departures: [Departure], into steps: inout [TranslationStep]) {
    for departure in departures where table.isWithin(departure.parent, WatchTable.root) {
      let path = table.path(of: departure.parent).appending(departure.name.string)
      steps.append(.emit(departure.kind == .directory ? .directoryMovedAway(path) : .deleted(path)))
    }
    for case let node? in departures.map(\.node) where table[node] != nil && !table.isAttached(node) {
      remove(node, into: &steps)
    }
  }

  /// Gives up departures about which no record follows. Their names are looked at, because the arrival of an
  /// exchange's other half may have been nowhere near a watch.
  mutating func giveUpUnanswered(_ departures: [Departure], into steps: inout [TranslationStep]) {
    giveUp(departures, into: &steps)
    for departure in departures { recheckIfExchanged(departure, into: &steps) }
  }

  /// What left the directory or one below it and has not arrived; its path is known as long as the directory is.
  mutating func takeDepartures(from directory: NodeID) -> [Departure] {
    guard !pairing.isEmpty else { return [] }
    let table = table
    return pairing.takeAll { table.isWithin($0.parent, directory) }
  }

  /// Has a name that was left looked at again where the departure may be half of an exchange.
  mutating func recheckIfExchanged(_ departure: Departure, into steps: inout [TranslationStep]) {
    if arrivals.contains(departure.name, under: departure.parent) {
      steps.append(.recheck(departure.name, under: departure.parent))
    }
  }
}
