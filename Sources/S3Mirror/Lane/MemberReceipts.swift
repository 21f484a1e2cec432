import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// Publishes the receipts of what one member of a group wrote of each checkpoint, and removes them (GRP-9, GRP-10).
///
/// They are published before the member confirms what it has published, so before any marker of the group that
/// may name it.
final class MemberReceipts: CheckpointReceipts {
  private let part: UnitPart
  let mark: WriterMark
  let names: UnitNames
  let mapping: KeyMapping
  let filter: PathFilter
  let uploader: Uploader
  let ledger: PublishedLedger
  private let receiptObjects: ReceiptObjects
  private let schedule = Mutex(PartSchedule())
  /// The receipts on S3, as far as this run has read or published them. `.some(nil)` is none.
  private let standing = Mutex<[RelativePath: UnitReceipt?]>([:])
  /// Files here whose objects other writers made.
  let others = Mutex<Set<RelativePath>>([])
  /// One look at a time, so that a marker waits for a receipt that is on its way.
  private let turn = FairSemaphore(capacity: 1)

  static let requestsInFlight = 10

  init(
    name: String, part: UnitPart, mark: WriterMark, names: UnitNames, mapping: KeyMapping, filter: PathFilter,
    uploader: Uploader, ledger: PublishedLedger, journal: Journal
  ) {
    self.part = part
    self.mark = mark
    self.names = names
    self.mapping = mapping
    self.filter = filter
    self.uploader = uploader
    self.ledger = ledger
    receiptObjects = ReceiptObjects(name: name, mapping: mapping, uploader: uploader, journal: journal)
  }

  func note(published path: RelativePath) { schedule.withLock { $0.note(changed: path) } }

  func note(deleted path: RelativePath) { schedule.withLock { $0.note(changed: path) } }

  func noteFound() {
    let found = ledger.comparedPaths
    schedule.withLock { schedule in found.forEach { schedule.note(found: $0) } }
  }

  // MARK: Publishing

  func publish(
    below directory: RelativePath, before marker: RelativePath?, _ stage: ReceiptSchedule.Stage,
    in root: TreeRoot
  ) async throws {
    if marker == nil, schedule.withLock({ $0.isEmpty }) { return }
    try await turn.withPermit {
      let due = try takeDue(below: directory, before: marker, root)
      for (index, item) in due.enumerated() {
        do {
          try await publish(item, before: marker, root)
        } catch {
          schedule.withLock { schedule in due[index...].forEach { schedule.putBack($0) } }
          throw error
        }
      }
    }
  }

  /// The checkpoints that are due, and those that the marker completes.
  private func takeDue(
    below directory: RelativePath, before marker: RelativePath?, _ root: TreeRoot
  ) throws(TreeError) -> [PartSchedule.Due] {
    var due = schedule.withLock { $0.take(below: directory) }
    guard let marker else { return due }
    var completed: Set<RelativePath> = []
    if let unit = ReceiptSchedule.unit(of: marker) { completed.insert(unit) }
    if let tracker = try root.tracker(at: marker) {
      completed.formUnion(tracker.named(among: standing.withLock { Array($0.keys) }))
    }
    for unit in completed.subtracting(due.map(\.unit)).sorted() {
      due.append(.init(unit: unit, isOnlyFound: true))
    }
    return due
  }

  private func publish(
    _ item: PartSchedule.Due, before marker: RelativePath?, _ root: TreeRoot
  ) async throws {
    let unit = item.unit
    let earlier = try await earlierReceipt(of: unit)
    let draft = try await draft(unit, before: marker, after: earlier, root)
    guard !draft.objects.isEmpty else { return }
    let isCompleting = try marker.map { try completes(unit, $0, root) } ?? false
    var completeWith: [Int: Int]?
    if !draft.lacksMarkers {
      completeWith = isCompleting ? try await membersWithReceipts(of: unit) : earlier?.part?.completeWith
    }
    var revision = earlier?.part?.revision
    if let earlier, earlier.isRevised(by: draft.objects) { revision = (revision ?? 0) + 1 }
    var receipt = UnitReceipt(
      unit: unit, objects: draft.objects,
      part: .init(
        part, completeWith: completeWith, revision: revision,
        omitted: draft.omitted > 0 ? draft.omitted : nil))
    if let earlier { receipt.takeChecksums(of: earlier) }
    if earlier == receipt { return }
    try await receiptObjects.publish(receipt.json, at: part.receipt(of: unit))
    standing.withLock { $0[unit] = receipt }
  }

  private func earlierReceipt(of unit: RelativePath) async throws -> UnitReceipt? {
    if let known = standing.withLock({ $0[unit] }) { return known }
    let earlier = try await read(part, unit)
    standing.withLock { $0[unit] = .some(earlier) }
    return earlier
  }

  private func completes(_ unit: RelativePath, _ marker: RelativePath, _ root: TreeRoot) throws(TreeError)
    -> Bool
  {
    if PartSchedule.isLastFile(marker, of: unit) { return true }
    return try root.tracker(at: marker).map { !$0.named(among: [unit]).isEmpty } ?? false
  }

  /// The other members that have published a receipt of the checkpoint, and its revision. Each confirmed its part
  /// before the marker was released, and published its receipt before that.
  private func membersWithReceipts(of unit: RelativePath) async throws -> [Int: Int] {
    let listed = try await receiptObjects.paths(below: UnitPart.receipts(of: unit, in: part.place))
    let members = listed.compactMap { path -> UnitPart? in
      guard let (listed, other) = UnitPart.parse(path), listed == unit, other.place == part.place,
        other.member != part.member
      else { return nil }
      return other
    }
    let answers = await concurrentEach(members, width: Self.requestsInFlight) {
      other -> Result<(Int, Int)?, any Error> in
      do {
        return .success(try await self.read(other, unit).map { (other.member, $0.part?.revision ?? 0) })
      } catch {
        return .failure(error)
      }
    }
    return Dictionary(try answers.compactMap { try $0.get() }) { first, _ in first }
  }

  /// A member's receipt on S3; nil if there is none that can be used.
  private func read(_ part: UnitPart, _ unit: RelativePath) async throws -> UnitReceipt? {
    try await receiptObjects.read(at: part.receipt(of: unit))
  }

  // MARK: Removing

  func unitsWithReceipts() async throws -> [RelativePath] {
    try await receiptObjects.paths(below: UnitPart.receipts).compactMap { path in
      UnitPart.parse(path).flatMap { unit, part in part == self.part ? unit : nil }
    }
  }

  /// Removes the receipt of a checkpoint whose directory is gone here, if no object is left of those that the
  /// receipt names.
  func removeOrphan(_ unit: RelativePath, in root: TreeRoot) async throws {
    guard !unit.isRoot, try root.look(at: unit) == nil, let receipt = try await read(part, unit) else {
      return
    }
    let named = Set(receipt.objects.map(\.key))
    var isGone = true
    try await Listing(store: uploader.store, prefix: mapping.key(for: unit) + "/").forEachPage { page in
      isGone = !page.content.objects.contains { object in
        mapping.path(forKey: object.key).map { named.contains($0.string) } ?? true
      }
      return isGone
    }
    guard isGone else { return }
    let path = part.receipt(of: unit)
    guard try await receiptObjects.delete(at: path) else { return }
    standing.withLock { $0[unit] = .some(nil) }
    receiptObjects.noteDeleted(at: path)
  }
}
