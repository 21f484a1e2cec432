/// The result of one plan.
package struct PassResult: Sendable {
  /// Published, or deleted for good. Earlier failures of these paths no longer count.
  package var settled: [RelativePath] = []
  /// Deleted in the last phase, or found to have no object.
  package var removed: [RelativePath] = []
  /// Files that exist: published, or protected from deletion.
  package var met: [RelativePath] = []
  /// Published, but a newer version exists already.
  package var superseded: Set<RelativePath> = []
  /// Those of `superseded` that were published in the version with which the pass began.
  package var held: Set<RelativePath> = []
  /// Markers and other paths that wait, and the path that each waits for.
  package var blocked: [RelativePath: RelativePath] = [:]
  /// Markers whose data are published here, and that wait for other hosts. They stay dirty.
  package var heldByGroup: Set<RelativePath> = []
  /// Paths that stay dirty: failed, open or changing files, and deletes that wait.
  package var unpublished = DirtySet.Batch()
  /// How many keys were created that had no object before, as far as this is certain.
  package var created = 0
}
