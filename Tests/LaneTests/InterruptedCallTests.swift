import Synchronization
import SystemPackage
import TestSupport
import Testing

@testable import S3Mirror

/// Another program changes the tree between any two system calls of a mirror, or one of them fails.
///
/// Each case runs once for every system call that the mirror makes, with the change just before it.
@Suite struct InterruptedCallTests {
  private static let old = String(repeating: "old ", count: 500)
  private static let new = String(repeating: "new ", count: 500)

  /// What is done to `d/a`, which holds `old`.
  enum Change: CaseIterable {
    case rewritten, appended, replaced, removed, moved, movedAndMade, linkedElsewhere, becameDirectory
    case becameLink, directoryMoved

    func carryOut(_ mirror: LaneUnderTest) throws {
      switch self {
      case .rewritten: try mirror.write("d/a", new)
      case .appended: try mirror.append("d/a", new)
      case .replaced: try mirror.move("outside/a", "tree/d/a")
      case .removed: try mirror.remove("d/a")
      case .moved: try mirror.move("tree/d/a", "tree/b")
      case .movedAndMade:
        try mirror.move("tree/d/a", "tree/b")
        try mirror.write("d/a", new)
      case .linkedElsewhere:
        try mirror.link("d/a", "b")
        try mirror.write("b", new)
      case .becameDirectory:
        try mirror.remove("d/a")
        try mirror.write("d/a/b", new)
      case .becameLink:
        try mirror.remove("d/a")
        try mirror.symlink("d/a", to: "../../outside/a")
      case .directoryMoved: try mirror.move("tree/d", "tree/e")
      }
    }
  }

  /// Acts just before the call of this number, and never again.
  private final class Interruption: Sendable {
    private let left: Mutex<Int>
    private let lane: UploadLane
    private let act: @Sendable () throws(Errno) -> Void
    private let reached = Mutex<(call: MemoryFileSystem.Call, isLate: Bool)?>(nil)

    init(at number: Int, _ lane: UploadLane, _ act: @escaping @Sendable () throws(Errno) -> Void) {
      left = Mutex(number)
      self.lane = lane
      self.act = act
    }

    /// The call before which it acted.
    var call: MemoryFileSystem.Call? { reached.withLock { $0?.call } }
    var isLate: Bool { reached.withLock { $0?.isLate ?? false } }

    func meet(_ call: MemoryFileSystem.Call) throws(Errno) {
      let isNow = left.withLock { left in
        left -= 1
        return left == -1
      }
      guard isNow else { return }
      reached.withLock { $0 = (call, lane.lateArrivals.hasBegun) }
      try act()
    }
  }

  private struct End {
    var report: MirrorReport.Upload
    /// The files of the tree and the objects, by path.
    var files: [String: String]
    var objects: [String: String]
    /// Every content that an object had.
    var versions: Set<String>
    var call: MemoryFileSystem.Call?
    /// Whether it was then too late to publish a change.
    var isLate: Bool
  }

  /// Publishes `d/a` with `first`, then has it changed to `old`, and interrupts the mirror from there to its end.
  private func run(
    interruptedAt number: Int, isPartwise: Bool,
    by act: @escaping @Sendable (LaneUnderTest) throws(Errno) -> Void
  ) async throws -> End {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    if isPartwise { configuration.singleThreshold = 1_000 }
    let mirror = try await LaneUnderTest(store, configuration)
    let memory = try #require(mirror.memory)
    try await mirror.start()
    try mirror.write("d/a", "first")
    try mirror.write("other", "other")
    try await mirror.settle()
    try mirror.writeOutside("a", Self.new)
    let versions = Mutex<Set<String>>([])
    await store.hold { [unowned store] _ in
      for key in await store.keys {
        if let text = await store.text(key) { versions.withLock { _ = $0.insert(text) } }
      }
    }
    let interruption = Interruption(at: number, mirror.lane) { [unowned mirror] () throws(Errno) in
      try act(mirror)
    }
    try mirror.write("d/a", Self.old)
    memory.whenCalled { call throws(Errno) in try interruption.meet(call) }
    try await mirror.settle()
    let report = await mirror.finish()
    memory.whenCalled(nil)
    var end = End(
      report: report, files: [:], objects: [:], versions: versions.withLock { $0 }, call: interruption.call,
      isLate: interruption.isLate)
    for path in memory.files(below: mirror.tree) {
      end.files[String(path.dropFirst(mirror.tree.utf8.count + 1))] = try memory.text(path)
    }
    for key in await store.keys {
      end.objects[String(key.dropFirst(2))] = await store.text(key)
      end.versions.insert(await store.text(key) ?? "")
    }
    return end
  }

  @Test(.promise("PUB-1"), arguments: Change.allCases, [false, true])
  func `a change between any two system calls is published, and never half of it`(
    change: Change, isPartwise: Bool
  ) async throws {
    for number in 0..<10_000 {
      let end = try await run(interruptedAt: number, isPartwise: isPartwise) { mirror throws(Errno) in
        do {
          // The lane hears of it when it next asks: other threads hold locks now.
          try mirror.reportedWatch?.withhold { try change.carryOut(mirror) }
        } catch {
          Issue.record(error)
        }
      }
      guard let call = end.call else {
        #expect(number > 10)
        return
      }
      let place: Comment = "before call \(number), \(call.description)"
      #expect(end.report.failures == [], place)
      if change == .becameLink {
        // The link may come back as a file, so its object stays.
        #expect(end.objects.keys.sorted() == ["d/a", "other"], place)
      } else if !end.isLate {
        #expect(end.objects == end.files, place)
      } else if change == .moved || change == .directoryMoved {
        // The next run publishes the new name. Until then the object stays.
        #expect(end.objects.values.contains(Self.old), place)
      }
      #expect(end.versions.isSubset(of: ["first", "other", Self.old, Self.new, Self.old + Self.new]), place)
    }
    Issue.record("the mirror makes calls without end")
  }

  @Test(
    .promise("DEL-1"),
    arguments: [Errno.ioError, .tooManyOpenFiles, .permissionDenied, .staleNFSFileHandle], [false, true])
  func `a system call that fails deletes nothing and is reported or made up for`(
    error: Errno, isPartwise: Bool
  ) async throws {
    for number in 0..<10_000 {
      let end = try await run(interruptedAt: number, isPartwise: isPartwise) { _ throws(Errno) in throw error
      }
      guard let call = end.call else {
        #expect(number > 10)
        return
      }
      let place: Comment = "at call \(number), \(call.description)"
      #expect(end.objects.keys.sorted() == ["d/a", "other"], place)
      #expect(end.versions.isSubset(of: ["first", "other", Self.old]), place)
      if end.report.failures.isEmpty { #expect(end.objects == end.files, place) }
    }
    Issue.record("the mirror makes calls without end")
  }
}
