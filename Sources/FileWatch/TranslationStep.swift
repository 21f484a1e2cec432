import MirrorModel

/// What one record asks for, to be carried out in order before the next record is translated.
package enum TranslationStep: Sendable, Hashable {
  case emit(WatchEvent)
  /// Watch the directory of this name and give out what lies below.
  case visit(RelativePath, under: WatchTable.NodeID, Visit)
  /// Look whether something lies under a name that a rename should have left, and give it out.
  case recheck(RelativePath, under: WatchTable.NodeID)
  /// Remove these watches from the kernel; the table has forgotten them.
  case unwatch([Int32])
  /// Build the table anew from the disk.
  case rewalk
}
