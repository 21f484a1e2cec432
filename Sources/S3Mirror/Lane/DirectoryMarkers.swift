import LocalTree
import MirrorModel

// Directory markers: zero-byte objects whose keys end in a slash, for directories in which nothing has a key.
//
// Everywhere in here a marker is a path with a trailing slash, and goes the ways of files: dirty, published, deleted.

extension RelativePath {
  /// The path of a directory's marker.
  var directoryMarker: RelativePath { RelativePath(string + "/") }
}

/// Has the watch's events speak of markers too.
struct DirectoryMarkers: Sendable {
  /// What this run published, or met on S3.
  let ledger: PublishedLedger

  /// The events, and after them those of markers that have to be looked at: of directories that came, went or may have become empty.
  func completed(_ events: [WatchEvent]) -> [WatchEvent] {
    var added: [WatchEvent] = []
    var emptied: Set<RelativePath> = []
    for event in events {
      switch event {
      case .directoryAppeared(let directory):
        added.append(.found(directory.directoryMarker))
      case .directoryDeleted(let directory):
        added.append(.deleted(directory.directoryMarker))
        emptied.insert(directory.parent)
      case .directoryRenamed(let from, let to):
        added += moved(from, to)
        emptied.insert(from.parent)
      case .directoryMovedAway(let path), .deleted(let path), .renamed(from: let path, to: _):
        emptied.insert(path.parent)
      case .created, .linked, .modified, .closed, .attributes, .found, .undecodable, .rescan, .rootLost: break
      }
    }
    for directory in emptied where !directory.isRoot { added.append(.found(directory.directoryMarker)) }
    return events + added
  }

  /// A directory takes the markers below it along, of which no event tells.
  private func moved(_ from: RelativePath, _ to: RelativePath) -> [WatchEvent] {
    let below = ledger.directoryMarkers(within: from).filter { $0 != from.directoryMarker }
    return [.deleted(from.directoryMarker), .found(to.directoryMarker)]
      + below.flatMap { [.deleted($0), .found($0.moved(from: from, to: to))] }
  }
}

extension PublishedLedger {
  /// Remembers that a marker is on S3.
  func note(directoryMarker marker: RelativePath, etag: String) {
    let nothing = FileStamp(device: 0, inode: 0, size: 0, modified: 0, changed: 0)
    note(.init(stamp: nothing, etag: etag), for: marker)
  }
}

/// A walk that gives out a directory in which nothing has a key as an empty file of its marker's path.
struct MarkerWalk: WalkSource {
  private var base: any WalkSource
  private let filter: PathFilter
  /// A directory of which nothing that counts was met yet.
  private var pending: RelativePath?
  private var isOver = false

  init(_ base: any WalkSource, from start: RelativePath, filter: PathFilter) {
    self.base = base
    self.filter = filter
    // A walk does not give out where it begins; the root itself has no key.
    pending = start.isRoot ? nil : start
  }

  mutating func nextChunk(of count: Int) -> [WalkItem] {
    var items: [WalkItem] = []
    while items.isEmpty, !isOver {
      let chunk = base.nextChunk(of: count)
      isOver = chunk.isEmpty
      for item in chunk { take(item, into: &items) }
    }
    if isOver { settle(isEmpty: true, into: &items) }
    return items
  }

  private mutating func take(_ item: WalkItem, into items: inout [WalkItem]) {
    switch item {
    case .skipped: items.append(item)
    case .directory(let path):
      settle(isEmpty: !isBelow(path), into: &items)
      pending = path
    case .file(let path, _), .unreadable(let path, _):
      settle(isEmpty: !isBelow(path), into: &items)
      items.append(item)
    case .notUTF8(let directory, _):
      settle(isEmpty: !isBelow(directory), into: &items)
      items.append(item)
    }
  }

  private func isBelow(_ path: RelativePath) -> Bool { pending.map { path.isWithin($0) } ?? false }

  private mutating func settle(isEmpty: Bool, into items: inout [WalkItem]) {
    guard let directory = pending else { return }
    pending = nil
    guard isEmpty, !filter.excludes(directory, .file) else { return items.append(.directory(directory)) }
    let nothing = FileStamp(device: 0, inode: 0, size: 0, modified: 0, changed: 0)
    items.append(.file(directory.directoryMarker, nothing))
  }
}

extension FilePublisher {
  /// Publishes the marker of a directory that is there and empty, unless it is on S3 already.
  func publishMarker(_ marker: RelativePath) async -> Outcome {
    let directory = marker.withoutTrailingSlash
    let key = mapping.key(for: marker)
    if let refusal = mapping.refusal(of: marker) { return .refused(refusal) }
    do {
      let isKnown = ledger.hasDirectoryMarker(marker)
      guard let isEmpty = try root.isEmptyDirectory(directory, filter: filter) else {
        // There may be one of an earlier run; the exit's comparison finds that.
        return isKnown ? .absent : .unneeded
      }
      // A directory that has become full keeps its marker.
      if isKnown || !isEmpty || filter.excludes(directory, .file) { return .unneeded }
      let start = ContinuousClock.now
      let answer = try await uploader.uploadDirectoryMarker(to: key)
      ledger.note(directoryMarker: marker, etag: answer.etag)
      journal.markedDirectory(
        etag: answer.etag, requestID: answer.requestID, mirror: name, path: marker, key: key,
        took: .now - start)
      return .published(bytes: 0, by: .marker)
    } catch {
      return failed(marker, error)
    }
  }
}
