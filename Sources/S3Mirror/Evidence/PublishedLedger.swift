import Digests
import MirrorModel
import Synchronization
import Transfers

/// The versions that this run published or found equal, by path. So a rename can be a copy on the server, and
/// a suspect need not be read. The ledger does not decide what is on S3, and forgotten records cost only
/// time.
final class PublishedLedger: Sendable {
  struct Record: Sendable, Hashable {
    enum Source: Sendable, Hashable {
      /// This run made the object.
      case published
      /// The object existed, and a comparison found it equal.
      case compared
    }

    var stamp: FileStamp
    var etag: String
    /// Base64 of the object's CRC-32, if this run has computed it.
    var crc32: String?
    /// A process had the file open for writing, so its stamp proves nothing.
    var isSnapshot = false
    /// The stamp stands for the object's content in later runs too (see `StampedReading`).
    var stampLasts = false
    var source = Source.published
    /// When the server answered that the object was made, by the server's clock: nanoseconds since 1970-01-01
    /// UTC.
    var answered: Int64?
  }

  /// What is known of a directory marker, which has neither a stamp nor content.
  struct MarkerRecord: Sendable, Hashable {
    var etag: String
    var source: Record.Source
    /// See `Record`.
    var answered: Int64?
  }

  /// The limit of records. At about 200 bytes each they take at most 20 MB.
  static let standardCapacity = 100_000

  private struct State {
    var records: RecentTable<RelativePath, Record>
    /// Directory markers that are on S3.
    var directoryMarkers: RecentTable<DirectoryMarker, MarkerRecord>
    /// Commit markers that are on S3, by their directories.
    var commitMarkers: [RelativePath: Set<RelativePath>] = [:]
    /// Commit markers that this run has removed from S3, and that are not there again.
    var withdrawn: Set<RelativePath> = []

    mutating func note(commitMarker path: RelativePath) {
      commitMarkers[path.parent, default: []].insert(path)
      withdrawn.remove(path)
    }
  }

  /// Publications note and ask on their own threads, and each holds the lock for one table access.
  private let state: Mutex<State>
  private let isCommitMarker: @Sendable (RelativePath) -> Bool
  /// Files of checkpoints are noted too if a comparison finds them equal, because receipts name them.
  private let keepsCompared: Bool
  private let blocks = PublishedBlocks()
  /// Keeps the records for later runs; nil if they are not kept.
  let evidence: EvidenceStore?

  init(
    evidence: EvidenceStore? = nil, capacity: Int = PublishedLedger.standardCapacity,
    isCommitMarker: @escaping @Sendable (RelativePath) -> Bool = { _ in false }, keepsCompared: Bool = false
  ) {
    self.evidence = evidence
    state = Mutex(
      State(
        records: RecentTable(capacity: capacity), directoryMarkers: RecentTable(capacity: capacity)))
    self.isCommitMarker = isCommitMarker
    self.keepsCompared = keepsCompared
  }

  /// Passes the noted evidence to the kernel, so that it outlives this process.
  func flush() { evidence?.flush() }

  /// - Parameter blocks: what is known of the object's content, for a delta.
  func note(_ record: Record, blocks: ContentBlocks? = nil, for path: RelativePath) {
    let blocks = blocks ?? (record.source == .compared ? knownBlocks(of: path, record) : nil)
    var entry = record.evidence
    entry.blocks = blocks
    evidence?.note(path, entry)
    self.blocks.note(blocks.map { KnownObject(etag: record.etag, blocks: $0) }, for: path)
    let isCommitMarker = isCommitMarker(path)
    state.withLock { state in
      state.records.set(record, for: path)
      if isCommitMarker { state.note(commitMarker: path) }
    }
  }

  /// An object that was found equal may have been published by an earlier run.
  private func knownBlocks(of path: RelativePath, _ record: Record) -> ContentBlocks? {
    guard let object = object(of: path, fileBytes: record.stamp.size), object.etag == record.etag else {
      return nil
    }
    return object.blocks
  }

