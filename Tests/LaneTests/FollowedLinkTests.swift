import TestSupport
import Testing

@testable import S3Mirror

/// `symlinks: .follow`: what links lead to is uploaded under the links' names.
@Suite struct FollowedLinkTests {
  private func lane(_ store: FakeObjectStore, prepare: (String, any ProgramFiles) throws -> Void) async throws
    -> LaneUnderTest
  {
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.symlinks = .follow
    return try await LaneUnderTest(store, configuration, prepare: prepare)
  }

  @Test(.promise("LINK-1"))
  func `the entry uploads the targets of links to files and directories`() async throws {
    let store = FakeObjectStore()
    let under = try await lane(store) { tree, files in
      try files.write(tree + "/../outside/file", "file")
      try files.write(tree + "/../outside/d/below", "below")
      try files.symlink(tree + "/file", to: "../outside/file")
      try files.symlink(tree + "/d", to: "../outside/d")
    }
    try await under.start()
    await under.finish()
    #expect(await store.text("t/file") == "file")
    #expect(await store.text("t/d/below") == "below")
    try under.removeDirectory()
  }

  @Test func `a link that is made later is followed at the next tick`() async throws {
    let store = FakeObjectStore()
    let under = try await lane(store) { tree, files in try files.write(tree + "/../outside/file", "file") }
    try await under.start()
    try under.symlink("late", to: "../outside/file")
    try await under.lane.flush()
    #expect(await store.text("t/late") == "file")
    await under.finish()
    try under.removeDirectory()
  }

  @Test(.promise("LINK-5"))
  func `a link whose target is lost keeps its object, a link that is removed does not`() async throws {
    let store = FakeObjectStore()
    let under = try await lane(store) { tree, files in
      for name in ["kept", "gone"] {
        try files.write(tree + "/../outside/" + name, name)
        try files.symlink(tree + "/" + name, to: "../outside/" + name)
      }
    }
    try await under.start()
    try under.files.remove(under.outside + "/kept")
    try under.remove("gone")
    try await under.settle()
    let report = await under.finish()
    #expect(await store.keys == ["t/kept"])
    #expect(report.deleted == 1)
    try under.removeDirectory()
  }

  @Test(.promise("LINK-1"))
  func `links that form a loop are left out`() async throws {
    let store = FakeObjectStore()
    let under = try await lane(store) { tree, files in
      try files.write(tree + "/file", "file")
      try files.symlink(tree + "/self", to: "self")
      try files.symlink(tree + "/up", to: ".")
    }
    try await under.start()
    await under.finish()
    #expect(await store.keys == ["t/file"])
    try under.removeDirectory()
  }
}
