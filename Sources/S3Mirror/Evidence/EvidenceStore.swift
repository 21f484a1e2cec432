import Glibc
import LocalTree
import MirrorModel
import Synchronization
import SystemPackage

/// The evidence of earlier runs about the files of one root, and what this run notes for later runs (CHG-14).
///
/// It is a cache that answers two questions. Does a file's stamp show that the file is still the version that
/// was published as an object or found equal to it? And, in a resumed run: did an object without a file have
/// a file before? Without an answer files are read and objects are fetched. So errors of the cache are not
/// reported: nothing waits for a disk, and a file that cannot be read or written costs only the evidence.
///
/// On disk there is a layer in key order, and a journal of what was noted since. The next run that opens them
/// for writing merges both into one new layer: it writes a new file and renames it. If that run is killed,
/// either the old or the new layer remains. Only one run writes at a time; it holds a lock on the journal.
/// Any other run reads both files and notes nothing.
final class EvidenceStore: Sendable {
  enum Access: Sendable {
    /// For plans: nothing is written, and no other run is kept from writing.
    case reading
    case writing
  }

  private struct State {
    /// Newest first.
    var layers: [EvidenceLayer] = []
    /// Nil if nothing is noted.
    var journal: EvidenceJournal?
    /// The part of the journal that the layers already contain ends here.
    var sortedEnd: Int64 = 0
    var pending: [UInt8] = []
    /// The total size of the files to which the pending records refer.
    var pendingFileBytes: Int64 = 0
  }

  private static let bufferBytes = 64 << 10
  /// How many bytes of files the next run may have to read again after a kill.
  private static let bufferFileBytes: Int64 = 64 << 20
  /// The limit of layers that are made of the journal during a run. Beyond it they are merged into one.
  private static let mostLayers = 16

  private let origin: EvidenceOrigin
  /// Nanoseconds since 1970-01-01 UTC.
  private let wallClock: @Sendable () -> Int64
  private let sortLength: Int
  private let state: Mutex<State>

  /// - Parameters:
  ///   - root: evidence of another directory at the same path is dropped. A file that is missing in a new
  ///     directory was never deleted there.
  ///   - sortLength: for tests.
  init(
    _ place: EvidencePlace, root: TreeRoot.Identity, for access: Access,
    sortLength: Int = EvidenceSorter.standardLength,
    wallClock: @escaping @Sendable () -> Int64 = wallClockNanoseconds
  ) {
    origin = EvidenceOrigin(machine: place.machine, root: root)
    self.wallClock = wallClock
    self.sortLength = sortLength
    state = Mutex(State())
    let isOpened = Result {
      if case .writing = access { try createDirectories(place.directory) }
      try state.withLock { try open(place, for: access, &$0) }
    }
    if case .failure = isOpened { state.withLock { $0 = State() } }
  }

  deinit { close() }

  // MARK: Opening

  private func open(_ place: EvidencePlace, for access: Access, _ state: inout State) throws {
    let now = wallClock()
    var base: EvidenceLayer?
    if case .success(let file) = Result(catching: { try EvidenceFile(reading: place.file) }),
      let header = file.header(of: origin), EvidenceEntry.isBelieved(notedBy: header.noted, at: now)
    {
      base = EvidenceLayer(file, header: header, byteCount: file.byteCount)
    }
    let older = base.map { [$0] } ?? []
    state.layers = older
    guard case .writing = access, let file = try Self.openForWriting(place.journal) else {
      guard case .success(let file) = Result(catching: { try EvidenceFile(reading: place.journal) }) else {
        return
      }
      if file.header(of: origin) != nil { state.layers = try sorted(file, at: now).layers + older }
      return
    }
    var journal: EvidenceJournal
    if file.header(of: origin) != nil {
      let sorted = try sorted(file, at: now)
      journal = sorted.journal
      state.layers = sorted.layers + older
      let baseBytes = base.map { Int64($0.blockCount * EvidenceLayer.blockBytes) } ?? 0
      // A journal that is small compared with the layer is left for a later run, because a layer is always
      // written in full.
      if !sorted.layers.isEmpty, journal.end >= baseBytes / 4,
        case .success(let folded) = Result(catching: { try fold(state.layers, into: place) })
      {
        state.layers = [folded]
        journal = try empty(file, at: now)
      } else {
        // A chunk that a kill has cut, or that is malformed, is removed here.
        guard ftruncate(file.descriptor.rawValue, Int(journal.end)) == 0 else { return }
      }
    } else {
      journal = try empty(file, at: now)
    }
    state.journal = journal
    state.sortedEnd = journal.end
  }

