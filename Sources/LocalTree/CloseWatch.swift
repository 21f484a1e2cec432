import CLinux
import Glibc
import Synchronization
import SystemPackage

/// Counts how often a file was closed by a process that could write to it (inotify(7), IN_CLOSE_WRITE).
///
/// It is for filesystems whose files exist only as pages in memory (tmpfs, ramfs). There even a read maps
/// pages as writable, so a later store causes no fault and leaves the stamp unchanged. If a writer maps,
/// stores and unmaps between two probes, only its close shows it. The kernel reports the close before it
/// stops counting the process as a writer (fs/file_table.c, __fput). So once a probe finds no writer, all
/// earlier closes can be read here.
///
/// One inotify instance serves a whole tree, because each user may have only 128 instances, and closing one
/// takes milliseconds.
final class CloseWatch: Sendable {
  private struct State {
    var instance: KernelDescriptor?
    var files: [CInt: File] = [:]
    /// How often events were lost. After a loss every file may have been closed.
    var losses = 0
    /// The buffer for reads of the instance. Records of a file's own watch have no name, so all have the same
    /// length.
    var records = [inotify_event](repeating: inotify_event(), count: 64)
  }

  private struct File {
    /// Two names of one file share a watch.
    var holders = 0
    var closes = 0
  }

  private let state = Mutex(State())

  /// Begins to count the closes of an open file, and returns the first value of `closes`. Each call needs one
  /// call of `end`.
  func begin(_ file: any Descriptor) throws(Errno) -> (watch: CInt, seen: Int) {
    try state.withLock { (state) throws(Errno) in
      let instance: KernelDescriptor
      if let opened = state.instance {
        instance = opened
      } else {
        instance = KernelDescriptor(
          adopting: try uninterrupted { inotify_init1(CInt(O_CLOEXEC | O_NONBLOCK)) })
        state.instance = instance
      }
      // The waiting records are older: they belong to another holder of the file's watch, or to removed
      // watches. They are read first, so that an error leaves no watch behind.
      try Self.drain(&state)
      let watch = try file.addWatch(to: instance.raw, UInt32(IN_CLOSE_WRITE))
      state.files[watch, default: File()].holders += 1
      return (watch, state.losses + (state.files[watch]?.closes ?? 0))
    }
  }

  /// A number that grows whenever a process that could write closes the file.
  func closes(of watch: CInt) throws(Errno) -> Int {
    try state.withLock { (state) throws(Errno) in
      try Self.drain(&state)
      return state.losses + (state.files[watch]?.closes ?? 0)
    }
  }

  func end(_ watch: CInt) {
    state.withLock { state in
      guard let instance = state.instance, var file = state.files[watch] else { return }
      file.holders -= 1
      state.files[watch] = file.holders > 0 ? file : nil
      // inotify_rm_watch(2) fails only for a watch that is already gone, with its filesystem.
      if file.holders == 0 { _ = inotify_rm_watch(instance.raw, watch) }
    }
  }

  /// Counts the waiting records.
  private static func drain(_ state: inout State) throws(Errno) {
    guard let instance = state.instance else { return }
    while true {
      let bytes: Int
      do {
        // SAFETY: the kernel writes only within the array's buffer, during the call, on this thread.
        bytes = try uninterrupted {
          state.records.withUnsafeMutableBytes { read(instance.raw, $0.baseAddress, $0.count) }
        }
      } catch .resourceTemporarilyUnavailable {
        return
      }
      for record in state.records.prefix(bytes / MemoryLayout<inotify_event>.stride) {
        if record.mask & UInt32(IN_Q_OVERFLOW) != 0 { state.losses += 1 }
        if record.mask & UInt32(IN_CLOSE_WRITE) != 0 { state.files[record.wd]?.closes += 1 }
      }
    }
  }
}

/// Detects a writer that came and left without a change of the file's stamp.
///
/// It works only on filesystems where stamps do not show every write. It must begin before the first probe
/// for writers.
package final class WriterVigil: Sendable {
  /// How a writer is detected if stamps do not show it.
  package enum Means: Sendable {
    /// By its close, while the vigil lasts.
    case closes
    /// By reading the file again and comparing the contents. For small files this costs less than an inotify
    /// watch.
    case content
  }

  private enum Evidence {
    /// The filesystem changes the stamp at every write, or at the first store to a mapped page.
    case stamps
    case closes(CInt, seen: Int)
    case content
    /// No inotify instance or watch is available.
    case none
  }

  private let evidence: Evidence
  private let file: LocalFile
  private let watch: CloseWatch

  init(of file: LocalFile, by means: Means, _ watch: CloseWatch, stamps: StampTestimony) {
    self.file = file
    self.watch = watch
    if stamps == .everyStore {
      evidence = .stamps
      return
    }
    if means == .content {
      evidence = .content
      return
    }
    do {
      let (number, seen) = try watch.begin(file.descriptor)
      evidence = .closes(number, seen: seen)
    } catch {
      evidence = .none
    }
  }

  deinit {
    if case .closes(let number, _) = evidence { watch.end(number) }
  }

  /// Whether the filesystem's stamps alone show every writer.
  package var isSpared: Bool {
    if case .stamps = evidence { true } else { false }
  }

  package enum Finding: Sendable, Hashable {
    /// No writer came and left, provided that the stamps are unchanged.
    case nobody
    /// A process that could write has closed the file since.
    case somebody
    case unknown
  }

  /// Call it after the last probe, which found no writer.
  ///
  /// - Parameter bytes: the whole content that was read; without it, a vigil by content finds nothing.
  package func finding(for bytes: PartBuffer? = nil) -> Finding {
    switch evidence {
    case .stamps: return .nobody
    case .none: return .unknown
    case .content:
      guard let bytes else { return .unknown }
      return bytes.isContent(of: file) ? .nobody : .somebody
    case .closes(let number, let seen):
      do {
        return try watch.closes(of: number) == seen ? .nobody : .somebody
      } catch {
        return .unknown
      }
    }
  }
}
