import Glibc
import MirrorModel
import TestSupport
import Testing

@testable import S3Mirror

/// Names that are made by link(2), linkat(2) or mknod(2). Their only event is IN_CREATE.
@Suite struct NewNameTests {
  private func run(_ body: (LaneUnderTest, FakeObjectStore) async throws -> Void) async throws -> [String] {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store)
    try await mirror.start()
    try await body(mirror, store)
    await mirror.finish()
    let proofs = try mirror.records().filter { $0.operation == .upload }.compactMap(\.proof)
    try mirror.removeDirectory()
    return proofs
  }

  /// O_TMPFILE of open(2), which Glibc's module does not show.
  private static let unnamed: Int32 = 0o20000000 | O_DIRECTORY

  private func openUnnamed(in directory: String) throws -> Int32 {
    let descriptor = open(directory, O_RDWR | O_CLOEXEC | Self.unnamed, 0o644)
    try #require(descriptor >= 0)
    return descriptor
  }

  private func put(_ text: String, in descriptor: Int32) throws {
    let bytes = Array(text.utf8)
    try #require(bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == bytes.count)
  }

  private func name(_ descriptor: Int32, _ path: String) throws {
    try #require(linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
  }

  @Test(.promise("WATCH-5"))
  func `a link to a file from elsewhere is published, and proved by a lease`() async throws {
    let proofs = try await run { mirror, store in
      try mirror.write("../outside/a", "whole")
      try #require(Glibc.link(mirror.outside + "/a", mirror.tree + "/a") == 0)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "whole")
    }
    #expect(proofs == ["leased"])
  }

  @Test(.promise("WATCH-5"))
  func `a file that was written before it got its name is published`() async throws {
    let proofs = try await run { mirror, store in
      let writer = try openUnnamed(in: mirror.tree)
      try put("whole", in: writer)
      try name(writer, mirror.tree + "/a")
      close(writer)
      try await mirror.lane.flush()
      #expect(await store.keys == ["t/a"])
      #expect(await store.text("t/a") == "whole")
    }
    #expect(proofs == ["leased"])
  }

  @Test(.promise("WATCH-5"))
  func `a file that got its name while it is written waits for its close, which no event reports`()
    async throws
  {
    let proofs = try await run { mirror, store in
      let writer = try openUnnamed(in: mirror.tree)
      try put("half", in: writer)
      try name(writer, mirror.tree + "/a")
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      try put(" and half", in: writer)
      close(writer)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "half and half")
    }
    #expect(proofs == ["leased"])
  }

  @Test func `an empty file that no process opened is published`() async throws {
    _ = try await run { mirror, store in
      try #require(mknod(mirror.tree + "/a", S_IFREG | 0o644, 0) == 0)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "")
    }
  }

  @Test func `an empty file that was just opened is not published`() async throws {
    let proofs = try await run { mirror, store in
      let writer = open(mirror.tree + "/a", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
      try #require(writer >= 0)
      try await mirror.lane.flush()
      #expect(await store.keys == [])
      try put("whole", in: writer)
      close(writer)
      try await mirror.lane.flush()
      #expect(await store.text("t/a") == "whole")
    }
    #expect(proofs == ["closed"])
  }

  /// If the next pass had begun, the file would count as new, and its delete would send no request.
  @Test func `a change that a pass has seen is reported before the pass ends`() async throws {
    let store = FakeObjectStore()
    // Passes of any other interval begin with a call to the watch.
    let mirror = try await LaneUnderTest(store, .init(interval: .zero, watch: .reported))
    let (lane, watch) = (mirror.lane, try #require(mirror.reportedWatch))
    try await lane.enter()
    try mirror.write("a", "one")
    let pass = try #require(lane.schedule.drain())
    // The watch reports the second version only when the lane asks for every event until now.
    try watch.withhold { try mirror.write("a", "another") }
    _ = await lane.workOff(pass, deletes: .watched)
    #expect(await store.text("t/a") == "another")
    #expect(lane.schedule.isDirty("a"))
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// No event names the file: its directory had no watch while the file was there.
  @Test(.promise("WATCH-8"))
  func `a file that came and went before the watch had its directory leaves no object`() async throws {
    let store = FakeObjectStore()
    let mirror = try await LaneUnderTest(store, .init(interval: .zero, watch: .reported))
    let (lane, watch) = (mirror.lane, try #require(mirror.reportedWatch))
    func workOff() async throws {
      let pass = try #require(lane.schedule.drain())
      _ = await lane.workOff(pass, deletes: .watched)
    }
    try await lane.enter()
    try mirror.write("new/a", "one")
    try await workOff()
    try mirror.remove("new")
    try watch.discard { try mirror.write("new/a", "another") }
    watch.whenFenced { [unowned mirror] in
      guard await store.text("t/new/a") == "another", mirror.files.exists(mirror.tree + "/new/a") else {
        return
      }
      try watch.discard { try mirror.remove("new/a") }
      watch.report([.directoryAppeared("new")])
    }
    try await workOff()
    #expect(await store.text("t/new/a") == "another")
    try await workOff()
    #expect(await store.keys == [])
    #expect(await mirror.finish().drift == 0)
    try mirror.removeDirectory()
  }

  @Test func `a file that is reported as deleted and is below a lost directory is deleted and counted once`()
    async throws
  {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.bound = .limit(3)
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    for name in ["1", "2", "3"] { try mirror.write("d/" + name, name) }
    try await mirror.lane.flush()
    try mirror.move("tree/d", "outside/d")
    // Each file is also dirty by itself, as after deletes that are reported late.
    await mirror.lane.place.fence()
    mirror.lane.schedule.note(["1", "2", "3"].map { .deleted(RelativePath("d/" + $0)) })
    try await mirror.lane.flush()
    #expect(await store.keys == [])
    let report = await mirror.finish()
    #expect(report.deleted == 3)
    #expect(report.withheldDeletes == 0)
    try mirror.removeDirectory()
  }
}
