import Foundation
import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Which paths become which keys.
@Suite struct NamesTests {
  /// Bytes that URLs, XML, shells and Swift strings treat specially. SeaweedFS takes `\` for `/`, so it is not here.
  static let oddNames = [
    "with space", "plus+plus", "50%25", "a&b", "hash#tag", "it's \"quoted\"", "emoji \u{1F680}", "caf\u{e9}",
    "cafe\u{301}", "<xml>", "question?x=1", "semi;colon", "til~de", "comma,equals=", "at@sign:colon",
    "tab\tin",
    "-dash", "deep/er/with space/\u{4f60}\u{597d}",
  ]

  @Test(arguments: Stage.Kind.available)
  func `unusual names are uploaded and downloaded unchanged`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      for name in Self.oddNames { try stage.directory.write("out/" + name, name) }
      let report = try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out")))
      #expect(report?.published == Self.oddNames.count)
      let expected = Self.oddNames.map { RelativePath("out/" + $0) }.sorted()
      #expect(try await stage.keys().map { RelativePath($0) } == expected)
      try await stage.mirror(["back": .download(stage.url("out"), local: stage.local("back"))]) {
        _ async throws in
        for name in Self.oddNames { #expect(try stage.directory.text("back/" + name) == name) }
      }
    }
  }

  @Test(
    .enabled(if: Stage.serverBucket != nil && ProcessInfo.processInfo.environment["S3MIRROR_PYTHON"] != nil))
  func `boto3 sees the names byte for byte`() async throws {
    try await Stage.play(.server) { stage async throws in
      for name in Self.oddNames { try stage.directory.write("out/" + name, name) }
      _ = try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out")))
      let script = """
        import boto3, os, sys
        bucket, prefix = sys.argv[1:3]
        client = boto3.client("s3", endpoint_url=os.environ["S3MIRROR_TEST_ENDPOINT"])
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for key in sorted(each["Key"] for page in pages for each in page.get("Contents", ())):
            body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            print(key[len(prefix):].encode().hex(), body.hex())
        """
      let python = try #require(ProcessInfo.processInfo.environment["S3MIRROR_PYTHON"])
      let seen = try await output(of: python, ["-c", script, stage.bucket, stage.prefix + "out/"])
      let expected = Self.oddNames.map { name in
        let hex = name.utf8.map { String(format: "%02x", Int($0)) }.joined()
        return "\(hex) \(hex)"
      }
      #expect(seen.split(separator: "\n").map(String.init).sorted() == expected.sorted())
    }
  }

  @Test(arguments: Stage.Kind.available)
  func `a name that is not UTF-8 is reported, and the rest goes on`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("out/good", "x")
      let bytes = stage.directory["out/bad"].utf8CString.dropLast() + [CChar(bitPattern: 0xff), 0]
      let descriptor = open(Array(bytes), O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)
      #expect(descriptor >= 0)
      close(descriptor)
      let report = try #require(
        try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out"))))
      #expect(report.failures.count == 1)
      #expect(report.failures.first?.reason.contains("not UTF-8") == true)
      #expect(try await stage.keys() == ["out/good"])
    }
  }

  @Test(.promise("LINK-1"), arguments: Stage.Kind.available)
  func `symbolic links and FIFOs are left out and counted`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("out/file", "x")
      try stage.directory.link("out/link", to: "file")
      #expect(mkfifo(stage.directory["out/fifo"], 0o600) == 0)
      let report = try #require(
        try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out"))) {
          $0.symlinks = .skip
        })
      #expect(report.skipped == 2)
      #expect(report.failures.isEmpty)
      #expect(try await stage.keys() == ["out/file"])
    }
  }

  @Test(arguments: Stage.Kind.available)
  func `a file is uploaded to the key, or below a prefix that ends in a slash`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("model.bin", "weights")
      try stage.directory.write("beside", "not asked for")
      _ = try await stage.uploadOnce(.upload(stage.url("exact"), local: stage.local("model.bin")))
      _ = try await stage.uploadOnce(.upload(stage.url("dir/"), local: stage.local("model.bin")))
      #expect(try await stage.keys() == ["dir/model.bin", "exact"])
    }
  }

  @Test(arguments: Stage.Kind.available)
  func `one file can be watched, and its neighbours are neither uploaded nor deleted`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try stage.directory.write("model[1].bin", "first")
      try await stage.put("x/other", "stays")
      try await stage.put("x-neighbour", "stays")
      try await stage.mirror([
        "model": .upload(stage.url("x"), local: stage.local("model[1].bin"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.write("model[1].bin", "second")
        try stage.directory.write("model1.bin", "not asked for")
        try await mirror.flush()
        #expect(try await stage.text("x") == "second")
      }
      // A filesystem behind the server cannot hold both an object and a prefix of one name.
      #expect(try await stage.keys().filter { $0 != "x/other" } == ["x", "x-neighbour"])
    }
  }

  @Test func `a prefix does not include keys that only begin like it`() async throws {
    try await Stage.play { stage async throws in
      for key in ["data/a", "data2/b", "data.txt"] { try await stage.put(key, "x") }
      try stage.directory.write("out/a", "x")
      try await stage.mirror(["data": .download(stage.url("data"), local: stage.local("data"))]) {
        _ async throws in
        #expect(stage.directory.everything().filter { $0.hasPrefix("data/") } == ["data/a"])
      }
      _ = try await stage.uploadOnce(
        .upload(stage.url("data"), local: stage.local("out")), { $0.maxDelete = .unlimited })
      #expect(try await stage.keys() == ["data.txt", "data/a", "data2/b"])
    }
  }

  @Test(.promise("DB-2"), arguments: Stage.Kind.available)
  func `excluded files are neither uploaded nor deleted`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.put("out/logs/remote.log", "stays")
      try stage.directory.write("out/logs/local.log", "not pushed")
      try stage.directory.write("out/weights", "x")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), exclude: ["*.log"])
      ]) { mirror async throws in
        try stage.directory.write("out/more.log", "not pushed")
        try stage.directory.write("out/more", "x")
      }
      #expect(try await stage.keys() == ["out/logs/remote.log", "out/more", "out/weights"])
    }
  }
}
