import FileWatch
import Foundation
import MirrorModel
import Synchronization
import SystemPackage
import TestSupport
import Testing

/// A directory on disk for one test, removed with it. The watched root is `tree` in it, so that there is an outside.
final class ScratchTree: Sendable {
  let outside: String
  let root: String

  init() throws {
    outside = FileManager.default.temporaryDirectory.path + "/s3m-watch-\(UUID().uuidString)"
    root = outside + "/tree"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
  }

  deinit {
    do { try FileManager.default.removeItem(atPath: outside) } catch { print("left behind: \(error)") }
  }

  /// Paths that begin with `^` lie outside the watched tree.
  func path(_ relative: String) -> String {
    relative.hasPrefix("^") ? outside + "/" + relative.dropFirst() : root + "/" + relative
  }

  func makeDirectory(_ relative: String) throws { try check(mkdir(path(relative), 0o755)) }

  func write(_ relative: String, _ text: String = "x") throws {
    let descriptor = try check(open(path(relative), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644))
    defer { close(descriptor) }
    _ = try check(
      Int32(
        text.utf8.withContiguousStorageIfAvailable { Glibc.write(descriptor, $0.baseAddress, $0.count) } ?? 0)
    )
  }

  func move(_ old: String, _ new: String) throws { try check(rename(path(old), path(new))) }
  func delete(_ relative: String) throws { try check(unlink(path(relative))) }
  func removeDirectory(_ relative: String) throws { try check(rmdir(path(relative))) }
  func removeAll(_ relative: String) throws { try FileManager.default.removeItem(atPath: path(relative)) }
  func link(_ target: String, as relative: String) throws { try check(symlink(target, path(relative))) }

  /// Every file below the root.
  func files() throws -> Set<RelativePath> {
    var found: Set<RelativePath> = []
    var rest = [""]
    while let directory = rest.popLast() {
      guard let stream = opendir(root + "/" + directory) else { throw Errno(rawValue: errno) }
      defer { closedir(stream) }
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name.0) { String(cString: $0) }
        if name == "." || name == ".." { continue }
        let relative = directory.isEmpty ? name : directory + "/" + name
        if Int(entry.pointee.d_type) == Int(DT_DIR) {
          rest.append(relative)
        } else {
          found.insert(RelativePath(relative))
        }
      }
    }
    return found
  }

  @discardableResult
  private func check(_ result: Int32) throws -> Int32 {
    guard result >= 0 else { throw Errno(rawValue: errno) }
    return result
  }
}

/// What a watcher said, in order.
final class EventLog: Sendable {
  private let events = Mutex<[WatchEvent]>([])

  func append(_ batch: [WatchEvent]) {
    events.withLock { $0 += batch }
  }

  /// Returns when this has been said and not been taken.
  func wait(for text: String) async throws {
    try await eventually("the watch says \(text)") { all.contains { $0.text == text } }
  }

  var all: [WatchEvent] { events.withLock { $0 } }
  var count: Int { events.withLock { $0.count } }

  /// What was said since the last call, as text. How often in a row depends on where reads ended.
  func take() -> [String] {
    events.withLock { events in
      defer { events = [] }
      return events.reduce(into: []) { texts, event in
        if texts.last != event.text { texts.append(event.text) }
      }
    }
  }
}

/// A watcher that does not run yet, as soon as there is an inotify instance for it.
func makeWatcher(
  _ root: String, _ configuration: TreeWatcher.Configuration = .init(),
  sink: @escaping @Sendable ([WatchEvent]) -> Void
) async throws -> TreeWatcher {
  try await InotifyInstances.retrying {
    do {
      return try TreeWatcher(root: FilePath(root), configuration: configuration, sink: sink)
    } catch WatchError.instanceLimit {
      return nil
    }
  }
}

/// Runs a test with a watcher over a scratch tree and ends both.
///
/// - Parameter prepare: builds what lies there when the watch begins.
func withWatcher(
  _ configuration: TreeWatcher.Configuration = .init(), prepare: (ScratchTree) throws -> Void = { _ in },
  _ body: (ScratchTree, TreeWatcher, EventLog) async throws -> Void
) async throws {
  let tree = try ScratchTree()
  try prepare(tree)
  let log = EventLog()
  let watcher = try await makeWatcher(tree.root, configuration) { log.append($0) }
  do {
    try await watcher.start()
    try await body(tree, watcher, log)
  } catch {
    await watcher.stop()
    throw error
  }
  await watcher.stop()
}
