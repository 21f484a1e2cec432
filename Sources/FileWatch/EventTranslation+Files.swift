import MirrorModel

/// Translates records about files.
extension EventTranslation {
  mutating func translateFile(
    _ record: InotifyRecord, _ name: RelativePath, in parent: NodeID, into steps: inout [TranslationStep]
  ) {
    let path = table.path(of: parent).appending(name.string)
    let mask = record.mask
    guard !isExcluded(path, .file) else {
      if mask.contains(.movedTo), let departure = pairing.take(cookie: record.cookie, .file) {
        giveUpUnanswered([departure], into: &steps)
      }
      return
    }
    if mask.contains(.movedFrom) {
      hold(record.cookie, name, .file, nil, from: parent, into: &steps)
    } else if mask.contains(.movedTo) {
      if let departure = pairing.take(cookie: record.cookie, .file) {
        let old = table.path(of: departure.parent).appending(departure.name.string)
        steps.append(.emit(.renamed(from: old, to: path)))
        recheckIfExchanged(departure, into: &steps)
      } else {
        steps.append(.emit(.found(path)))
      }
    } else if mask.contains(.create) {
      steps.append(.emit(.created(path)))
    } else if mask.contains(.modify) {
      steps.append(.emit(.modified(path)))
    } else if mask.contains(.closeWrite) {
      steps.append(.emit(.closed(path)))
    } else if mask.contains(.delete) {
      steps.append(.emit(.deleted(path)))
    } else if mask.contains(.attributes) {
      steps.append(.emit(.attributes(path)))
    }
  }
}
