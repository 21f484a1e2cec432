import MirrorModel

/// The half of a rename that has been seen: something left this name, and where it went is not known yet.
package struct Departure: Sendable, Hashable {
  package var cookie: UInt32
  package var parent: WatchTable.NodeID
  package var name: RelativePath
  package var kind: EntryKind
  /// The directory's node, if it was known; detached while it waits.
  package var node: WatchTable.NodeID?
  /// Which record this was, counted by the translation.
  package var sequence: Int

  package init(
    cookie: UInt32, parent: WatchTable.NodeID, name: RelativePath, kind: EntryKind,
    node: WatchTable.NodeID? = nil, sequence: Int
  ) {
    self.cookie = cookie
    self.parent = parent
    self.name = name
    self.kind = kind
    self.node = node
    self.sequence = sequence
  }
}

/// Joins IN_MOVED_FROM with the IN_MOVED_TO of the same cookie.
///
/// The kernel queues the two without a lock between them, so records of other threads may stand in between, and the
/// end of a read(2) too (inotify(7), Dealing with rename() events). A departure that finds no arrival has left the
/// tree. Taking one for gone too early costs an upload, not correctness: its arrival then counts as moved in.
package struct RenamePairing: Sendable {
  /// As many renames are half done at one moment as there are threads that rename.
  package static let capacity = 64
  /// Records after which an arrival is no longer expected; they come from threads that overtook the renaming one.
  package static let patience = 4096

  /// Oldest first.
  private var departures: [Departure] = []

  package init() {}

  package var isEmpty: Bool { departures.isEmpty }

  /// - Returns: The departures that are given up for this one.
  package mutating func hold(_ departure: Departure) -> [Departure] {
    var overdue = takeAll {
      departure.sequence - $0.sequence > Self.patience || $0.cookie == departure.cookie
    }
    if departures.count >= Self.capacity { overdue.append(departures.removeFirst()) }
    departures.append(departure)
    return overdue
  }

  /// The departure that an arrival of this kind completes.
  package mutating func take(cookie: UInt32, _ kind: EntryKind) -> Departure? {
    guard let index = departures.firstIndex(where: { $0.cookie == cookie && $0.kind == kind }) else {
      return nil
    }
    return departures.remove(at: index)
  }

  /// Departures that have become certain by what happened since, oldest first.
  package mutating func takeAll(where isCertain: (Departure) -> Bool) -> [Departure] {
    guard !departures.isEmpty else { return [] }
    let certain = departures.filter(isCertain)
    if !certain.isEmpty { departures.removeAll(where: isCertain) }
    return certain
  }
}
