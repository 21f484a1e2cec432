import MirrorModel

// Receipts: what a pass has completed is listed on S3.
extension UploadLane {
  /// Publishes the receipts that are due. One that cannot be published is due again after the next pass.
  ///
  /// In a group a pass publishes none: a receipt belongs to what a member confirms (see `confirmParts`).
  func publishReceipts(_ stage: ReceiptSchedule.Stage = .running, noting outcome: inout PassOutcome) async {
    if group == nil { await publishDueReceipts(stage, noting: &outcome) }
  }

  /// The same at the end, when no pass and no confirmation follows.
  func publishDueReceipts(_ stage: ReceiptSchedule.Stage = .running, noting outcome: inout PassOutcome) async
  {
    guard let receipts else { return }
    do {
      try await receipts.publish(below: .root, before: nil, stage, in: root)
    } catch {
      outcome.summary.failures.append(
        .init(path: UnitReceipt.folder.string, reason: "a receipt was not published: \(cause(of: error))"))
    }
  }

  /// Publishes the receipts of what this member is about to confirm.
  func confirmParts() async -> GroupMember.PassAnswer {
    guard let receipts else { return .published }
    do {
      try await receipts.publish(below: .root, in: root)
      state.withLock { $0.receiptFault = nil }
      return .published
    } catch {
      let fault = "\(cause(of: error))"
      let isNew = state.withLock { state in
        defer { state.receiptFault = fault }
        return state.receiptFault != fault
      }
      if isNew, group?.driver.fenceError == nil {
        journal.notice(
          "\(settings.name): a receipt was not published, so markers of the other hosts wait: \(fault)")
      }
      return .unfinished
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