  /// The object of a path, if this run or an earlier one knows its content block by block.
  ///
  /// - Parameter fileBytes: the size of the file. For a small file no delta is made.
  func object(of path: RelativePath, fileBytes: Int64) -> KnownObject? {
    guard fileBytes > DeltaPlan.Limits.s3.smallestPart else { return nil }
    if let object = blocks.object(of: path) { return object }
    guard let entry = evidence?.entry(of: path), let blocks = entry.blocks,
      etag(of: path).map({ $0 == entry.etag }) ?? true
    else { return nil }
    return KnownObject(etag: entry.etag, blocks: blocks)
  }

  /// Objects that may have content of a file, with their paths: that of the same path first.
  ///
  /// - Parameter fileBytes: the size of the file. For a small file no delta is made.
  func objects(
    alike path: RelativePath, fileBytes: Int64
  ) -> [(path: RelativePath, object: KnownObject)] {
    guard fileBytes > DeltaPlan.Limits.s3.smallestPart else { return [] }
    let own = object(of: path, fileBytes: fileBytes).map { [(path, $0)] } ?? []
    return own + blocks.alike(path, fileBytes: fileBytes)
  }

  /// Notes a commit marker, or a file of a checkpoint that may get a receipt, that a comparison found equal on
  /// S3 without reading it. The evidence of earlier runs says more than that, so it stays as it is.
  ///
  /// - Parameter crc32: what the evidence says of the object's checksum.
  func noteSame(
    _ path: RelativePath, _ stamp: FileStamp, etag: String, crc32: @autoclosure () -> UInt32? = nil
  ) {
    let isOfUnit = keepsCompared && ReceiptSchedule.unit(of: path) != nil
    guard isCommitMarker(path) || isOfUnit, self.etag(of: path) == nil else { return }
    let known = crc32().map { CRC32(value: $0).base64 }
    let record = Record(stamp: stamp, etag: etag, crc32: known, source: .compared)
    state.withLock { state in
      // A publication may have ended meanwhile.
      if state.records[path] == nil { state.records.set(record, for: path) }
    }
    noteListed(path)
  }

  /// Notes that a listing has shown the object of a commit marker, whatever its content.
  func noteListed(_ path: RelativePath) {
    guard isCommitMarker(path) else { return }
    state.withLock { $0.note(commitMarker: path) }
  }

  /// Whether a commit marker is on S3, as far as this run knows.
  func hasCommitMarker(_ path: RelativePath) -> Bool {
    state.withLock { $0.commitMarkers[path.parent]?.contains(path) == true }
  }

  var hasCommitMarkers: Bool { state.withLock { !$0.commitMarkers.isEmpty } }

  /// Commit markers on S3 in the directories above a path.
  func commitMarkers(above path: RelativePath) -> [RelativePath] {
    state.withLock { state in
      if state.commitMarkers.isEmpty { return [] }
      return path.ancestors.flatMap { state.commitMarkers[$0] ?? [] }
    }
  }

  /// Commit markers that this run has removed from S3, and that are not there again.
  var withdrawnMarkers: Set<RelativePath> { state.withLock { $0.withdrawn } }

  /// Notes that a marker is on S3.
  func note(_ record: MarkerRecord, for marker: DirectoryMarker) {
    evidence?.note(marker.path, EvidenceEntry(etag: record.etag))
    _ = state.withLock { $0.directoryMarkers.set(record, for: marker) }
  }

  /// Notes that the path's object was deleted.
  func forget(_ path: RelativePath) { forget(path, as: .deleted) }

  /// Notes that a commit marker was removed because data under it are about to be overwritten.
  func withdraw(_ marker: RelativePath) { forget(marker, as: .withdrawn) }

  private enum Removal { case deleted, withdrawn }

  private func forget(_ path: RelativePath, as removal: Removal) {
    evidence?.noteDeleted(path)
    let marker = DirectoryMarker(path)
    if marker == nil { blocks.forget(path) }
    let isCommitMarker = isCommitMarker(path)
    state.withLock { state in
      if isCommitMarker { _ = state.commitMarkers[path.parent]?.remove(path) }
      if removal == .withdrawn { state.withdrawn.insert(path) }
      if let marker {
        state.directoryMarkers.remove(marker)
      } else {
        state.records.remove(path)
      }
    }
  }

