import MirrorModel

/// Departures: the first halves of renames, and how they are given up.
extension EventTranslation {
  /// Keeps a departure until an arrival shows where it went.
  mutating func hold(
    _ cookie: UInt32, _ name: RelativePath, _ kind: EntryKind, _ node: NodeID?, from parent: NodeID,
    into steps: inout [TranslationStep]
  ) {
    let departure = Departure(
      cookie: cookie, parent: parent, name: name, kind: kind, node: node, sequence: sequence)
    giveUpUnanswered(pairing.hold(departure), into: &steps)
  }

  /// Gives up departures from a name that is in use again. A new record about such a name shows that the
  /// departures went elsewhere.
  ///
  /// A visit that finds the name calls this too, before it emits its files. Otherwise the later removal of
  /// the departed directory would remove these files as well.
  package mutating func settleDepartures(
    of name: RelativePath, from parent: NodeID, unlessCookie cookie: UInt32 = 0,
    into steps: inout [TranslationStep]
  ) {
    guard !pairing.isEmpty else { return }
    giveUp(
      pairing.takeAll { $0.name == name && $0.parent == parent && $0.cookie != cookie }, into: &steps)
  }

  /// Gives up departures. All of them are named before any directory is removed, because one departure's name
  /// may lie below another departed directory.
  ///
  /// The steps hold no visit, so the removals cannot undo the events of a visit.
  mutating func giveUp(_ departures: [Departure], into steps: inout [TranslationStep]) {
    for departure in departures where table.isWithin(departure.parent, WatchTable.root) {
      let path = table.path(of: departure.parent).appending(departure.name.string)
      steps.append(.emit(departure.kind == .directory ? .directoryMovedAway(path) : .deleted(path)))
    }
    for case let node? in departures.map(\.node) where table[node] != nil && !table.isAttached(node) {
      remove(node, into: &steps)
    }
  }

  /// Gives up departures that no record completes. Their names are rechecked, because such a departure may be
  /// half of an exchange whose other half happened outside the watched tree.
  mutating func giveUpUnanswered(_ departures: [Departure], into steps: inout [TranslationStep]) {
    giveUp(departures, into: &steps)
    for departure in departures { recheckIfExchanged(departure, into: &steps) }
  }

  /// Takes the open departures from a directory and from everything below it. Their paths are known only
  /// while the directory is known.
  mutating func takeDepartures(from directory: NodeID) -> [Departure] {
    guard !pairing.isEmpty else { return [] }
    let table = table
    return pairing.takeAll { table.isWithin($0.parent, directory) }
  }

  /// Rechecks a departed name if the departure may be half of an exchange.
  mutating func recheckIfExchanged(_ departure: Departure, into steps: inout [TranslationStep]) {
    if arrivals.contains(departure.name, under: departure.parent) {
      steps.append(.recheck(departure.name, under: departure.parent))
    }
  }
}
