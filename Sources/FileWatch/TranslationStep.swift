import MirrorModel

/// An action for one record. Actions are carried out in order before the next record is translated.
package enum TranslationStep: Sendable, Hashable {
  case emit(WatchEvent)
  /// Watch the directory of this name and emit events for its content.
  case visit(RelativePath, under: WatchTable.NodeID, Visit)
  /// Check whether a name that a rename should have freed is in use, and emit an event if it is.
  case recheck(RelativePath, under: WatchTable.NodeID)
  /// Remove these watches from the kernel. The table has already forgotten them.
  case unwatch([Int32])
  /// Build the table again from the disk.
  case rewalk
}
