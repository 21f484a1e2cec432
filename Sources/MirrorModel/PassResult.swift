/// What one plan came to.
package struct PassResult: Sendable {
  /// Published, or gone for good: whatever was held against them is over.
  package var settled: [RelativePath] = []
  /// Deleted at the end, or found to have no object.
  package var removed: [RelativePath] = []
  /// Files that were there: published, or kept from being deleted.
  package var met: [RelativePath] = []
  /// Published in a version that another one has replaced.
  package var superseded: Set<RelativePath> = []
  /// Those of them that went in the version with which the pass began.
  package var held: Set<RelativePath> = []
  /// Markers and other paths that wait, and what each waits for.
  package var blocked: [RelativePath: RelativePath] = [:]
  /// Comes back dirty: what failed, what was open or changing, and deletes that wait.
  package var unpublished = DirtySet.Batch()
  /// Objects under keys that had none, as far as that is sure.
  package var created = 0
}
