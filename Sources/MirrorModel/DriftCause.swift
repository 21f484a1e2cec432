/// Why a comparison found a difference of which no event had told, as far as stamps tell it.
package enum DriftCause: Sendable, Hashable, CaseIterable {
  /// The file changed here, and the watch did not tell: a fault of this program.
  case missedEvent
  /// The file has further names (hard links), and was written under one that has no watch.
  case furtherName
  /// Another filesystem is there than before.
  case otherMount
  /// Nothing changed here: another writer changed the object, or a mount came or went.
  case unchangedHere

  /// - Parameters:
  ///   - known: the version that this run published or found equal; nil where there is none.
  ///   - found: the file that is there now; nil for none.
  ///   - device: of the nearest directory above it that is there now.
  ///   - start: when the watch began, in nanoseconds since 1970-01-01 UTC.
  package init(known: FileStamp?, found: FileStamp?, device: UInt64?, start: Int64) {
    if let known, let device = found?.device ?? device, device != known.device {
      self = .otherMount
    } else if let found {
      let isUnchanged = known.map { $0.isSameVersion(as: found) } ?? (found.changed < start)
      self = isUnchanged ? .unchangedHere : found.links > 1 ? .furtherName : .missedEvent
    } else {
      // An object without a file: one of ours, or one that another writer put there.
      self = known == nil ? .unchangedHere : .missedEvent
    }
  }
}