  /// The ETag that this run last published or found equal there, whatever happened to the file since.
  func etag(of path: RelativePath) -> String? {
    if let marker = DirectoryMarker(path) { return state.withLock { $0.directoryMarkers[marker]?.etag } }
    return state.withLock { $0.records[path]?.etag }
  }

  /// Whether this run made the last known object of the path. Any known directory marker counts, because its
  /// delete loses no content.
  func isPublished(_ path: RelativePath) -> Bool {
    if let marker = DirectoryMarker(path) { return holds(marker) }
    return state.withLock { $0.records[path]?.source == .published }
  }

  /// Whether the records of some paths were dropped.
  var hasForgotten: Bool {
    state.withLock { $0.records.hasDropped || $0.directoryMarkers.hasDropped }
  }

  /// What this run last published there; nil if it published nothing, or only found an object equal.
  func publication(of path: RelativePath) -> Provenance.Publication? {
    if let marker = DirectoryMarker(path) {
      guard let record = state.withLock({ $0.directoryMarkers[marker] }), record.source == .published else {
        return nil
      }
      return Provenance.Publication(etag: record.etag, answered: record.answered)
    }
    guard let record = state.withLock({ $0.records[path] }), record.source == .published else { return nil }
    return Provenance.Publication(etag: record.etag, answered: record.answered)
  }

  /// The content of the path's object on S3, as far as this run knows.
  func content(of path: RelativePath) -> PublishedContent? {
    state.withLock { $0.records[path] }.map {
      PublishedContent(byteCount: $0.stamp.size, etag: $0.etag, crc32: $0.crc32)
    }
  }

  /// The version that this run last published or found equal there, whatever happened to the file since.
  func stamp(of path: RelativePath) -> FileStamp? {
    state.withLock { $0.records[path]?.stamp }
  }

  /// The files that comparisons found equal to their objects. Searches all records.
  var comparedPaths: [RelativePath] {
    state.withLock { $0.records.keys { $1.source == .compared } }
  }

  /// The paths under which files were published. Searches all records; it is called only for the few files
  /// with several links.
  func paths(where isMeant: (FileStamp) -> Bool) -> [RelativePath] {
    state.withLock { $0.records.keys { isMeant($1.stamp) } }
  }

  /// The record of a path, if its file is still the published version. A rename changes only ctime.
  func record(of path: RelativePath, matching stamp: FileStamp, allowing allowance: StampAllowance) -> Record?
  {
    guard let record = state.withLock({ $0.records[path] }) else { return nil }
    guard !record.isSnapshot else { return nil }
    var known = record.stamp
    if allowance == .renamed { known.changed = stamp.changed }
    return known.isSameVersion(as: stamp) ? record : nil
  }

  /// Whether this version was published as a snapshot while a process was writing the file.
  func holdsSnapshot(of path: RelativePath, _ stamp: FileStamp) -> Bool {
    guard let record = state.withLock({ $0.records[path] }) else { return false }
    return record.isSnapshot && record.stamp.isSameVersion(as: stamp)
  }

  func holds(_ marker: DirectoryMarker) -> Bool { state.withLock { $0.directoryMarkers[marker] != nil } }

  /// The markers of the directory and of those below it. Searches all markers, because directories are rarely
  /// renamed.
  func directoryMarkers(within directory: RelativePath) -> [DirectoryMarker] {
    state.withLock { $0.directoryMarkers.keys { marker, _ in marker.path.isWithin(directory) } }
  }
}

extension PublishedLedger.Record {
  /// The part of the record that later runs may use.
  var evidence: EvidenceEntry {
    EvidenceEntry(
      etag: etag, stamp: stampLasts && !isSnapshot ? .init(stamp) : nil,
      crc32: crc32.flatMap { CRC32(base64: $0)?.value })
  }
}
