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
    /// The objects as they were at each request.
    var pictures: Set<[String: String]>
    var call: MemoryFileSystem.Call?
    /// Whether it was then too late to publish a change.
    var isLate: Bool

    /// Every content that an object had.
    var versions: Set<String> { Set(pictures.flatMap(\.values)) }
  }

  private static func objects(_ store: FakeObjectStore) async -> [String: String] {
    var objects: [String: String] = [:]
    for key in await store.keys { objects[String(key.dropFirst(2))] = await store.text(key) }
    return objects
  }

  /// Publishes what `prepare` makes, then has `begin` change it, and interrupts the mirror from there to its end.
  private func run(
    interruptedAt number: Int, isPartwise: Bool = false,
    prepare: (LaneUnderTest) throws -> Void, begin: (LaneUnderTest) throws -> Void,
    by act: @escaping @Sendable (LaneUnderTest) throws(Errno) -> Void
  ) async throws -> End {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    if isPartwise { configuration.singleThreshold = 1_000 }
    let mirror = try await LaneUnderTest(store, configuration)
    let memory = try #require(mirror.memory)
    try await mirror.start()
    try prepare(mirror)
    try await mirror.settle()
    let pictures = Mutex<Set<[String: String]>>([])
    await store.hold { [unowned store] _ in
      let objects = await Self.objects(store)
      pictures.withLock { _ = $0.insert(objects) }
    }
    let interruption = Interruption(at: number, mirror.lane) { [unowned mirror] () throws(Errno) in
      try act(mirror)
    }
    try begin(mirror)
    memory.whenCalled { call throws(Errno) in try interruption.meet(call) }
    try await mirror.settle()
    let report = await mirror.finish()
    memory.whenCalled(nil)
    let objects = await Self.objects(store)
    var files: [String: String] = [:]
    for path in memory.files(below: mirror.tree) {
      files[String(path.dropFirst(mirror.tree.utf8.count + 1))] = try memory.text(path)
    }
    return End(
      report: report, files: files, objects: objects, pictures: pictures.withLock { $0 }.union([objects]),
      call: interruption.call, isLate: interruption.isLate)
  }

  /// A file `d/a` that is published with `first` and then holds `old`.
  private func runFile(
    interruptedAt number: Int, isPartwise: Bool,
    by act: @escaping @Sendable (LaneUnderTest) throws(Errno) -> Void
  ) async throws -> End {
    try await run(
      interruptedAt: number, isPartwise: isPartwise,
      prepare: { mirror in
        try mirror.write("d/a", "first")
        try mirror.write("other", "other")
        try mirror.writeOutside("a", Self.new)
      }, begin: { try $0.write("d/a", Self.old) }, by: act)
  }

  /// A program's change. The lane hears of it when it next asks: other threads hold locks now.
  private static func change(
    _ mirror: LaneUnderTest, _ body: (LaneUnderTest) throws -> Void
  ) {
    do {
      try mirror.reportedWatch?.withhold { try body(mirror) }
    } catch {
      Issue.record(error)
    }
  }

  @Test(.promise("PUB-1"), arguments: Change.allCases, [false, true])
  func `a change between any two system calls is published, and never half of it`(
    change: Change, isPartwise: Bool
  ) async throws {
    for number in 0..<10_000 {
      let end = try await runFile(interruptedAt: number, isPartwise: isPartwise) { mirror in
        Self.change(mirror) { try change.carryOut($0) }
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

  /// A training job saves its next checkpoint, and names it in `latest`.
  enum Saving: CaseIterable {
    case written, movedIn, overOld, withoutOld

    func carryOut(_ mirror: LaneUnderTest) throws {
      switch self {
      case .written:
        try mirror.write("two/data", "2")
        try mirror.write("latest", "two")
      case .movedIn:
        try mirror.writeOutside("two/data", "2")
        try mirror.writeOutside("latest", "two")
        try mirror.move("outside/two", "tree/two")
        try mirror.move("outside/latest", "tree/latest")
      case .overOld:
        try mirror.write("one/data", "2")
        try mirror.move("tree/one", "tree/two")
        try mirror.write("latest", "two")
      case .withoutOld:
        try mirror.write("two/data", "2")
        try mirror.write("latest", "two")
        try mirror.remove("one")
      }
    }
  }

  @Test(.promise("PUB-12"), arguments: Saving.allCases)
  func `a marker is never on S3 without its data, whenever they are written`(saving: Saving) async throws {
    for number in 0..<10_000 {
      let end = try await run(
        interruptedAt: number,
        prepare: { mirror in
          try mirror.write("one/data", "1")
          try mirror.write("latest", "one")
        }, begin: { try $0.write("one/more", "1") },
        by: { mirror in Self.change(mirror) { try saving.carryOut($0) } })
      guard let call = end.call else {
        #expect(number > 10)
        return
      }
      let place: Comment = "before call \(number), \(call.description)"
      for picture in end.pictures {
        switch picture["latest"] {
        case "one": #expect(picture["one/data"] == "1" || saving == .overOld, place)
        case "two": #expect(picture["two/data"] == "2", place)
        default: Issue.record("latest is \(picture["latest"] ?? "gone")")
        }
      }
      if !end.isLate {
        #expect(end.report.failures == [], place)
        #expect(end.objects == end.files, place)
      }
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
      let end = try await runFile(interruptedAt: number, isPartwise: isPartwise) { _ throws(Errno) in
        throw error
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
