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
  private let schedule = Mutex(ReceiptSchedule())
  /// The checksums of the receipts that are on S3, as far as this run has published or read them.
  private let published = Mutex<[RelativePath: CRC32]>([:])
  /// Checkpoints of which the comparison at entry found files. An earlier run may have published their receipts.
  private let found = Mutex<Set<RelativePath>>([])
  /// The ETags of the receipts of earlier runs; nil until they are listed.
  private let standing = Mutex<[RelativePath: String]?>(nil)
  /// One look at a time, so that a marker waits for a receipt that is on its way.
  private let turn = FairSemaphore(capacity: 1)

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

  func note(published path: RelativePath) { schedule.withLock { $0.note(published: path) } }

  func note(deleted path: RelativePath) { schedule.withLock { $0.note(deleted: path) } }

  func noteFound() {
    let paths = ledger.comparedPaths
    schedule.withLock { schedule in paths.forEach { schedule.note(found: $0) } }
    found.withLock { $0.formUnion(paths.compactMap(ReceiptSchedule.unit)) }
  }

  // MARK: Publishing

  func publish(
    below directory: RelativePath, before marker: RelativePath?, _ stage: ReceiptSchedule.Stage,
    in root: TreeRoot
  ) async throws {
    if schedule.withLock({ $0.isEmpty }) { return }
    try await turn.withPermit {
      let due = schedule.withLock { $0.take(below: directory) }
      for (index, unit) in due.enumerated() {
        do {
          guard let receipt = try draft(unit, before: marker, stage, root) else {
            schedule.withLock { $0.putBack(unit) }
            continue
          }
          try await publish(receipt, of: unit)
        } catch {
          schedule.withLock { schedule in due[index...].forEach { schedule.putBack($0) } }
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
    let state = judgement.state(receipts: .init(), contents: contents)
    guard schedule.withLock({ $0.admits(state, of: unit, stage) }) else { return nil }
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
    var receipt = draft
    let path = UnitReceipt.path(of: unit)
    if found.withLock({ $0.contains(unit) }), let tag = try await standingTags()[path] {
      if tag == hexadecimal(md5(receipt.json)) {
        published.withLock { $0[unit] = CRC32(receipt.json) }
      } else if let earlier = try await receiptObjects.read(at: path) {
        // A comparison need not read a file, so its checksum may be known to the earlier receipt only.
        receipt.takeChecksums(of: earlier)
        published.withLock { $0[unit] = CRC32(earlier.json) }
      }
    }
    found.withLock { _ = $0.remove(unit) }
    let body = receipt.json
    let crc = CRC32(body)
    if published.withLock({ $0[unit] == crc }) { return }
    try await receiptObjects.publish(body, at: path)
    published.withLock { $0[unit] = crc }
  }

  private func standingTags() async throws -> [RelativePath: String] {
    if let known = standing.withLock({ $0 }) { return known }
    let tags = try await receiptObjects.tags(below: UnitReceipt.receipts)
    standing.withLock { $0 = tags }
    return tags
  }

  // MARK: Removing

  func unitsWithReceipts() async throws -> [RelativePath] {
    try await receiptObjects.paths(below: UnitReceipt.receipts).compactMap(UnitReceipt.unit(ofReceiptAt:))
  }

  func removeOrphan(_ unit: RelativePath, in root: TreeRoot) async throws {
    guard !unit.isRoot, try root.look(at: unit) == nil, try await isGone(unit) else { return }
    let path = UnitReceipt.path(of: unit)
    schedule.withLock { $0.forget(unit) }
    found.withLock { _ = $0.remove(unit) }
    let isOwn = published.withLock { $0.removeValue(forKey: unit) } != nil
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
