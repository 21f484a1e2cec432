import MirrorModel

/// The first half of a rename: an entry left this name, and its new name is not known yet.
package struct Departure: Sendable, Hashable {
  package var cookie: UInt32
  package var parent: WatchTable.NodeID
  package var name: RelativePath
  package var kind: EntryKind
  /// The directory's node, if it was known. The node is detached while the departure waits.
  package var node: WatchTable.NodeID?
  /// The record's number, counted by the translation.
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

/// Joins each IN_MOVED_FROM with the IN_MOVED_TO of the same cookie.
///
/// The kernel queues the two records without a lock between them. So records of other threads, or the end of
/// a read(2), may come between them (inotify(7), Dealing with rename() events). A departure without an
/// arrival has left the tree. A departure that is given up too early costs an upload but stays correct,
/// because its arrival then counts as moved in.
package struct RenamePairing: Sendable {
  /// As many renames can be half done at one moment as there are threads that rename.
  package static let capacity = 64
  /// After so many further records no arrival is expected. They come from threads that overtook the renaming
  /// thread.
  package static let patience = 4096

  /// Oldest first.
  private var departures: [Departure] = []

  package init() {}

  package var isEmpty: Bool { departures.isEmpty }

  /// - Returns: the departures that are given up to make room, or because they are overdue.
  package mutating func hold(_ departure: Departure) -> [Departure] {
    var overdue = takeAll {
      departure.sequence - $0.sequence > Self.patience || $0.cookie == departure.cookie
    }
    if departures.count >= Self.capacity { overdue.append(departures.removeFirst()) }
    departures.append(departure)
    return overdue
  }

  /// Takes the departure that an arrival of this kind completes.
  package mutating func take(cookie: UInt32, _ kind: EntryKind) -> Departure? {
    guard let index = departures.firstIndex(where: { $0.cookie == cookie && $0.kind == kind }) else {
      return nil
    }
    return departures.remove(at: index)
  }

  /// Takes the departures that are now certain to have left, oldest first.
  package mutating func takeAll(where isCertain: (Departure) -> Bool) -> [Departure] {
    guard !departures.isEmpty else { return [] }
    let certain = departures.filter(isCertain)
    if !certain.isEmpty { departures.removeAll(where: isCertain) }
    return certain
  }
}
