import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing
import TransferLog

@testable import S3Mirror

/// Downloads write commit markers after the data that they speak for.
@Suite struct MarkerDownloadTests {
  private func download(_ stage: Stage, delete: Bool = false) async throws {
    let spec = MirrorSpec.download(stage.url("data"), local: stage.local("data"), delete: delete)
    try await stage.mirror(["data": spec]) { _ in }
  }

  private func sync(_ stage: Stage) async throws {
    let spec = MirrorSpec.sync(stage.url("data"), local: stage.local("data"), interval: nil, delete: false)
    try await stage.mirror(["data": spec]) { _ in }
  }

  private func fetched(_ stage: Stage) async -> [String] {
    await stage.fake.calls.filter { $0.operation == GetObject.name }
      .compactMap { $0.key.map { String($0.dropFirst(stage.prefix.count + "data/".count)) } }
  }

  @Test(.promise("DOWN-14"))
  func `data come first, then markers from the deepest directory up`() async throws {
    try await Stage.play { stage async throws in
      for key in ["latest", "s1/.metadata", "s1/a", "s1/deep/DONE", "s1/deep/z", "z"] {
        try await stage.put("data/" + key, key)
      }
      try await download(stage)
      let order = await fetched(stage)
      #expect(Set(order.prefix(3)) == ["s1/a", "s1/deep/z", "z"])
      #expect(order.dropFirst(3) == ["s1/deep/DONE", "s1/.metadata", "latest"])
    }
  }

  @Test(.promise("DOWN-14"))
  func `data that failed hold back the markers above them, and no others`() async throws {
    try await Stage.play { stage async throws in
      for key in ["latest", "s1/.metadata", "s1/a", "s2/.metadata", "s2/a"] {
        try await stage.put("data/" + key, key)
      }
      await stage.fake.inject { call, _ in
        call.operation == GetObject.name && call.key?.hasSuffix("s1/a") == true ? call.refusal() : nil
      }
      let error = await #expect(throws: MirrorError.self) { try await download(stage) }
      #expect(error?.failures.map(\.path) == ["s1/a", "s1/.metadata", "latest"])
      #expect(error?.failures.last?.reason == "it waits for s1/a, which could not be fetched")
      #expect(stage.directory.exists("data/s2/.metadata"))
      #expect(!stage.directory.exists("data/s1/.metadata"))
      #expect(!stage.directory.exists("data/latest"))
      await stage.fake.inject(nil)
      try await download(stage)
      #expect(try stage.directory.text("data/latest") == "latest")
    }
  }

