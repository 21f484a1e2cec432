import FoundationEssentials
import Glibc
import LocalTree
import MirrorModel
import Synchronization
import SystemPackage

/// Writes evidence down while a run goes on, so that a killed one leaves it too. See `Evidence`.
///
/// The file is a header that names the root directory's inode, and entries of 16 bytes, the latest last. It is appended to, and
/// written anew when it has grown past 64 MiB. Nobody waits for a disk: after a power failure some of the last entries may be
/// missing. A file that cannot be read or written costs the evidence and nothing else, so errors end the journal in silence.
final class EvidenceJournal: Sendable {
  private struct State {
    var descriptor: FileDescriptor?
    var pending: [UInt8] = []
  }

  private static let magic = Array("s3mirror-evid-01".utf8)
  private static let headerBytes = 32
  /// 4 million entries.
  private static let longestBytes: Int64 = 64 << 20
  private static let bufferBytes = 64 << 10

  private let state: Mutex<State>

  /// - Parameter root: evidence of another directory at the same path is dropped: what is missing in a new one was never
  ///   deleted there.
  init(_ place: EvidencePlace, root: TreeRoot.Identity) {
    state = Mutex(State())
    guard case .success = Result(catching: { try createDirectories(place.directory) }) else { return }
    let known = Self.evidence(at: place, of: root)
    // Entries must stand at multiples of their size, so one that a kill has cut has the file written anew.
    let byteCount = Self.byteCount(of: place.file)
    let isKept =
      known != nil && byteCount <= Self.longestBytes && byteCount % Int64(Evidence.Entry.byteCount) == 0
    let options: FileDescriptor.OpenOptions =
      isKept
      ? [.create, .closeOnExec, .noFollow, .append] : [.create, .closeOnExec, .noFollow, .append, .truncate]
    let opened = Result {
      try FileDescriptor.open(place.file, .writeOnly, options: options, permissions: .ownerReadWrite)
    }
    guard case .success(let descriptor) = opened else { return }
    state.withLock { state in
      state.descriptor = descriptor
      if isKept { return }
      state.pending = Self.header(of: root)
      for entry in known.map({ Array($0.entries) }) ?? [] { Self.append(entry, to: &state.pending) }
      Self.flush(&state)
    }
  }

  deinit { close() }

  /// Notes that the path's file and its object are the same.
  func note(_ path: RelativePath, etag: String) { append(Evidence.Entry(path, etag: etag)) }

  /// Notes that the path's object was deleted because its file was.
  func noteDeleted(_ path: RelativePath) { append(Evidence.Entry(path, etag: nil)) }

  private func append(_ entry: Evidence.Entry) {
    state.withLock { state in
      guard state.descriptor != nil else { return }
      Self.append(entry, to: &state.pending)
      if state.pending.count >= Self.bufferBytes { Self.flush(&state) }
    }
  }

  /// Hands what was noted to the kernel, where it outlives this process.
  func flush() { state.withLock { Self.flush(&$0) } }

  func close() {
    state.withLock { state in
      Self.flush(&state)
      if let descriptor = state.descriptor { _ = Glibc.close(descriptor.rawValue) }
      state.descriptor = nil
    }
  }

  private static func flush(_ state: inout State) {
    guard let descriptor = state.descriptor, !state.pending.isEmpty else { return }
    defer { state.pending = [] }
    guard case .failure = Result(catching: { try descriptor.writeAll(state.pending) }) else { return }
    _ = Glibc.close(descriptor.rawValue)
    state.descriptor = nil
  }

  // MARK: Reading

  /// What earlier runs noted of this root; nil where there is nothing of it, or it is damaged at its beginning.
  static func evidence(at place: EvidencePlace, of root: TreeRoot.Identity) -> Evidence? {
    guard
      case .success(let data) = Result(catching: { try Data(contentsOf: URL(filePath: place.file.string)) })
    else { return nil }
    let bytes = Array(data)
    guard bytes.count >= headerBytes, bytes.starts(with: header(of: root)) else { return nil }
    var evidence = Evidence()
    let size = Evidence.Entry.byteCount
    // A last entry that was cut is none.
    for start in stride(from: headerBytes, through: bytes.count - size, by: size) {
      evidence.note(
        Evidence.Entry(
          path: number(bytes[start..<start + 8]), etag: number(bytes[start + 8..<start + size])))
    }
    return evidence
  }

  private static func header(of root: TreeRoot.Identity) -> [UInt8] {
    magic + bytes(root.device) + bytes(root.inode)
  }

  private static func byteCount(of file: FilePath) -> Int64 {
    var status = stat()
    return lstat(file.string, &status) == 0 ? Int64(status.st_size) : 0
  }

  private static func append(_ entry: Evidence.Entry, to bytes: inout [UInt8]) {
    bytes += self.bytes(entry.path) + self.bytes(entry.etag)
  }

  private static func bytes(_ number: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
