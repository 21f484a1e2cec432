import Digests
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// Publishes the receipts of checkpoints, and removes those of checkpoints that are gone from S3.
///
/// A receipt names what this run knows to be on S3, and is published only if that is what the directory holds
/// now. So a file that is still being written, or could not be published, keeps the receipt back.
final class UnitReceipts: CheckpointReceipts {
  private let names: UnitNames
  private let mapping: KeyMapping
  private let filter: PathFilter
  private let store: any ObjectStore
  private let ledger: PublishedLedger
  private let receiptObjects: ReceiptObjects
  private let state = Mutex(State())
  /// One look at a time, so that a marker waits for a receipt that is on its way.
  private let turn = FairSemaphore(capacity: 1)

  private struct State {
    var schedule = ReceiptSchedule()
    /// The checksums of the receipts that are on S3, as far as this run has published or compared them.
    var published: [RelativePath: CRC32] = [:]
    /// Checkpoints of which the comparison at entry found files. Earlier runs may have published their receipts.
    var found: Set<RelativePath> = []
    /// The ETags of the receipts of earlier runs; nil until they are listed.
    var tags: [RelativePath: String]?
  }

  init(
    name: String, names: UnitNames, mapping: KeyMapping, filter: PathFilter, uploader: Uploader,
    ledger: PublishedLedger, journal: Journal
  ) {
    self.names = names
    self.mapping = mapping
    self.filter = filter
    store = uploader.store
    self.ledger = ledger
    receiptObjects = ReceiptObjects(name: name, mapping: mapping, uploader: uploader, journal: journal)
  }

  func note(published path: RelativePath) { state.withLock { $0.schedule.note(published: path) } }

  func note(deleted path: RelativePath) { state.withLock { $0.schedule.note(deleted: path) } }

  func noteFound() {
    let paths = ledger.comparedPaths
    state.withLock { state in
      paths.forEach { state.schedule.note(published: $0) }
      state.found.formUnion(paths.compactMap(ReceiptSchedule.unit))
    }
  }

  // MARK: Publishing

  func publish(
    below directory: RelativePath, before marker: RelativePath?, _ stage: ReceiptSchedule.Stage,
    in root: TreeRoot
  ) async throws {
    if state.withLock({ $0.schedule.isEmpty }) { return }
    try await turn.withPermit {
      let due = state.withLock { $0.schedule.take(below: directory) }
      for (index, unit) in due.enumerated() {
        do {
          guard let receipt = try draft(unit, before: marker, stage, root) else {
            state.withLock { $0.schedule.putBack(unit) }
            continue
          }
          try await publish(receipt, of: unit)
        } catch {
          state.withLock { state in due[index...].forEach { state.schedule.putBack($0) } }
          throw error
        }
      }
    }
  }

  /// The receipt of a checkpoint; nil if the checkpoint is not complete, or differs from what is on S3.
  private func draft(
    _ unit: RelativePath, before marker: RelativePath?, _ stage: ReceiptSchedule.Stage, _ root: TreeRoot
  ) throws(TreeError) -> UnitReceipt? {
    guard let records = recordsOfAll(in: unit, root), !records.isEmpty else { return nil }
    if !names.marks.isEmpty {
      let marks = try root.files(in: unit.parent, where: names.marks.contains)
      if marks.contains(where: { names.marks.speaks($0, for: unit) }) { return nil }
    }
    var checkpoint = CheckpointUnit(unit, .directory)
    if let marker, let tracker = try root.tracker(at: marker), !tracker.named(among: [unit]).isEmpty {
      checkpoint.trackers = [tracker]
    }
    let objects = records.mapValues {
      RemoteObject(byteCount: $0.stamp.size, etag: $0.etag, lastModified: 0)
    }
    let judgement = UnitJudgement(checkpoint, objects, names: names)
    var contents: [RelativePath: [UInt8]] = [:]
    for path in judgement.contentsNeeded {
      // A link that is an object of its own proves nothing of what it leads to.
      if root.symlinks == .link, try root.linkText(at: path) != nil { return nil }
      contents[path] = try root.content(of: path, limit: Int(UnitJudgement.longestContent))
    }
    let verdict = judgement.state(receipts: .init(), contents: contents)
    guard state.withLock({ $0.schedule.admits(verdict, of: unit, stage) }) else { return nil }
    return UnitReceipt(
      unit: unit,
      objects: judgement.objects.keys.sorted().compactMap { path in
        records[path].map {
          UnitReceipt.Entry(
            key: path.string, bytes: $0.stamp.size, etag: $0.etag, crc32: $0.crc32)
        }
      })
  }

