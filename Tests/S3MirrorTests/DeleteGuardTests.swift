import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// The guard on deletes, as a whole mirror keeps it.
@Suite struct DeleteGuardTests {
  @Test(.promise("DEL-6"), arguments: Stage.Kind.available)
  func `a root that was empty at entry deletes nothing that lay there`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      for index in 0..<3 { try await stage.put("out/\(index)", "precious") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror in try stage.directory.write("out/new", "x") }
      #expect(try await stage.keys() == ["out/0", "out/1", "out/2", "out/new"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["0", "1", "2"])
    }
  }

  @Test(.promise("DEL-6"))
  func `a one-shot upload of an empty root deletes nothing`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("out/a", "precious")
      try stage.directory.makeDirectory("out")
      let report = try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out")))
      #expect(report?.withheld.map(\.path) == ["a"])
      #expect(try await stage.keys() == ["out/a"])
    }
  }

  @Test(.promise("DEL-5"))
  func `a mount point that was empty when the run began is an empty directory`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/a", "x")
      try stage.directory.makeDirectory("out/mount")
      for name in ["b", "c"] { try await stage.put("out/mount/" + name, "x") }
      let report = try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out")))
      #expect(report?.deleted == 2)
      #expect(try await stage.keys() == ["out/a"])
    }
  }

  @Test(.promise("DEL-6"))
  func `more than half of the objects and more than ten are withheld, unless asked for`() async throws {
    try await Stage.play { stage async throws in
      for index in 0..<11 { try await stage.put("out/\(index)", "x") }
      try stage.directory.write("out/new", "x")
      let spec = MirrorSpec.upload(stage.url("out"), local: stage.local("out"))
      let withheld = try #require(try await stage.uploadOnce(spec))
      #expect(withheld.withheld.count == 11)
      #expect(withheld.withheld.first?.reason.contains("--max-delete") == true)
      #expect(try await stage.keys().count == 12)
      let report = try #require(try await stage.uploadOnce(spec, { $0.maxDelete = .limit(11) }))
      #expect(report.deleted == 11)
      #expect(try await stage.keys() == ["out/new"])
    }
  }

  @Test func `the same bound holds if everything is removed while the body runs`() async throws {
    try await Stage.play { stage async throws in
      // Of an earlier run: of what this run publishes itself the bound says nothing.
      for index in 0..<11 {
        try stage.directory.write("out/\(index)", "x")
        try await stage.put("out/\(index)", "x")
      }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        for index in 0..<11 { try stage.directory.remove("out/\(index)") }
        try await mirror.flush()
        #expect(mirror.status.first?.withheldDeletes == 11)
      }
      #expect(try await stage.keys().count == 11)
      #expect(stage.events.report(of: "out")?.withheld.count == 11)
    }
  }

  @Test func `nothing is deleted below a link that replaced a directory`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/open/file", "x")
      try stage.directory.write("out/closed/file", "x")
      try await stage.put("out/closed/remote", "precious")
      try await stage.put("out/open/remote", "superfluous")
      try stage.directory.rename("out/closed", to: "elsewhere")
      try stage.directory.link("out/closed", to: stage.local("elsewhere"))
      let report = try #require(
        try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out"))))
      #expect(try await stage.keys() == ["out/closed/remote", "out/open/file"])
      #expect(report.withheld == [])
      #expect(report.failures == [])
    }
  }

  @Test func `a root that is replaced while the body runs deletes nothing`() async throws {
    try await Stage.play { stage async throws in
      for name in ["a", "b"] { try stage.directory.write("out/\(name)", "x") }
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.rename("out", to: "old")
        try stage.directory.makeDirectory("out")
      }
      #expect(try await stage.keys() == ["out/a", "out/b"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["a", "b"])
    }
  }

  @Test func `a local path whose link now leads elsewhere is another root`() async throws {
    try await Stage.play { stage async throws in
      for name in ["first/a", "second/b"] { try stage.directory.write(name, "x") }
      try stage.directory.link("out", to: "first")
      try await stage.mirror([
        "out": .upload(stage.url("out"), local: stage.local("out"), interval: nil)
      ]) { mirror async throws in
        try stage.directory.remove("out")
        try stage.directory.link("out", to: "second")
        try await mirror.flush()
        #expect(try await stage.keys() == ["out/a", "out/b"])
      }
      #expect(try await stage.keys() == ["out/a", "out/b"])
      #expect(stage.events.report(of: "out")?.withheld.map(\.path) == ["a"])
    }
  }

  @Test(.promise("DEL-11"))
  func `a listing that ends early deletes nothing`() async throws {
    try await Stage.play(behaviour: .init(pageLimit: 2)) { stage async throws in
      for index in 0..<6 { try await stage.put("out/\(index)", "x") }
      try stage.directory.write("out/0", "x")
      await stage.fake.inject { call, _ in
        guard call.operation == ListObjectsV2.name, call.ordinal == 3 else { return nil }
        return S3Error(
          operation: call.operation, bucket: "bucket", key: nil, status: 500, code: "InternalError",
          message: "")
      }
      let report = try await stage.uploadOnce(.upload(stage.url("out"), local: stage.local("out")))
      #expect(report?.failures.isEmpty == false)
      await stage.fake.inject(nil)
      #expect(try await stage.keys().count == 6)
    }
  }
}
