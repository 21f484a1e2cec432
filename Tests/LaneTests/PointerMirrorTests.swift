import Glibc
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// A mirror that makes an object of each link to a file of its tree.
@Suite struct PointerMirrorTests {
  private func run(
    interval: Duration? = nil, _ change: (inout LaneUnderTest.Configuration) -> Void = { _ in },
    prepare: (String, any ProgramFiles) throws -> Void = { _, _ in },
    _ body: (LaneUnderTest, FakeObjectStore) async throws -> Void
  ) async throws -> MirrorReport.Upload {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: .reported)
    configuration.symlinks = .pointer
    change(&configuration)
    let mirror = try await LaneUnderTest(store, configuration, prepare: prepare)
    try await mirror.start()
    try await body(mirror, store)
    let report = await mirror.finish()
    #expect(report.failures == [])
    #expect(report.drift == 0)
    try mirror.removeDirectory()
    return report
  }

  /// `ln -sfn`: the link is made beside its name and renamed over it.
  private func point(_ mirror: LaneUnderTest, _ path: String, at target: String) throws {
    try mirror.symlink(".new", to: target)
    try mirror.move("tree/.new", "tree/" + path)
  }

  /// The keys of the requests that change objects, since the calls were last forgotten.
  private func changes(_ store: FakeObjectStore) async -> [String] {
    let changing: Set = ["PutObject", "DeleteObjects", "DeleteObject", "CopyObject"]
    return await store.calls.filter { changing.contains($0.operation) }
      .map { "\($0.operation) \($0.key?.dropFirst(2) ?? "")" }
  }

  @Test(.promise("LINK-7", "LINK-8"))
  func `a link is published after its target, as a copy on the server`() async throws {
    _ = try await run { mirror, store in
      for step in ["1", "2"] {
        await store.forgetCalls()
        try mirror.write("epoch=\(step).ckpt", "step \(step)")
        try mirror.write("metrics.csv", step)
        try point(mirror, "last.ckpt", at: "epoch=\(step).ckpt")
        try mirror.write("DONE", step)
        try await mirror.settle()
        let changes = await changes(store)
        let (link, marker) = ("CopyObject last.ckpt", "PutObject DONE")
        #expect(Array(changes.suffix(2)) == [link, marker])
        #expect(changes.filter { $0.hasSuffix("last.ckpt") } == [link])
        #expect(changes.contains("PutObject epoch=\(step).ckpt"))
        #expect(changes.contains("PutObject metrics.csv"))
        #expect(await store.text("t/last.ckpt") == "step \(step)")
      }
    }
  }

  @Test(.promise("LINK-7"))
  func `a link is published again when its target is overwritten or replaced`() async throws {
    _ = try await run { mirror, store in
      try mirror.write("a", "one")
      try point(mirror, "link", at: "a")
      try point(mirror, "chain", at: "link")
      try await mirror.settle()
      try mirror.write("a", "two")
      try await mirror.settle()
      for key in ["link", "chain"] { #expect(await store.text("t/" + key) == "two") }
      try mirror.writeOutside("new", "three")
      try mirror.move("outside/new", "tree/a")
      try await mirror.settle()
      for key in ["link", "chain"] { #expect(await store.text("t/" + key) == "three") }
      await store.forgetCalls()
      try mirror.write("other", "x")
      try await mirror.settle()
      #expect(await changes(store) == ["PutObject other"])
    }
  }

  @Test(.promise("LINK-7"))
  func `if a link of a chain is led elsewhere, the links through it are published again`() async throws {
    _ = try await run { mirror, store in
      try mirror.write("d/a", "one")
      try mirror.write("d/b", "two")
      try point(mirror, "best", at: "d/a")
      try point(mirror, "d/last", at: "../best")
      try await mirror.settle()
      #expect(await store.text("t/d/last") == "one")
      try point(mirror, "best", at: "d/b")
      try await mirror.settle()
      #expect(await store.text("t/best") == "two")
      #expect(await store.text("t/d/last") == "two")
    }
  }

  @Test(.promise("LINK-9"))
  func `a link whose target is gone keeps its object until the link is removed, and is reported once`()
    async throws
  {
    _ = try await run { mirror, store in
      try mirror.write("a", "one")
      try point(mirror, "link", at: "a")
      try await mirror.settle()
      try mirror.remove("a")
      try point(mirror, "link", at: "a")
      try await mirror.settle()
      #expect(await store.text("t/a") == nil)
      #expect(await store.text("t/link") == "one")
      try await mirror.settle()
      let said = mirror.notices.texts.filter {
        $0.contains("left out: link: symbolic links that lead to no file")
      }
      #expect(said.count == 1)
      try mirror.write("a", "two")
      try await mirror.settle()
      #expect(await store.text("t/link") == "two")
      try mirror.remove("link")
      try await mirror.settle()
      #expect(await store.text("t/link") == nil)
      #expect(await store.text("t/a") == "two")
    }
  }

  @Test(.promise("LINK-9"))
  func `the last content of a link stays at the end of a run if its target is gone`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.symlinks = .pointer
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    try mirror.write("a", "one")
    try mirror.write("b", "two")
    try point(mirror, "link", at: "a")
    try await mirror.settle()
    try mirror.remove("a")
    let report = await mirror.finish()
    #expect(report.failures == [])
    #expect(await store.keys == ["t/b", "t/link"])
    #expect(await store.text("t/link") == "one")
    try mirror.removeDirectory()
  }

  @Test(.promise("LINK-7", "LINK-1"), arguments: ["e", "../outside", "nowhere"])
  func `a link to a directory, out of the root or to nothing is left out and reported once`(target: String)
    async throws
  {
    let report = try await run { mirror, store in
      try mirror.write("e/file", "x")
      try mirror.writeOutside("file", "secret")
      try point(mirror, "link", at: target)
      try await mirror.settle()
      try await mirror.settle()
      #expect(await store.keys == ["t/e/file"])
      #expect(mirror.notices.texts.count { $0.contains("left out: link") } == 1)
    }
    #expect(report.skipped == 1)
  }

  @Test(.promise("LINK-7"))
  func `a link whose target is excluded has the content of the target`() async throws {
    _ = try await run({ $0.exclude = ["*.ckpt"] }) { mirror, store in
      try mirror.write("a.ckpt", "one")
      try point(mirror, "last", at: "a.ckpt")
      try await mirror.settle()
      #expect(await store.keys == ["t/last"])
      #expect(await store.text("t/last") == "one")
    }
  }

  @Test(.promise("LINK-7"))
  func `a link waits while a program writes its target`() async throws {
    _ = try await run({ $0.watch = .kernel }) { mirror, store in
      try mirror.write("a", "one")
      try point(mirror, "link", at: "a")
      try await mirror.settle()
      let writer = open(mirror.tree + "/a", O_WRONLY | O_CLOEXEC | O_APPEND)
      try #require(writer >= 0)
      try #require(write(writer, "+", 1) == 1)
      try point(mirror, "link", at: "a")
      try await mirror.lane.flush()
      #expect(await store.text("t/link") == "one")
      close(writer)
      try await mirror.settle()
      #expect(await store.text("t/a") == "one+")
      #expect(await store.text("t/link") == "one+")
    }
  }

  @Test(.promise("LINK-7"))
  func `a target that fails holds its link back until it is on S3`() async throws {
    _ = try await run { mirror, store in
      await store.inject { call, _ in
        call.operation == "PutObject" && call.key == "t/a" ? call.refusal() : nil
      }
      try mirror.write("a", "one")
      try mirror.write("b", "two")
      try point(mirror, "link", at: "a")
      await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
      #expect(await store.keys == ["t/b"])
      await store.inject(nil)
      try await mirror.settle()
      #expect(await store.text("t/link") == "one")
    }
  }

  @Test(.promise("LINK-7"), arguments: [false, true])
  func `a link that moves on while it is published shows no file before the file's own object`(
    serverCopies: Bool
  ) async throws {
    _ = try await run { mirror, store in
      if !serverCopies {
        await store.inject { call, _ in call.operation == "CopyObject" ? call.refusal(status: 501) : nil }
      }
      try mirror.write("epoch=1.ckpt", "step 1")
      try point(mirror, "last.ckpt", at: "epoch=1.ckpt")
      let moved = Latch()
      let isAhead = Atomic(false)
      await store.hold { [unowned mirror] call in
        if await store.text("t/last.ckpt") == "step 2", await store.text("t/epoch=2.ckpt") == nil {
          isAhead.store(true, ordering: .relaxed)
        }
        guard call.operation == "CopyObject", call.key == "t/last.ckpt", await moved.openFirst() else {
          return
        }
        try mirror.write("epoch=2.ckpt", "step 2")
        try point(mirror, "last.ckpt", at: "epoch=2.ckpt")
      }
      try await mirror.settle()
      let shown = serverCopies ? "CopyObject last.ckpt" : "PutObject last.ckpt"
      let changes = await changes(store).filter { serverCopies || $0 != "CopyObject last.ckpt" }
      #expect(changes == ["PutObject epoch=1.ckpt", shown, "PutObject epoch=2.ckpt", shown])
      #expect(await store.text("t/last.ckpt") == "step 2")
      let wasAhead = isAhead.load(ordering: .relaxed)
      #expect(!wasAhead)
    }
  }

  @Test(.promise("LINK-8"))
  func `a server that cannot copy gets the bytes`() async throws {
    _ = try await run { mirror, store in
      await store.inject { call, _ in call.operation == "CopyObject" ? call.refusal(status: 501) : nil }
      try mirror.write("a", "one")
      try point(mirror, "link", at: "a")
      try await mirror.settle()
      #expect(await store.text("t/link") == "one")
    }
  }

  @Test(.promise("LINK-8"))
  func `a target that was there before the run is copied too`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.symlinks = .pointer
    // A younger stamp might hide another write, and then the bytes are sent.
    configuration.fileClock = { wallClockNanoseconds() - 1_000_000_000 }
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      try files.write(tree + "/a", "of old")
    }
    // So late that the entry need not look at the content.
    let hourLater = FakeClock.system() + 3_600_000_000_000
    await store.place("t/a", Array("of old".utf8), lastModified: hourLater)
    try await mirror.start()
    await store.forgetCalls()
    try point(mirror, "link", at: "a")
    try await mirror.settle()
    #expect(await changes(store) == ["CopyObject link"])
    #expect(await store.text("t/link") == "of old")
    #expect(await mirror.finish().failures == [])
    try mirror.removeDirectory()
  }

  @Test(.promise("LINK-7"), arguments: [Duration.zero, .milliseconds(20)])
  func `ticks publish links too`(interval: Duration) async throws {
    _ = try await run(interval: interval) { mirror, store in
      for text in ["one", "two"] {
        try mirror.write("a-" + text, text)
        try point(mirror, "link", at: "a-" + text)
        try await mirror.wait(for: "link", toBe: text, in: store)
      }
    }
  }

  @Test(.promise("LINK-10"))
  func `a comparison finds a link that now leads to an older file of equal size`() async throws {
    // A whole second, so that `Date` shows no difference between the clocks.
    let clock: @Sendable () -> Int64 = { 2_000_000_000_000_000_000 }
    let store = FakeObjectStore(clock: clock)
    var configuration = LaneUnderTest.Configuration()
    configuration.wallClock = clock
    configuration.symlinks = .pointer
    configuration.comparison.suspicionWindow = 0
    let mirror = try await LaneUnderTest(store, configuration) { tree, files in
      for name in ["a", "b"] { try files.write(tree + "/" + name, name) }
    }
    // Each object is later than its file, and the link is later than the objects.
    let date = try mirror.files.status(mirror.tree + "/b").changed + 1
    await store.place("t/a", Array("a".utf8), lastModified: date)
    await store.place("t/b", Array("b".utf8), lastModified: date)
    await store.place("t/link", Array("a".utf8), lastModified: date)
    try blockUntil("the link is later than the objects") {
      try point(mirror, "link", at: "b")
      return try mirror.files.status(mirror.tree + "/link").changed > date
    }
    try await mirror.start()
    #expect(await store.text("t/link") == "b")
    #expect(await mirror.finish().failures == [])
    try mirror.removeDirectory()
  }
}
