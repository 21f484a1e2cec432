import MirrorModel

/// The files that a reader of the events takes for changed and present: the model that disk is compared with.
///
/// - Parameter listing: files that were listed when so many events had come.
func changedFiles(
  _ events: [WatchEvent], listing: (files: Set<RelativePath>, afterEvents: Int) = ([], 0)
) -> Set<RelativePath> {
  var files: Set<RelativePath> = []
  func removeAll(below directory: RelativePath) { files = files.filter { !$0.isWithin(directory) } }
  for (index, event) in events.enumerated() {
    if index == listing.afterEvents { files.formUnion(listing.files) }
    switch event {
    case .created(let path), .linked(let path), .modified(let path), .closed(let path), .found(let path):
      files.insert(path)
    case .renamed(let old, let new):
      files.remove(old)
      files.insert(new)
    case .deleted(let path):
      files.remove(path)
    case .directoryRenamed(let old, _):
      removeAll(below: old)
    case .directoryMovedAway(let path), .directoryDeleted(let path):
      removeAll(below: path)
    case .attributes, .undecodable, .directoryAppeared, .rescan, .rootLost:
      break
    }
  }
  if listing.afterEvents >= events.count { files.formUnion(listing.files) }
  return files
}
