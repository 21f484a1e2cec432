import TestSupport
import Testing

@testable import S3Mirror

/// What lies behind followed links has no watch: it is compared at each tick (Semantics, Symbolic links).
@Suite struct FollowedTargetTests {
  /// A mirror that follows links: `file` to `outside/file`, and `d` to `outside/d`, which holds `x`.
  private func run(
    interval: Duration? = nil, delete: Bool = true,
    _ change: (inout LaneUnderTest.Configuration) -> Void = { _ in },
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws -> (report: MirrorReport.Upload, texts: [String: String]) {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: .reported)
    configuration.symlinks = .follow
    configuration.delete = delete
    change(&configuration)
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      for file in ["file", "d/x", "e/y"] { try files.write(tree + "/../outside/" + file, file) }
      try files.symlink(tree + "/file", to: "../outside/file")
      try files.symlink(tree + "/d", to: "../outside/d")
    }
    try await mirror.start()
    try await body(mirror, store)
    let report = await mirror.finish()
    try mirror.removeDirectory()
    var texts: [String: String] = [:]
    for key in await store.keys { texts[String(key.dropFirst(2))] = await store.text(key) }
    return (report, texts)
  }

  @Test(.promise("LINK-2"))
  func `a target that changes is published by the next ticks, and the reason is reported once`() async throws
  {
    _ = try await run(interval: .milliseconds(20)) { mirror, store in
      for text in ["one", "two"] {
        for file in ["file", "d/x", "d/new-\(text)"] {
          try mirror.writeOutside(file, text)
          try await mirror.wait(for: file, toBe: text, in: store)
        }
      }
      let said = mirror.notices.texts.filter { $0.contains("symbolic links") }
      #expect(said.count == 1)
      #expect(said.first?.contains("d and 1 more links are compared with S3 at every tick") == true)
    }
  }

  @Test(.promise("LINK-2"), arguments: [nil, Duration.zero])
  func `a flush publishes changed targets`(
    interval: Duration?
  ) async throws {
    _ = try await run(interval: interval) { mirror, store in
      for text in ["one", "two"] {
        for file in ["file", "d/x"] { try mirror.writeOutside(file, text) }
        try await mirror.lane.flush()
        for file in ["file", "d/x"] { #expect(await store.text("t/" + file) == text) }
      }
    }
  }

  @Test(.promise("LINK-2"))
  func `without an interval, targets are compared from time to time`()
    async throws
  {
    _ = try await run(interval: .zero) { mirror, store in
      for text in ["one", "two"] {
        for file in ["file", "d/x"] {
          try mirror.writeOutside(file, text)
          try await mirror.wait(for: file, toBe: text, in: store)
        }
      }
    }
  }

  @Test func `without an interval, no pass reports that the comparisons have ended`() async throws {
    _ = try await run(interval: .zero) { mirror, store in
      for text in ["one", "two"] {
        try await mirror.lane.flush()
        try mirror.write("plain", text)
        try await mirror.wait(for: "plain", toBe: text, in: store)
      }
      #expect(mirror.notices.texts.count { $0.contains("symbolic links") } == 1)
    }
  }

  @Test(.promise("LINK-2"), arguments: [nil, Duration.zero])
  func `a marker is published after targets that changed before the marker`(
    interval: Duration?
  ) async throws {
    _ = try await run(interval: interval) { mirror, store in
      for text in ["one", "two"] {
        await store.forgetCalls()
        for file in ["file", "d/x"] { try mirror.writeOutside(file, text) }
        try mirror.write("latest", text)
        if interval == nil { try await mirror.settle() }
        try await mirror.wait(for: "latest", toBe: text, in: store)
        let puts = await store.calls.filter { $0.operation == "PutObject" }.compactMap(\.key)
        #expect(Set(puts) == ["t/file", "t/d/x", "t/latest"])
        #expect(puts.last == "t/latest")
      }
    }
  }

  enum Retargeting: CaseIterable { case unlinked, renamedOver }

  @Test(.promise("LINK-3"), arguments: Retargeting.allCases)
  func `a link that is led to another target gets the objects of that target`(way: Retargeting) async throws {
    let end = try await run { mirror, store in
      try mirror.writeOutside("other", "other")
      for (name, target) in [("file", "other"), ("d", "e")] {
        switch way {
        case .unlinked:
          try mirror.remove(name)
          try mirror.symlink(name, to: "../outside/" + target)
        case .renamedOver:
          try mirror.files.symlink(mirror.outside + "/link", to: "../outside/" + target)
          try mirror.move("outside/link", "tree/" + name)
        }
      }
      try await mirror.settle()
      #expect(await store.keys == ["t/d/y", "t/file"])
      #expect(await store.text("t/file") == "other")
      // The new targets are looked at as well.
      for file in ["other", "e/y"] { try mirror.writeOutside(file, "later") }
      try await mirror.lane.flush()
    }
    #expect(end.texts == ["file": "later", "d/y": "later"])
  }

  @Test func `a link, a file and a directory may replace each other`() async throws {
    let end = try await run { mirror, store in
      for name in ["file", "d"] {
        try mirror.remove(name)
        try mirror.write(name, "plain")
        try await mirror.settle()
        #expect(await store.text("t/" + name) == "plain")
        try mirror.remove(name)
        try mirror.write(name + "/below", "below")
        try await mirror.settle()
        try mirror.remove(name)
        try mirror.symlink(name, to: "../outside/e")
        try await mirror.settle()
      }
      #expect(await store.keys == ["t/d/y", "t/file/y"])
      try mirror.remove("d")
      try mirror.symlink("d", to: "../outside/file")
      try await mirror.settle()
      #expect(await store.keys == ["t/d", "t/file/y"])
      try mirror.remove("d")
      try mirror.makeDirectory("d")
      try mirror.write("d/y", "plain")
      try await mirror.settle()
    }
    #expect(end.texts == ["d/y": "plain", "file/y": "e/y"])
  }

  @Test(arguments: [true, false]) func `the objects of a removed link are deleted only with delete`(
    delete: Bool
  ) async throws {
    let end = try await run(delete: delete) { mirror, store in
      for name in ["file", "d"] { try mirror.remove(name) }
      try await mirror.settle()
      #expect(await store.keys == (delete ? [] : ["t/d/x", "t/file"]))
    }
    #expect(end.texts.keys.sorted() == (delete ? [] : ["d/x", "file"]))
    #expect(end.report.deleted == (delete ? 2 : 0))
  }

  @Test func `the objects of a link move if the link or its directory is renamed`() async throws {
    let end = try await run { mirror, store in
      try mirror.makeDirectory("in")
      try mirror.symlink("in/e", to: "../../outside/e")
      try await mirror.settle()
      try mirror.move("tree/d", "tree/moved")
      try mirror.move("tree/in", "tree/out")
      try await mirror.settle()
      #expect(await store.keys == ["t/file", "t/moved/x", "t/out/e/y"])
      try mirror.writeOutside("d/x", "later")
      try mirror.writeOutside("e/y", "later")
      try await mirror.lane.flush()
    }
    #expect(end.texts == ["file": "file", "moved/x": "later", "out/e/y": "later"])
  }

  @Test(.promise("LINK-3", "DEL-2"))
  func `the object of a file that was deleted behind a link is deleted at the exit`() async throws {
    let end = try await run { mirror, store in
      try mirror.writeOutside("d/z", "z")
      try mirror.files.remove(mirror.outside + "/d/x")
      try await mirror.settle()
      #expect(await store.keys == ["t/d/x", "t/d/z", "t/file"])
    }
    #expect(end.texts.keys.sorted() == ["d/z", "file"])
  }

  @Test(.promise("LINK-5"))
  func `a target that is lost keeps its objects, and is published again when it is back`() async throws {
    let end = try await run { mirror, store in
      try mirror.move("outside/d", "outside/away")
      try await mirror.settle()
      // A link that is led to nothing has lost its target too.
      try mirror.remove("file")
      try mirror.symlink("file", to: "nowhere")
      try await mirror.settle()
      #expect(await store.keys == ["t/d/x", "t/file"])
      try mirror.move("outside/away", "outside/d")
      try mirror.writeOutside("d/x", "back")
      try await mirror.lane.flush()
      #expect(await store.text("t/d/x") == "back")
      try mirror.move("outside/d", "outside/away")
    }
    #expect(end.texts == ["d/x": "back", "file": "file"])
  }

  @Test func `objects stay if their directory becomes a link to nothing, and the paths do not stay dirty`()
    async throws
  {
    _ = try await run { mirror, store in
      try mirror.write("own/x", "one")
      try await mirror.lane.flush()
      try mirror.remove("own")
      try mirror.symlink("own", to: "nowhere")
      for _ in 0..<3 { try await mirror.lane.flush() }
      #expect(mirror.lane.schedule.dirtyPaths == [])
      #expect(await store.text("t/own/x") == "one")
    }
  }

  @Test(.promise("LINK-5"), arguments: ["nowhere", "file", "../outside/file/x"])
  func `a link is led to nothing by a missing name, a circle and a way through a file`(target: String)
    async throws
  {
    let end = try await run { mirror, _ in
      for name in ["file", "d"] {
        try mirror.remove(name)
        try mirror.symlink(name, to: target)
      }
      try await mirror.settle()
      try mirror.write("plain", "plain")
      try await mirror.lane.flush()
    }
    #expect(end.texts == ["d/x": "d/x", "file": "file", "plain": "plain"])
    #expect(end.report.failures == [])
  }

  @Test func `a file behind a link waits for its writer`() async throws {
    _ = try await run { mirror, store in
      let writer = try mirror.files.open(mirror.outside + "/file", .emptied)
      try writer.write("half")
      try await mirror.lane.flush()
      #expect(await store.text("t/file") == "file")
      try writer.write(" whole")
      writer.close()
      try await mirror.lane.flush()
      #expect(await store.text("t/file") == "half whole")
    }
  }

  /// More than are compared one by one.
  @Test(.promise("LINK-2"))
  func `of very many links each is compared`() async throws {
    _ = try await run { mirror, store in
      for index in 0...1_000 {
        try mirror.symlink("link-\(index)", to: "../outside/\(index == 500 ? "other" : "file")")
      }
      try mirror.writeOutside("other", "other")
      try await mirror.settle()
      try await mirror.lane.flush()
      try mirror.writeOutside("other", "changed")
      try mirror.writeOutside("d/x", "changed")
      await store.forgetCalls()
      try await mirror.lane.flush()
      #expect(
        await store.calls.filter { $0.operation == "PutObject" }.compactMap(\.key).sorted() == [
          "t/d/x", "t/link-500",
        ])
    }
  }

  @Test func `a link behind a link that leads back up is left out`() async throws {
    let end = try await run { mirror, _ in
      try mirror.files.symlink(mirror.outside + "/d/up", to: "../../tree")
      try mirror.write("plain", "plain")
      try await mirror.settle()
      try await mirror.settle()
    }
    #expect(end.texts.keys.sorted() == ["d/x", "file", "plain"])
  }

  @Test func `an audit takes nothing behind a link for drift`() async throws {
    _ = try await run(interval: .zero, { $0.auditInterval = .milliseconds(20) }) { mirror, _ in
      for file in ["file", "d/x"] { try mirror.writeOutside(file, "changed") }
      let before = mirror.notices.passes.count { $0.kind == .audit }
      try await mirror.wait { heard in
        heard.compactMap(\.summary).count { $0.kind == .audit } > before + 1
      }
      #expect(mirror.lane.status.drift == 0)
    }
  }

  @Test func `if no link is followed, a tick costs no more`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.symlinks = .follow
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    await store.forgetCalls()
    try await mirror.lane.flush()
    #expect(mirror.notices.passes.map(\.kind) == [.entry])
    try mirror.write("a", "text")
    try await mirror.lane.flush()
    #expect(await store.calls.map(\.operation) == ["PutObject"])
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
