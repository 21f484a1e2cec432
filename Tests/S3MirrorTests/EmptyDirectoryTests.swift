import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Zero-byte keys that end in `/` are directories, written only with `emptyDirectories: .marker`.
@Suite struct EmptyDirectoryTests {
  private func play(
    _ kind: Stage.Kind = .fake, delete: Bool = true, prepare: (Stage) throws -> Void = { _ in },
    _ body: (Stage, MirrorSession) async throws -> Void, after: (Stage) async throws -> Void = { _ in }
  ) async throws {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("out/file", "x")
      try prepare(stage)
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: delete)],
        { $0.emptyDirectories = .marker }
      ) { mirror async throws in
        try await body(stage, mirror)
      }
      try await after(stage)
    }
  }

  @Test(.promise("DIR-2"), arguments: Stage.Kind.available)
  func `an empty directory has a marker, one with files has none`(_ kind: Stage.Kind) async throws {
    try await play(
      kind,
      prepare: { stage in
        try stage.directory.makeDirectory("out/empty")
        try stage.directory.makeDirectory("out/nested/deep/er")
        try stage.directory.write("out/full/file", "x")
      },
      { stage, _ async throws in
        #expect(try await stage.keys() == ["out/empty/", "out/file", "out/full/file", "out/nested/deep/er/"])
      })
  }

  @Test func `without the option no marker is written`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.makeDirectory("out/empty")
      try stage.directory.write("out/file", "x")
      try await stage.mirror(["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)]) {
        mirror async throws in
        try stage.directory.makeDirectory("out/later")
        try await mirror.flush()
      }
      #expect(try await stage.keys() == ["out/file"])
    }
  }

  @Test(.promise("DIR-1"))
  func `markers do not count as files, and have the upload's properties`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.makeDirectory("out/empty")
      try stage.directory.write("out/file", "x")
      let report = try #require(
        try await stage.uploadOnce(
          .upload(
            stage.url("out"), local: stage.local("out"), properties: .init(storageClass: "STANDARD_IA")),
          { $0.emptyDirectories = .marker }))
      #expect(report.published == 1)
      #expect(report.publishedBytes == 1)
      let marker = try #require(await stage.fake.object("\(stage.prefix)out/empty/"))
      #expect(marker.bytes.isEmpty)
      #expect(marker.contentType == "application/x-directory")
      #expect(marker.headers["x-amz-storage-class"] == "STANDARD_IA")
    }
  }

  @Test(.promise("DIR-2"), arguments: Stage.Kind.available)
  func `a pass follows directories that come, fill, empty and go`(_ kind: Stage.Kind) async throws {
    try await play(kind) { stage, mirror async throws in
      try stage.directory.makeDirectory("out/a/b")
      try await mirror.flush()
      #expect(try await stage.keys() == ["out/a/b/", "out/file"])
      try stage.directory.write("out/c/file", "x")
      try await mirror.flush()
      try stage.directory.remove("out/c/file")
      try await mirror.flush()
      #expect(try await stage.keys() == ["out/a/b/", "out/c/", "out/file"])
      try stage.directory.remove("out/c")
      try stage.directory.remove("out/a")
      try await mirror.flush()
      #expect(try await stage.keys() == ["out/file"])
    }
  }

  @Test(.promise("DIR-4"))
  func `a directory that fills keeps its marker until it goes`() async throws {
    try await play(
      prepare: { try $0.directory.makeDirectory("out/empty") },
      { stage, mirror async throws in
        try stage.directory.write("out/empty/file", "x")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/empty/", "out/empty/file", "out/file"])
        try stage.directory.remove("out/empty")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/file"])
      })
  }

  @Test(.promise("DIR-4"))
  func `a renamed directory takes the markers below it along`() async throws {
    try await play(
      prepare: { stage in
        try stage.directory.makeDirectory("out/old/x/y")
        try stage.directory.makeDirectory("out/old/z")
        try stage.directory.write("out/old/file", "x")
      },
      { stage, mirror async throws in
        try stage.directory.rename("out/old", to: "out/new")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/file", "out/new/file", "out/new/x/y/", "out/new/z/"])
      })
  }

  @Test(.promise("DIR-4"))
  func `without delete markers stay, and with it only until the directory is gone`() async throws {
    for delete in [false, true] {
      try await play(
        delete: delete,
        prepare: { try $0.directory.makeDirectory("out/empty") },
        { stage, mirror async throws in
          try stage.directory.remove("out/empty")
          try await mirror.flush()
        },
        after: { stage async throws in
          #expect(try await stage.keys() == (delete ? ["out/file"] : ["out/empty/", "out/file"]))
        })
    }
  }

  @Test(.promise("DIR-3"), arguments: [Options.EmptyDirectories.skip, .marker])
  func `an object with content at a directory's key is neither deleted nor overwritten`(
    markers: Options.EmptyDirectories
  ) async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/file", "x")
      try stage.directory.makeDirectory("out/here")
      try stage.directory.makeDirectory("out/goes")
      for name in ["absent/", "here/", "goes/"] { try await stage.put("out/" + name, "content") }
      try await stage.mirror(
        ["out": .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: true)],
        {
          $0.emptyDirectories = markers
          $0.maxDelete = .unlimited
        }
      ) { mirror async throws in
        try stage.directory.remove("out/goes")
        try await mirror.flush()
      }
      for name in ["absent/", "here/", "goes/"] { #expect(try await stage.text("out/" + name) == "content") }
    }
  }

  @Test(.promise("DIR-4"))
  func `a file that takes the directory's name takes its marker's place`() async throws {
    try await play(
      prepare: { try $0.directory.makeDirectory("out/name") },
      { stage, mirror async throws in
        try stage.directory.remove("out/name")
        try stage.directory.write("out/name", "x")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/file", "out/name"])
      })
  }

  @Test func `a marker that is on S3 is neither sent again nor deleted`() async throws {
    try await play(
      prepare: { stage in
        try stage.directory.makeDirectory("out/empty")
        try stage.directory.makeDirectory("out/other")
      },
      { stage, mirror async throws in
        await stage.fake.forgetCalls()
        // It comes and goes, so the directory is looked at.
        try stage.directory.write("out/empty/short", "x")
        try stage.directory.remove("out/empty/short")
        try await mirror.flush()
        #expect(await stage.fake.count(of: PutObject.name) == 0)
      },
      after: { stage async throws in
        #expect(await stage.fake.count(of: PutObject.name) == 0)
        #expect(await stage.fake.count(of: DeleteObjects.name) == 0)
        #expect(try await stage.keys() == ["out/empty/", "out/file", "out/other/"])
      })
  }

  @Test func `a marker that could not be written is tried again`() async throws {
    try await play { stage, mirror async throws in
      await stage.fake.inject { call, _ in
        guard call.key?.hasSuffix("/") == true else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: call.key, status: 403, code: "AccessDenied",
          message: "")
      }
      try stage.directory.makeDirectory("out/empty")
      let error = await #expect(throws: MirrorError.self) { try await mirror.flush() }
      #expect(error?.failures.map(\.path) == ["empty/"])
      await stage.fake.inject(nil)
      try await mirror.flush()
      #expect(try await stage.keys() == ["out/empty/", "out/file"])
    }
  }

  @Test(.promise("DIR-2"))
  func `excluded directories have no markers, and a directory of excluded files counts as empty`()
    async throws
  {
    try await Stage.play { stage async throws in
      try stage.directory.makeDirectory("out/cache")
      try stage.directory.write("out/logs/a.tmp", "x")
      try stage.directory.makeDirectory("out/links")
      try stage.directory.link("out/links/link", to: "nowhere")
      _ = try await stage.uploadOnce(
        .upload(stage.url("out"), local: stage.local("out"), exclude: ["cache/", "*.tmp"]),
        { $0.emptyDirectories = .marker })
      #expect(try await stage.keys() == ["out/links/", "out/logs/"])
    }
  }

  @Test func `a directory that replaced the one file of an upload has no marker`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("model.bin", "weights")
      try await stage.mirror(
        ["model": .upload(stage.url("x"), local: stage.local("model.bin"), interval: nil, delete: false)],
        { $0.emptyDirectories = .marker }
      ) { mirror async throws in
        try stage.directory.remove("model.bin")
        try stage.directory.makeDirectory("model.bin")
        try await mirror.flush()
      }
      #expect(try await stage.text("x") == "weights")
      #expect(await stage.fake.count(of: PutObject.name) == 1)
    }
  }

  @Test(arguments: Stage.Kind.available)
  func `a download makes the directories again, and counts no files for them`(_ kind: Stage.Kind) async throws
  {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.makeDirectory("out/a/empty")
      try stage.directory.write("out/file", "x")
      _ = try await stage.uploadOnce(
        .upload(stage.url("out"), local: stage.local("out")), { $0.emptyDirectories = .marker })
      try await stage.mirror(["data": .download(stage.url("out"), local: stage.local("data"))]) { _ in }
      let made = stage.directory.everything().filter { $0.hasPrefix("data/") }
      #expect(made == ["data/a", "data/a/empty", "data/file"])
      let downloaded = stage.events.all.compactMap { event -> Int? in
        if case .downloaded(_, let files, _, _) = event { files } else { nil }
      }
      #expect(downloaded == [1])
    }
  }
}