  /// What is on S3 of each file of a directory; nil if a file differs from its object, as far as known. Files
  /// that are only appended to are left out: their objects change after the receipt.
  private func recordsOfAll(
    in unit: RelativePath, _ root: TreeRoot
  ) -> [RelativePath: PublishedLedger.Record]? {
    var records: [RelativePath: PublishedLedger.Record] = [:]
    var walk = TreeWalk(root: root, start: unit, filter: filter, symlinks: root.symlinks)
    while let item = walk.next() {
      switch item {
      case .file(let path, let stamp), .pointer(let path, let stamp, _), .link(let path, let stamp, _):
        if names.appended.contains(path) || mapping.refusal(of: path) != nil { continue }
        guard let record = ledger.record(of: path, matching: stamp, allowing: .renamed) else { return nil }
        records[path] = record
      case .unreadable: return nil
      case .directory, .emptyDirectory, .skipped, .notUTF8: continue
      }
    }
    return records
  }

  private func publish(_ draft: UnitReceipt, of unit: RelativePath) async throws {
    let path = UnitReceipt.path(of: unit)
    var body = draft.json
    if let tag = try await tagOfEarlier(unit) {
      var isThere = tag == hexadecimal(md5(body))
      if !isThere, let earlier = try await receiptObjects.read(at: path) {
        var receipt = draft
        receipt.takeChecksums(of: earlier)
        isThere = receipt == earlier
        body = receipt.json
      }
      state.withLock { state in
        state.found.remove(unit)
        if isThere { state.published[unit] = CRC32(body) }
      }
    }
    let crc = CRC32(body)
    if state.withLock({ $0.published[unit] == crc }) { return }
    try await receiptObjects.publish(body, at: path)
    state.withLock { $0.published[unit] = crc }
  }

  /// The ETag of a receipt that an earlier run has published; nil if there is none, or if this run has published or
  /// compared it since.
  private func tagOfEarlier(_ unit: RelativePath) async throws -> String? {
    let (isFound, known) = state.withLock { ($0.found.contains(unit), $0.tags) }
    guard isFound else { return nil }
    let path = UnitReceipt.path(of: unit)
    if let known { return known[path] }
    let tags = try await receiptObjects.tags(below: UnitReceipt.receipts)
    state.withLock { $0.tags = tags }
    return tags[path]
  }

  // MARK: Removing

  func unitsWithReceipts() async throws -> [RelativePath] {
    try await receiptObjects.paths(below: UnitReceipt.receipts).compactMap(UnitReceipt.unit(ofReceiptAt:))
  }

  func removeOrphan(_ unit: RelativePath, in root: TreeRoot) async throws {
    guard !unit.isRoot, try root.look(at: unit) == nil, try await isGone(unit) else { return }
    let path = UnitReceipt.path(of: unit)
    let isOwn = state.withLock { state in
      state.schedule.forget(unit)
      state.found.remove(unit)
      return state.published.removeValue(forKey: unit) != nil
    }
    if try await receiptObjects.delete(at: path), isOwn { receiptObjects.noteDeleted(at: path) }
  }

  /// Whether no object is below a directory.
  private func isGone(_ unit: RelativePath) async throws -> Bool {
    var isGone = true
    try await Listing(store: store, prefix: mapping.key(for: unit) + "/").forEachPage { page in
      isGone = page.content.objects.isEmpty && page.content.unreadableKeys.isEmpty
      return false
    }
    return isGone
  }
}
