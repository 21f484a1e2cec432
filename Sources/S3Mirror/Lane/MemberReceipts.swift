import Digests
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
  /// What the receipt on S3 says.
  private struct Standing: Sendable {
    var checksum: CRC32
    var objects: [UnitReceipt.Entry]
    var completeWith: [Int]?

    init(_ receipt: UnitReceipt) {
      checksum = CRC32(receipt.json)
      objects = receipt.objects
      completeWith = receipt.part?.completeWith
    }
  }

  private let name: String
  private let part: UnitPart
  private let mark: WriterMark
  private let names: UnitNames
  private let mapping: KeyMapping
  private let filter: PathFilter
  private let uploader: Uploader
  private let ledger: PublishedLedger
  private let journal: Journal
  private let schedule = Mutex(PartSchedule())
  private let standing = Mutex<[RelativePath: Standing]>([:])
  /// Files here whose objects other writers made.
  private let others = Mutex<Set<RelativePath>>([])
  /// One look at a time, so that a marker waits for a receipt that is on its way.
  private let turn = FairSemaphore(capacity: 1)

  private static let headsInFlight = 10

  init(
    name: String, part: UnitPart, mark: WriterMark, names: UnitNames, mapping: KeyMapping, filter: PathFilter,
    uploader: Uploader, ledger: PublishedLedger, journal: Journal
  ) {
    self.name = name
    self.part = part
    self.mark = mark
    self.names = names
    self.mapping = mapping
    self.filter = filter
    self.uploader = uploader
    self.ledger = ledger
    self.journal = journal
  }

  func note(published path: RelativePath) { schedule.withLock { $0.note(published: path) } }

  /// Notes the files that the comparison at entry found equal to their objects.
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
      completed.formUnion(tracker.named(among: Array(standing.withLock { $0.keys })))
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
    if item.isOnlyFound, standing.withLock({ $0[unit] }) == nil, let earlier = try await read(unit) {
      standing.withLock { $0[unit] = Standing(earlier) }
    }
    let earlier = standing.withLock { $0[unit] }
    let draft = try await draft(unit, before: marker, after: earlier, root)
    guard !draft.objects.isEmpty else { return }
    let isCompleting = try marker.map { try completes(unit, $0, root) } ?? false
    var completeWith: [Int]?
    if !draft.lacksMarkers {
      completeWith = isCompleting ? try await membersWithReceipts(of: unit) : earlier?.completeWith
    }
    if !isCompleting, earlier?.objects == draft.objects, earlier?.completeWith == completeWith { return }
    let receipt = UnitReceipt(
      unit: unit, objects: draft.objects,
      part: .init(part, completeWith: completeWith, omitted: draft.omitted > 0 ? draft.omitted : nil))
    if earlier?.checksum == CRC32(receipt.json) { return }
    try await put(receipt, of: unit)
  }

  private func completes(_ unit: RelativePath, _ marker: RelativePath, _ root: TreeRoot) throws(TreeError)
    -> Bool
  {
    if PartSchedule.isLastFile(marker, of: unit) { return true }
    return try root.tracker(at: marker).map { !$0.named(among: [unit]).isEmpty } ?? false
  }

  private struct Draft {
    var objects: [UnitReceipt.Entry] = []
    /// Whether a marker of the checkpoint is not on S3, besides the one that is published next.
    var lacksMarkers = false
    /// Files of which it is not known any more whether they are on S3.
    var omitted = 0
  }

  /// What this member has on S3 of a checkpoint. A file that is being written counts in its published version.
  private func draft(
    _ unit: RelativePath, before marker: RelativePath?, after earlier: Standing?, _ root: TreeRoot
  ) async throws -> Draft {
    var draft = Draft()
    let named = Dictionary(earlier?.objects.map { ($0.key, $0) } ?? []) { first, _ in first }
    var doubtful: [UnitReceipt.Entry] = []
    var walk = TreeWalk(root: root, start: unit, filter: filter, symlinks: root.symlinks)
    while let item = walk.next() {
      switch item {
      case .file(let path, let stamp), .pointer(let path, let stamp, _), .link(let path, let stamp, _):
        if names.appended.contains(path) || mapping.refusal(of: path) != nil { continue }
        if path == marker {
          // Its ETag is known when it is there. Then the receipt is published once more.
          draft.objects.append(.init(key: path.string, bytes: stamp.size, etag: ""))
        } else if let content = ledger.content(of: path) {
          var entry = UnitReceipt.Entry(
            key: path.string, bytes: content.byteCount, etag: content.etag, crc32: content.crc32)
          // A comparison need not read the file, so the checksum may be known to the earlier receipt only.
          if let known = named[path.string], known.etag == entry.etag {
            entry.crc32 = entry.crc32 ?? known.crc32
          }
          if ledger.publication(of: path) != nil || named[path.string] != nil {
            draft.objects.append(entry)
          } else if !others.withLock({ $0.contains(path) }) {
            doubtful.append(entry)
          }
        } else if names.markers.contains(path) {
          draft.lacksMarkers = true
        } else if ledger.hasForgotten {
          draft.omitted += 1
        }
      case .unreadable, .directory, .emptyDirectory, .skipped, .notUTF8: continue
      }
    }
    draft.objects += try await own(among: doubtful)
    draft.objects.sort { $0.key < $1.key }
    return draft
  }

  /// Those of the objects, found equal to files here, that an attempt of this member made. A `sync` has fetched
  /// the others.
  private func own(among doubtful: [UnitReceipt.Entry]) async throws -> [UnitReceipt.Entry] {
    let answers = await concurrentEach(doubtful, width: Self.headsInFlight) {
      entry -> Result<UnitReceipt.Entry?, any Error> in
      let path = RelativePath(entry.key)
      do {
        let head = try await self.uploader.store.send(HeadObject(key: self.mapping.key(for: path)))
        if self.mark.signature(in: head) == .own { return .success(entry) }
        self.others.withLock { _ = $0.insert(path) }
        return .success(nil)
      } catch let error as S3Error where error.isNotFound {
        return .success(nil)
      } catch {
        return .failure(error)
      }
    }
    return try answers.compactMap { try $0.get() }
  }

  /// The other members that have published a receipt of the checkpoint. Each confirmed its part before the marker
  /// was released, and published its receipt before that.
  private func membersWithReceipts(of unit: RelativePath) async throws -> [Int] {
    var members: [Int] = []
    let folder = mapping.key(for: UnitPart.receipts(of: unit, in: part.place)) + "/"
    try await Listing(store: uploader.store, prefix: folder).forEachPage { page in
      members += page.content.objects.compactMap { object in
        guard let path = mapping.path(forKey: object.key), let (listed, other) = UnitPart.parse(path),
          listed == unit, other.place == part.place, other.member != part.member
        else { return nil }
        return other.member
      }
      return true
    }
    return members.sorted()
  }

  private func put(_ receipt: UnitReceipt, of unit: RelativePath) async throws {
    let (start, body) = (ContinuousClock.now, receipt.json)
    let path = part.receipt(of: unit)
    let key = mapping.key(for: path)
    let answer = try await uploader.upload(body, contentType: "application/json", to: key)
    standing.withLock { $0[unit] = Standing(receipt) }
    journal.publishedOwn(
      bytes: Int64(body.count), etag: answer.etag, requestID: answer.requestID, mirror: name, path: path,
      key: key, took: .now - start)
  }

  /// The member's receipt on S3; nil if there is none that can be used.
  private func read(_ unit: RelativePath) async throws -> UnitReceipt? {
    do {
      let answer = try await uploader.store.send(GetObject(key: mapping.key(for: part.receipt(of: unit))))
      return try UnitReceipt(json: answer.body)
    } catch let error as S3Error where error.isNotFound {
      return nil
    } catch is UnreadableReceipt {
      return nil
    }
  }

  // MARK: Removing

  func removeOrphans(among paths: [RelativePath], in root: TreeRoot) async throws {
    for unit in Set(paths.compactMap(ReceiptSchedule.unit)).sorted() {
      try await removeOrphan(unit, in: root)
    }
  }

  func removeOrphans(in root: TreeRoot) async throws {
    var units: [RelativePath] = []
    let prefix = mapping.key(for: UnitPart.receipts) + "/"
    try await Listing(store: uploader.store, prefix: prefix).forEachPage { page in
      units += page.content.objects.compactMap { object in
        guard let path = mapping.path(forKey: object.key), let (unit, part) = UnitPart.parse(path) else {
          return nil
        }
        return part == self.part ? unit : nil
      }
      return true
    }
    for unit in units { try await removeOrphan(unit, in: root) }
  }

  /// Removes the receipt of a checkpoint whose directory is gone here, if no object is left of those that the
  /// receipt names.
  private func removeOrphan(_ unit: RelativePath, in root: TreeRoot) async throws {
    guard !unit.isRoot, try root.look(at: unit) == nil, let receipt = try await read(unit) else { return }
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
    let key = mapping.key(for: path)
    do {
      _ = try await uploader.store.send(DeleteObject(key: key))
    } catch let error as S3Error where error.isMissingKey {
      return
    }
    standing.withLock { $0[unit] = nil }
    journal.deleted(mirror: name, path: path, key: key)
  }
}
