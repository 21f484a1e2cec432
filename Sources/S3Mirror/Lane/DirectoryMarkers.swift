import LocalTree
import MirrorModel

// Markers of directories in which nothing has a key.

/// Adds the events of directory markers to the events of the watch.
struct DirectoryMarkers: Sendable {
  /// What this run published or found on S3.
  let ledger: PublishedLedger

  /// The events, and after them events of the markers that must be checked: markers of directories that
  /// appeared, went away or may have become empty.
  func completed(_ events: [WatchEvent]) -> [WatchEvent] {
    var added: [WatchEvent] = []
    var emptied: Set<RelativePath> = []
    for event in events {
      switch event {
      case .directoryAppeared(let directory):
        added.append(.found(DirectoryMarker(of: directory).path))
      case .directoryDeleted(let directory):
        added.append(.deleted(DirectoryMarker(of: directory).path))
        emptied.insert(directory.parent)
      case .directoryRenamed(let from, let to):
        added += moved(from, to)
        emptied.insert(from.parent)
      case .directoryMovedAway(let path), .deleted(let path), .renamed(from: let path, to: _):
        emptied.insert(path.parent)
      case .created, .linked, .modified, .closed, .attributes, .found, .undecodable, .rescan, .rootLost: break
      }
    }
    for directory in emptied where !directory.isRoot {
      added.append(.found(DirectoryMarker(of: directory).path))
    }
    return events + added
  }

  /// The markers below a renamed directory move with it. No event reports them.
  private func moved(_ from: RelativePath, _ to: RelativePath) -> [WatchEvent] {
    let (old, new) = (DirectoryMarker(of: from), DirectoryMarker(of: to))
    let below = ledger.directoryMarkers(within: from).filter { $0 != old }
    return [.deleted(old.path), .found(new.path)]
      + below.flatMap { [.deleted($0.path), .found($0.path.moved(from: from, to: to))] }
  }
}

extension FilePublisher {
  /// Publishes the marker of a directory that exists and is empty, unless the marker is on S3 already.
  func publish(_ marker: DirectoryMarker) async -> Outcome {
    let directory = marker.directory
    if let refusal = mapping.refusal(of: marker.path) { return .refused(refusal) }
    do {
      let isKnown = ledger.holds(marker)
      guard let isEmpty = try root.isEmptyDirectory(directory, filter: filter) else {
        // An earlier run may have published a marker; the comparison at exit finds it.
        return isKnown ? .absent : .unneeded
      }
      // A directory that is no longer empty keeps its marker.
      if isKnown || !isEmpty || filter.excludes(directory, .file) { return .unneeded }
      let answer = try await publishEmpty(marker.path, "application/x-directory")
      ledger.note(
        .init(etag: answer.etag, source: .published, answered: answer.serverDate), for: marker)
      return .published(bytes: 0, by: .marker)
    } catch {
      return failed(marker.path, error)
    }
  }
}
