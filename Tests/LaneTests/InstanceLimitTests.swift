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
  @Test
  func `without an inotify instance the root is compared at each tick, and watched once an instance is free`()
    async throws
  {
    let directory = try TemporaryDirectory()
    let events = Mutex<[WatchEvent]>([])
    let refusals = Mutex(2)
    let watch = ReportedWatch()
    let place = try WatchedRoot(
      try TreeRoot(path: FilePath(directory.path)),
      makeWatch: { _ in
        let isRefused = refusals.withLock { left in
          left -= 1
          return left >= 0
        }
        if isRefused { throw WatchError.instanceLimit(.current()) }
        return watch.connect({ _, _ in false }) { batch in events.withLock { $0 += batch } }
      },
      tell: { event in events.withLock { $0.append(event) } })
    let compare = WatchEvent.rescan(.root, .instanceLimit)
    try await place.start()
    await place.retryUnwatched()
    #expect(events.withLock { $0 } == [compare, compare])

    // The third try gets an instance. The root is compared once more after the watch has begun.
    await place.retryUnwatched()
    #expect(events.withLock { $0 } == [compare, compare, compare])
    watch.report([.closed("file")])
    #expect(events.withLock { $0.last } == .closed("file"))
    await place.retryUnwatched()
    #expect(events.withLock { events in events.count { $0 == compare } } == 3)
    await place.stop()
  }
}
