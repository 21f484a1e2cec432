import LocalTree
import MirrorModel

/// Publishes the receipts of an upload's checkpoints: of whole checkpoints, or, in a group, of the parts that this
/// member wrote.
protocol CheckpointReceipts: Sendable {
  func note(published path: RelativePath)

  /// Notes that a path's object was deleted. The receipt that names it is not true any more.
  func note(deleted path: RelativePath)

  /// Publishes the receipts of the checkpoints below a directory that are due.
  ///
  /// - Parameter marker: the marker that is published next. If it names a checkpoint, that checkpoint is
  ///   complete.
  /// - Throws: the error of the first receipt that could not be published. It stays due.
  func publish(
    below directory: RelativePath, before marker: RelativePath?, _ stage: ReceiptSchedule.Stage,
    in root: TreeRoot
  ) async throws

  /// Notes the files that the comparison at entry found equal to their objects.
  func noteFound()

  /// The checkpoints that have a receipt on S3 which this upload may remove.
  func unitsWithReceipts() async throws -> [RelativePath]

  /// Removes the receipt of a checkpoint, if the checkpoint is gone here and its objects are gone from S3.
  func removeOrphan(_ unit: RelativePath, in root: TreeRoot) async throws
}

extension CheckpointReceipts {
  func publish(
    below directory: RelativePath, before marker: RelativePath? = nil, in root: TreeRoot
  ) async throws {
    try await publish(below: directory, before: marker, .running, in: root)
  }

  /// Removes the receipts of checkpoints that are gone.
  ///
  /// - Parameter paths: paths that a pass has settled, perhaps by a delete.
  func removeOrphans(among paths: [RelativePath], in root: TreeRoot) async throws {
    for unit in Set(paths.compactMap(ReceiptSchedule.unit)).sorted() {
      try await removeOrphan(unit, in: root)
    }
  }

  /// The same for all receipts on S3, after a comparison of everything.
  func removeOrphans(in root: TreeRoot) async throws {
    for unit in try await unitsWithReceipts() { try await removeOrphan(unit, in: root) }
  }
}
