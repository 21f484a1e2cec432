/// Why a comparison found a difference that no event had reported, as far as stamps show it.
package enum DriftCause: Sendable, Hashable, CaseIterable {
  /// The file changed here, and the watch reported nothing: a fault of this program.
  case missedEvent
  /// The file has further names (hard links) and was written under a name without a watch.
  case furtherName
  /// Another filesystem is mounted there than before.
  case otherMount
  /// Nothing changed here. Another writer changed the object, or a filesystem was mounted or unmounted.
  case unchangedHere

  /// - Parameters:
  ///   - known: the version that this run published or found equal; nil where there is none.
  ///   - found: the file that is there now; nil if there is none.
  ///   - device: the device of the nearest existing directory above the file.
  ///   - start: when the watch began, in nanoseconds since 1970-01-01 UTC.
  package init(known: FileStamp?, found: FileStamp?, device: UInt64?, start: Int64) {
    if let known, let device = found?.device ?? device, device != known.device {
      self = .otherMount
    } else if let found {
      let isUnchanged = known.map { $0.isSameVersion(as: found) } ?? (found.changed < start)
      self = isUnchanged ? .unchangedHere : found.links > 1 ? .furtherName : .missedEvent
    } else {
      // An object without a file: this run or another writer put it there.
      self = known == nil ? .unchangedHere : .missedEvent
    }
  }
}
