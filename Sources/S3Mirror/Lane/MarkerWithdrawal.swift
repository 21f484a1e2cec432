import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// Removes commit markers from S3 before the data that they cover are overwritten.
final class MarkerWithdrawal: Sendable {
  private let name: String
  private let mapping: KeyMapping
  private let store: any ObjectStore
  private let ledger: PublishedLedger
  /// Nil if the mirror only compares: a comparison shows which files have an object.
  private let objectsAtEntry: EntryObjects?
  private let journal: Journal
  /// In a group a marker that only a listing has shown is another member's.
  private let sharing: WriterCheck.Sharing
  /// One removal at a time, so that no data appear while a marker that covers them is being removed.
  private let turn = FairSemaphore(capacity: 1)
  private let isRefused = Atomic<Bool>(false)

  init(
    name: String, mapping: KeyMapping, store: any ObjectStore, ledger: PublishedLedger,
    objectsAtEntry: EntryObjects?, sharing: WriterCheck.Sharing, journal: Journal
  ) {
    self.name = name
    self.mapping = mapping
    self.store = store
    self.ledger = ledger
    self.objectsAtEntry = objectsAtEntry
    self.sharing = sharing
    self.journal = journal
  }

  /// The markers to remove before data of a batch are overwritten.
  ///
  /// - Parameters:
  ///   - flights: the publications that may be on S3 when the data are published.
  ///   - deletesGone: whether the objects of markers whose files are gone are deleted.
  func withdrawals(
    from batch: DirtySet.Batch, flying flights: [RelativePath: DirtyEntry], _ order: CommitOrder,
    _ root: TreeRoot, deletesGone: Bool
  ) -> Withdrawals {
    let flying = flights.keys.filter(order.isMarker)
    if flying.isEmpty, !ledger.hasCommitMarkers { return Withdrawals() }
    let data = batch.overwritten(order) { path, entry in
      // The ledger need not have the objects of entry, so they are looked up separately.
      ledger.etag(of: path) != nil || (!entry.isNew && (objectsAtEntry?.mayHaveHeld(path) ?? true))
    }
    var markers = Set(flying.map { Withdrawals.Marker(unread: $0) })
    var seen = Set(flying)
    for path in data {
      for marker in ledger.commitMarkers(above: path) where mayRemove(marker) && seen.insert(marker).inserted
      {
        if let stamp = root.stamp(ofFileAt: marker) {
          markers.insert(Withdrawals.Marker(marker, reach(of: marker, stamp, over: data, in: batch, root)))
        } else if root.symlinks == .link, let place = root.place(ofLinkAt: marker) {
          // The link on S3 may lead elsewhere.
          let isKnown = batch.entries[marker] == nil
          markers.insert(
            isKnown
              ? Withdrawals.Marker(marker, .places([place])) : Withdrawals.Marker(unread: marker))
        } else if deletesGone {
          markers.insert(Withdrawals.Marker(unread: marker))
        }
      }
    }
    return Withdrawals(of: data, under: markers)
  }

  private func mayRemove(_ marker: RelativePath) -> Bool {
    switch sharing {
    case .none: true
    case .group: ledger.etag(of: marker) != nil
    }
  }

  private func reach(
    of marker: RelativePath, _ stamp: FileStamp, over data: [RelativePath], in batch: DirtySet.Batch,
    _ root: TreeRoot
  ) -> Withdrawals.Reach {
    guard Tracker.mayBe(marker, byteCount: stamp.size) else { return .directory }
    // The marker on S3 may name another checkpoint than the local one.
    if batch.entries[marker] != nil || ledger.record(of: marker, matching: stamp, allowing: .none) == nil {
      return Withdrawals.Marker(unread: marker).reach
    }
    guard case .success(let tracker?) = Result(catching: { try root.tracker(at: marker) }) else {
      return .below
    }
    return .places(tracker.places(among: data.flatMap { [$0] + $0.ancestors }))
  }

  /// Returns when none of the markers is on S3.
  ///
  /// - Throws: `S3Error`. If deletes are denied, the markers stay, and that is reported once.
  func carryOut(_ markers: [RelativePath]) async throws {
    guard !markers.isEmpty, markers.contains(where: isOnS3), !isRefused.load(ordering: .relaxed) else {
      return
    }
    try await turn.withPermit {
      for marker in markers where isOnS3(marker) {
        let key = mapping.key(for: marker)
        do {
          _ = try await store.send(DeleteObject(key: key))
        } catch let error as S3Error where error.isMissingKey {
          // Another program has removed the marker.
        } catch let error as S3Error where error.isAccessDenied {
          if !isRefused.exchange(true, ordering: .relaxed) {
            journal.notice(
              "\(name): commit markers stay on S3 while data under them are written over, since these may not be deleted (s3:DeleteObject): \(error)"
            )
          }
          return
        }
        ledger.withdraw(marker)
        journal.deleted(mirror: name, path: marker, key: key)
      }
    }
  }

  /// Markers that were removed and are not on S3 again, because their turn in the pass came before the data.
  func missing(in root: TreeRoot) -> [RelativePath] {
    ledger.withdrawnMarkers.filter {
      root.stamp(ofFileAt: $0) != nil || root.symlinks == .link && root.place(ofLinkAt: $0) != nil
    }
  }

  private func isOnS3(_ marker: RelativePath) -> Bool { ledger.hasCommitMarker(marker) }
}
