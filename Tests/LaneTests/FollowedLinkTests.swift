import Foundation
import TestSupport
import Testing

@testable import S3Mirror

/// `symlinks: .follow`: what links lead to is uploaded under the links' names.
@Suite struct FollowedLinkTests {
  private func lane(_ store: FakeObjectStore, prepare: (String) throws -> Void) async throws
    -> LaneUnderTest
  {
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.symlinks = .follow
    return try await LaneUnderTest(store, configuration, prepare: prepare)
  }

  private func link(_ path: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
  }

  private func write(_ path: String, _ text: String) throws {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
  }

  @Test(.promise("LINK-1"))
  func `the entry uploads the targets of links to files and directories`() async throws {
    let store = FakeObjectStore()
    let under = try await lane(store) { tree in
      try write(tree + "/../outside/file", "file")
      try FileManager.default.createDirectory(
        atPath: tree + "/../outside/d", withIntermediateDirectories: true)
      try write(tree + "/../outside/d/below", "below")
      try link(tree + "/file", to: "../outside/file")
      try link(tree + "/d", to: "../outside/d")
    }
    try await under.start()
    await under.finish()
    #expect(await store.text("t/file") == "file")
    #expect(await store.text("t/d/below") == "below")
    try under.removeDirectory()
  }

  @Test func `a link that is made later is followed at the next tick`() async throws {
    let store = FakeObjectStore()
    let under = try await lane(store) { tree in try write(tree + "/../outside/file", "file") }
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
    let under = try await lane(store) { tree in
      for name in ["kept", "gone"] {
        try write(tree + "/../outside/" + name, name)
        try link(tree + "/" + name, to: "../outside/" + name)
      }
    }
    try await under.start()
    try FileManager.default.removeItem(atPath: under.outside + "/kept")
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
    let under = try await lane(store) { tree in
      try write(tree + "/file", "file")
      try link(tree + "/self", to: "self")
      try link(tree + "/up", to: ".")
    }
    try await under.start()
    await under.finish()
    #expect(await store.keys == ["t/file"])
    try under.removeDirectory()
  }
}