  /// Nil if another run writes.
  private static func openForWriting(_ path: FilePath) throws -> EvidenceFile? {
    let file = EvidenceFile(
      adopting: try FileDescriptor.open(
        path, .readWrite, options: [.create, .closeOnExec, .noFollow, .nonBlocking],
        permissions: .ownerReadWrite))
    // If the filesystem cannot lock files, the checksums of blocks and chunks still protect the reader.
    if flock(file.descriptor.rawValue, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK { return nil }
    return file
  }

  private func empty(_ file: EvidenceFile, at now: Int64) throws -> EvidenceJournal {
    guard ftruncate(file.descriptor.rawValue, 0) == 0 else { throw Errno(rawValue: errno) }
    try file.descriptor.writeAll(toAbsoluteOffset: 0, EvidenceHeader(origin: origin, noted: now).bytes)
    return EvidenceJournal(file) { _, _ in }
  }

  private func sorted(_ file: EvidenceFile, from start: Int64? = nil, at now: Int64) throws
    -> (layers: [EvidenceLayer], journal: EvidenceJournal)
  {
    var sorter = EvidenceSorter(origin: origin, length: sortLength)
    let journal = try EvidenceJournal(file, from: start ?? Int64(EvidenceHeader.byteCount)) { chunk, noted in
      if EvidenceEntry.isBelieved(notedBy: noted, at: now) { try sorter.add(chunk, noted: noted) }
    }
    try sorter.finish()
    return (sorter.layers, journal)
  }

  /// Merges all layers into one that replaces the file.
  private func fold(_ layers: [EvidenceLayer], into place: EvidencePlace) throws -> EvidenceLayer {
    let new = FilePath(place.file.string + ".new")
    let file = EvidenceFile(
      adopting: try FileDescriptor.open(
        new, .readWrite, options: [.create, .truncate, .closeOnExec, .noFollow, .nonBlocking],
        permissions: .ownerReadWrite))
    do {
      let layer = try Self.write(layers, origin, keeping: .entries, to: file) { bytes, offset in
        try file.descriptor.writeAll(toAbsoluteOffset: offset, bytes)
      }
      guard rename(new.string, place.file.string) == 0 else { throw Errno(rawValue: errno) }
      return layer
    } catch {
      // If the disk is full, the new file must not occupy it.
      _ = unlink(new.string)
      throw error
    }
  }

  private enum Kept {
    case entries
    /// Deletions too, because they hide entries of older layers.
    case everything
  }

  private static func write(
    _ layers: [EvidenceLayer], _ origin: EvidenceOrigin, keeping kept: Kept, to file: some EvidenceSource,
    _ write: @escaping (_ bytes: [UInt8], _ offset: Int64) throws -> Void
  ) throws -> EvidenceLayer {
    let header = EvidenceHeader(origin: origin, noted: layers.map(\.header.noted).max() ?? .min)
    var byteCount: Int64 = 0
    var writer = try EvidenceLayer.Writer(header) { bytes in
      try write(bytes, byteCount)
      byteCount += Int64(bytes.count)
    }
    var merge = EvidenceMerge(layers)
    while let path = merge.path {
      if kept == .everything || !merge.isDeletion { try writer.add(path[...], merge.bodyBytes) }
      merge.advance()
    }
    try writer.finish()
    return EvidenceLayer(file, header: header, byteCount: byteCount)
  }

  // MARK: Reading

  /// Everything that earlier runs noted, in key order.
  func stream(from directory: RelativePath = .root) -> EvidenceStream {
    EvidenceStream(state.withLock { $0.layers }, from: directory)
  }

  /// The same with what this run has noted so far, for a run that has published more than its ledger holds.
  func streamToNow(from directory: RelativePath = .root) -> EvidenceStream {
    flush()
    let layers = state.withLock { state -> [EvidenceLayer] in
      guard let journal = state.journal, journal.end > state.sortedEnd else { return state.layers }
      let added = Result { try sorted(journal.file, from: state.sortedEnd, at: wallClock()) }
      if case .success(let new) = added {
        state.layers = new.layers + state.layers
        state.sortedEnd = new.journal.end
      }
      if state.layers.count > Self.mostLayers, let base = state.layers.last,
        case .success(let one) = Result(catching: { try Self.joined(state.layers.dropLast(), origin) })
      {
        state.layers = [one, base]
      }
      return state.layers
    }
    return EvidenceStream(layers, from: directory)
  }

  private static func joined(_ layers: ArraySlice<EvidenceLayer>, _ origin: EvidenceOrigin) throws
    -> EvidenceLayer
  {
    let file = try ScratchFile()
    return try write(Array(layers), origin, keeping: .everything, to: file) { bytes, _ in
      _ = try file.append(bytes)
    }
  }

  /// What earlier runs noted last of one path. Reads a few blocks of each layer.
  func entry(of path: RelativePath) -> EvidenceEntry? {
    var stream = stream(from: path)
    return stream.entry(of: path)
  }

  // MARK: Noting

  /// Notes that the path's file and its object are the same.
  func note(_ path: RelativePath, _ entry: EvidenceEntry) {
    append(path, EvidenceBody.bytes(of: entry), fileBytes: entry.stamp?.size ?? 0)
  }

  /// Notes that the path's object was deleted together with its file, or that the path has neither.
  func noteDeleted(_ path: RelativePath) { append(path, EvidenceBody.deleted, fileBytes: 0) }

  private func append(_ path: RelativePath, _ body: [UInt8], fileBytes: Int64) {
    state.withLock { state in
      guard state.journal != nil else { return }
      EvidenceJournal.add(path, body, to: &state.pending)
      state.pendingFileBytes = state.pendingFileBytes.addingSaturated(fileBytes)
      if state.pending.count >= Self.bufferBytes || state.pendingFileBytes >= Self.bufferFileBytes {
        flush(&state)
      }
    }
  }

  /// Passes the noted entries to the kernel, so that they outlive this process.
  func flush() { state.withLock { flush(&$0) } }

  private func flush(_ state: inout State) {
    guard !state.pending.isEmpty else { return }
    let appended = Result { try state.journal?.append(state.pending, noted: wallClock()) }
    state.pending = []
    state.pendingFileBytes = 0
    // Chunks after an incomplete one would never be read.
    if case .failure = appended { state.journal = nil }
  }

  /// Ends writing, so that another run can write.
  func close() {
    state.withLock { state in
      flush(&state)
      state.journal = nil
    }
  }
}

/// The evidence of earlier runs, for several tasks that ask for paths in approximate key order.
final class EvidenceIndex: Sendable {
  private let stream: Mutex<EvidenceStream>

  init(_ store: EvidenceStore) {
    stream = Mutex(store.stream())
  }

  func entry(of path: RelativePath) -> EvidenceEntry? { stream.withLock { $0.entry(of: path) } }
}
