import MirrorModel

// Receipts: what a pass has completed is listed on S3.
extension UploadLane {
  /// Publishes the receipts that are due. One that cannot be published is due again after the next pass.
  func publishReceipts(_ stage: ReceiptSchedule.Stage = .running, noting outcome: inout PassOutcome) async {
    guard let receipts else { return }
    do {
      try await receipts.publish(below: .root, stage, in: root)
    } catch {
      outcome.summary.failures.append(
        .init(path: UnitReceipt.folder.string, reason: "a receipt was not published: \(cause(of: error))"))
    }
  }

  /// Removes the receipts of checkpoints whose last object a pass has deleted.
  func removeReceipts(after outcome: PassOutcome) async {
    guard let receipts, outcome.summary.deleted > 0 else { return }
    do {
      try await receipts.removeOrphans(among: outcome.settled, in: root)
    } catch {
      // The end looks again. Until then the receipt names objects that are gone, so no reader takes it for true.
      journal.notice(
        "\(settings.name): the receipt of a deleted checkpoint stays for now: \(cause(of: error))")
    }
  }

  /// Removes the receipts of all checkpoints that are gone.
  func removeReceipts(noting outcome: inout PassOutcome) async {
    guard let receipts else { return }
    do {
      try await receipts.removeOrphans(in: root)
    } catch {
      outcome.summary.failures.append(
        .init(
          path: UnitReceipt.folder.string,
          reason: "the receipts of deleted checkpoints were not removed: \(cause(of: error))"))
    }
  }
}
