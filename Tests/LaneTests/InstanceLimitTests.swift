import FileWatch
import Foundation
import LocalTree
import MirrorModel
import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// EMFILE of inotify_init1(2): the root is compared at each tick until an instance is free.
@Suite struct InstanceLimitTests {
  private final class Told: Sendable {
    let events = Mutex<[WatchEvent]>([])
    let refusals: Mutex<Int>

    init(refusals: Int) {
      self.refusals = Mutex(refusals)
    }
  }

  @Test func `without an instance the root is compared at each look, and watched once there is one`()
    async throws
  {
    let directory = try LaneDirectory()
    let told = Told(refusals: 2)
    let place = try WatchedRoot(
      try TreeRoot(path: directory.path),
      makeWatcher: { [path = directory.path] _ in
        let isRefused = told.refusals.withLock { left in
          left -= 1
          return left >= 0
        }
        if isRefused { throw WatchError.instanceLimit(.current()) }
        return try TreeWatcher(root: path) { batch in told.events.withLock { $0 += batch } }
      },
      tell: { event in told.events.withLock { $0.append(event) } })
    let compare = WatchEvent.rescan(.root, .instanceLimit)
    try await place.start()
    await place.retryUnwatched()
    #expect(told.events.withLock { $0 } == [compare, compare])

    try await InotifyInstances.waitForOne()
    // The third try gets one: compared once more after the watch is in place, and from then on told by events.
    await place.retryUnwatched()
    #expect(told.events.withLock { $0 } == [compare, compare, compare])
    try directory.write("file")
    await place.fence()
    #expect(told.events.withLock { $0.contains(.closed("file")) })
    await place.retryUnwatched()
    #expect(told.events.withLock { events in events.count { $0 == compare } } == 3)
    await place.stop()
  }
}

/// A directory that goes with the test.
private final class LaneDirectory: Sendable {
  let path: FilePath

  init() throws {
    path = FilePath(NSTemporaryDirectory()).appending("s3m-instances-\(UUID().uuidString)")
    try FileManager.default.createDirectory(atPath: path.string, withIntermediateDirectories: true)
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: path.string)
    } catch {
      Issue.record(error)
    }
  }

  func write(_ name: String) throws {
    try "x".write(toFile: path.appending(name).string, atomically: false, encoding: .utf8)
  }
}