  @Test(.promise("DOWN-14"), arguments: ["a//b", "../b", "e/"])
  func `a refused key holds markers back`(_ key: String) async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/" + key, "x")
      try await stage.put("data/latest", "x")
      _ = await #expect(throws: MirrorError.self) { try await download(stage) }
      #expect(!stage.directory.exists("data/latest"))
    }
  }

  @Test(.promise("DOWN-15"))
  func `a local marker is removed before data under it are replaced, but not before new data are fetched`()
    async throws
  {
    try await Stage.play { stage async throws in
      try await stage.put("data/s1/a", "old")
      try await stage.put("data/latest", "s1")
      try await download(stage)
      // A newer checkpoint beside the old one: the old pointer stays as long as the new one cannot come.
      try await stage.put("data/s2/a", "new")
      try await stage.put("data/latest", "s2")
      await stage.fake.inject { call, _ in
        call.operation == GetObject.name && call.key?.hasSuffix("latest") == true ? call.refusal() : nil
      }
      _ = await #expect(throws: MirrorError.self) { try await download(stage) }
      #expect(try stage.directory.text("data/latest") == "s1")
      #expect(try stage.directory.text("data/s2/a") == "new")
      // The checkpoint that it names is written over.
      try await stage.put("data/s1/a", "other")
      _ = await #expect(throws: MirrorError.self) { try await download(stage) }
      #expect(try stage.directory.text("data/s1/a") == "other")
      #expect(!stage.directory.exists("data/latest"))
      await stage.fake.inject(nil)
      try await download(stage)
      #expect(try stage.directory.text("data/latest") == "s2")
    }
  }

  @Test(.promise("DOWN-15"))
  func `a local marker equal to the one on S3 is removed before missing data are fetched`() async throws {
    try await Stage.play { stage async throws in
      for key in ["s1/a", "s1/b", "s1/DONE"] { try await stage.put("data/" + key, key) }
      try await download(stage)
      for name in ["data/s1/a", "data/s1/b"] { try stage.directory.remove(name) }
      await stage.fake.inject { call, _ in
        call.operation == GetObject.name && call.key?.hasSuffix("b") == true ? call.refusal() : nil
      }
      _ = await #expect(throws: MirrorError.self) { try await download(stage) }
      #expect(stage.directory.exists("data/s1/a"))
      #expect(!stage.directory.exists("data/s1/DONE"))
    }
  }

  @Test(.promise("DOWN-15"))
  func `a local marker that is not on S3 stays`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "new")
      try stage.directory.write("data/a", "mine")
      try stage.directory.write("data/DONE", "mine")
      try await download(stage)
      #expect(try stage.directory.text("data/a") == "new")
      #expect(try stage.directory.text("data/DONE") == "mine")
    }
  }

  @Test(.promise("DOWN-15"))
  func `a sync fetches a marker again that a killed sync had removed`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/a", "old")
      try await stage.put("data/DONE", "done")
      try await sync(stage)
      // The object is later than the file, so it wins.
      await stage.fake.place(
        stage.prefix + "data/a", Array("new".utf8), lastModified: 4_000_000_000_000_000_000)
      await stage.fake.inject { call, _ in
        call.operation == GetObject.name && call.key?.hasSuffix("DONE") == true ? call.refusal() : nil
      }
      _ = await #expect(throws: MirrorError.self) { try await sync(stage) }
      #expect(!stage.directory.exists("data/DONE"))
      await stage.fake.inject(nil)
      try await sync(stage)
      #expect(try stage.directory.text("data/a") == "new")
      #expect(try stage.directory.text("data/DONE") == "done")
    }
  }

  @Test(.promise("DOWN-15"))
  func `a sync leaves a local marker that is newer`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/log", "old")
      try await stage.put("data/latest", "s1")
      try await sync(stage)
      try stage.directory.write("data/latest", "s2, which nobody has published")
      await stage.fake.place(
        stage.prefix + "data/log", Array("longer".utf8), lastModified: 4_000_000_000_000_000_000)
      try await sync(stage)
      #expect(try stage.directory.text("data/log") == "longer")
      #expect(try stage.directory.text("data/latest") == "s2, which nobody has published")
    }
  }

  @Test(.promise("DOWN-16"))
  func `local deletes take markers before their data`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/kept", "x")
      for name in ["s1/a", "s1/.metadata", "latest"] { try stage.directory.write("data/" + name, "x") }
      let spec = MirrorSpec.download(stage.url("data"), local: stage.local("data"), delete: true)
      try await stage.mirror(["data": spec], { $0.logDirectory = stage.local("log") }) { _ in }
      var deleted: [String] = []
      try TransferLogReader(directory: FilePath(stage.local("log"))).forEach { record in
        if record.operation == .deleteLocal { deleted.append(record.path ?? "") }
      }
      #expect(deleted == ["latest", "s1/.metadata", "s1/a"])
    }
  }

  @Test(.promise("DOWN-16"))
  func `data stay if their marker was written meanwhile and stays`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("data/new", "x")
      for name in ["s1/a", "s1/.metadata", "s2/a"] { try stage.directory.write("data/" + name, "x") }
      await stage.fake.hold { call in
        if call.operation == "GetObject" { try stage.directory.write("data/s1/.metadata", "rewritten") }
      }
      let spec = MirrorSpec.download(stage.url("data"), local: stage.local("data"), delete: true)
      try await stage.mirror(["data": spec]) { _ in }
      #expect(stage.directory.exists("data/s1/a"))
      #expect(try stage.directory.text("data/s1/.metadata") == "rewritten")
      #expect(!stage.directory.exists("data/s2/a"))
      #expect(stage.directory.exists("data/new"))
    }
  }
}
