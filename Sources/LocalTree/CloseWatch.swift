import CLinux
import Glibc
import Synchronization
import SystemPackage

/// Counts how often somebody who could write to a file has closed it (inotify(7), IN_CLOSE_WRITE).
///
/// It is for filesystems whose files have no other copy than their pages (tmpfs, ramfs). Those are mapped writable at
/// once, even by a read, so that a later store faults no more and moves no stamp. A writer who maps, stores and
/// unmaps between two probes is then seen by his close alone. The kernel announces it before it stops counting him as a
/// writer (fs/file_table.c, __fput), hence: once a probe finds nobody, all closes before it can be read here.
///
/// One inotify instance serves a whole tree: each costs its user one of 128, and milliseconds when it is closed.
final class CloseWatch: Sendable {
  private struct State {
    var instance: OpenDescriptor?
    var files: [CInt: File] = [:]
    /// Times that events were lost: then every file may have been closed.
    var losses = 0
    /// What a read of the instance fills. Records of a file's own watch bear no name, so all have one length.
    var records = [inotify_event](repeating: inotify_event(), count: 64)
  }

  private struct File {
    /// Two names of one file share a watch.
    var holders = 0
    var closes = 0
  }

  private let state = Mutex(State())

  /// Begins to count the closes of an open file, and tells what `closes` says at first. Each call needs one of `end`.
  func begin(_ file: OpenDescriptor) throws(Errno) -> (watch: CInt, seen: Int) {
    try state.withLock { (state) throws(Errno) in
      let instance: OpenDescriptor
      if let opened = state.instance {
        instance = opened
      } else {
        instance = OpenDescriptor(adopting: try uninterrupted { inotify_init1(CInt(O_CLOEXEC | O_NONBLOCK)) })
        state.instance = instance
      }
      // What waits is older: of another holder of the file's watch, or of watches that are gone. Read first, so that a
      // failure leaves no watch behind.
      try Self.drain(&state)
      // As in FileWatch: /proc/self goes blind when the process's first thread has ended.
      let watch = try uninterrupted {
        inotify_add_watch(instance.raw, "/proc/thread-self/fd/\(file.raw)", UInt32(IN_CLOSE_WRITE))
      }
      state.files[watch, default: File()].holders += 1
      return (watch, state.losses + (state.files[watch]?.closes ?? 0))
    }
  }

  /// A number that has grown whenever somebody who could write has closed the file in between.
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
      // inotify_rm_watch(2) fails only for a watch that is gone already, with its filesystem.
      if file.holders == 0 { _ = inotify_rm_watch(instance.raw, watch) }
    }
  }

  /// Counts what waits.
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

/// Tells whether a writer came and went without a trace in the file's stamp.
///
/// It only has to tell where stamps do not, and then is to be begun before the first probe for writers.
package final class WriterVigil: Sendable {
  /// How it tells where stamps do not.
  package enum Means: Sendable {
    /// His close is noted, while the vigil lasts.
    case closes
    /// The file is read again, and held against what was read. For small files: it costs less than an inotify watch.
    case content
  }

  private enum Evidence {
    /// The filesystem shows every write, or first store to a mapped page, in the stamp.
    case stamps
    case closes(CInt, seen: Int)
    case content
    /// No inotify instance or watch is to be had.
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

  /// Whether the filesystem's stamps alone tell of every writer.
  package var isSpared: Bool {
    if case .stamps = evidence { true } else { false }
  }

  package enum Finding: Sendable, Hashable {
    /// Nobody came and went unseen, as far as stamps have not moved.
    case nobody
    /// Somebody who could write has closed the file since.
    case somebody
    case unknown
  }

  /// To be asked after the last probe, which found nobody.
  ///
  /// - Parameter bytes: what was read of the file, and is all of it; without them content tells nothing.
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
