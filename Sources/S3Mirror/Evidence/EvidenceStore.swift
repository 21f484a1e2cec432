import Glibc
import LocalTree
import MirrorModel
import Synchronization
import SystemPackage

/// What earlier runs knew of the files of one root, and what this one notes for later runs (CHG-14).
///
/// It is a cache. Two questions are asked of it: whether a file is, by its stamp, still the one that was published as an object or
/// found equal to it, and (by a resumed run) whether an object that has no file had one. Without an answer files are read and objects
/// are fetched. So whatever goes wrong with it goes wrong in silence: nobody waits for a disk, and a file that cannot be read or written
/// costs the evidence and nothing else.
///
/// On disk are a layer in key order, and a journal of what was noted since. The next run that opens them for writing makes one layer
/// of both, by writing a new file and renaming it: a run that is killed leaves the one or the other. One run writes at a time, which
/// holds a lock on the journal; another one reads what is there and notes nothing.
final class EvidenceStore: Sendable {
  enum Access: Sendable {
    /// For plans: nothing is written, and nobody is kept from writing.
    case reading
    case writing
  }

  private struct State {
    /// The newest first.
    var layers: [EvidenceLayer] = []
    /// Nil where nothing is to be noted.
    var journal: EvidenceJournal?
    /// How much of the journal the layers hold.
    var sortedEnd: Int64 = 0
    var pending: [UInt8] = []
    /// Bytes of the files that `pending` speaks of.
    var pendingFileBytes: Int64 = 0
  }

  private static let bufferBytes = 64 << 10
  /// What a kill may make the next run read again.
  private static let bufferFileBytes: Int64 = 64 << 20
  /// Layers that are made of the journal while a run goes on; more are made into one.
  private static let mostLayers = 16

  private let origin: EvidenceOrigin
  /// Nanoseconds since 1970-01-01 UTC.
  private let wallClock: @Sendable () -> Int64
  private let sortLength: Int
  private let state: Mutex<State>

  /// - Parameters:
  ///   - root: evidence of another directory at the same path is dropped: what is missing in a new one was never deleted there.
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
      // What is small beside the layer is left for a later run: a layer is written whole.
      if !sorted.layers.isEmpty, journal.end >= baseBytes / 4,
        case .success(let folded) = Result(catching: { try fold(state.layers, into: place) })
      {
        state.layers = [folded]
        journal = try empty(file, at: now)
      } else {
        // What a kill has cut, or what makes no sense, ends here.
        guard ftruncate(file.descriptor.rawValue, Int(journal.end)) == 0 else { return }
      }
    } else {
      journal = try empty(file, at: now)
    }
    state.journal = journal
    state.sortedEnd = journal.end
  }

  /// Nil where another run writes.
  private static func openForWriting(_ path: FilePath) throws -> EvidenceFile? {
    let file = EvidenceFile(
      adopting: try FileDescriptor.open(
        path, .readWrite, options: [.create, .closeOnExec, .noFollow, .nonBlocking],
        permissions: .ownerReadWrite))
    // Where files cannot be locked, blocks and chunks still prove themselves.
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

  /// Makes one layer of all, in the place of the one that is there.
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
      // A full disk is not to be kept full.
      _ = unlink(new.string)
      throw error
    }
  }

  private enum Kept {
    case entries
    /// What was deleted too: it hides what older layers say.
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

  // MARK: Asking

  /// Everything that earlier runs noted, in key order.
  func stream(from directory: RelativePath = .root) -> EvidenceStream {
    EvidenceStream(state.withLock { $0.layers }, from: directory)
  }

  /// The same with what this run has noted until now: for a run that has published more than its memory holds.
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

  // MARK: Noting

  /// Notes that the path's file and its object are the same.
  func note(_ path: RelativePath, _ entry: EvidenceEntry) {
    append(path, EvidenceBody.bytes(of: entry), fileBytes: entry.stamp?.size ?? 0)
  }

  /// Notes that the path's object was deleted because its file was, or that it has neither.
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

  /// Hands what was noted to the kernel, where it outlives this process.
  func flush() { state.withLock { flush(&$0) } }

  private func flush(_ state: inout State) {
    guard !state.pending.isEmpty else { return }
    let appended = Result { try state.journal?.append(state.pending, noted: wallClock()) }
    state.pending = []
    state.pendingFileBytes = 0
    // What is written after half a chunk would not be found.
    if case .failure = appended { state.journal = nil }
  }

  /// Lets another run write.
  func close() {
    state.withLock { state in
      flush(&state)
      state.journal = nil
    }
  }
}

/// What earlier runs knew, for those that ask for paths in about the order of keys, and from several tasks.
final class EvidenceIndex: Sendable {
  private let stream: Mutex<EvidenceStream>

  init(_ store: EvidenceStore) {
    stream = Mutex(store.stream())
  }

  func entry(of path: RelativePath) -> EvidenceEntry? { stream.withLock { $0.entry(of: path) } }
}
