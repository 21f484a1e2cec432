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
