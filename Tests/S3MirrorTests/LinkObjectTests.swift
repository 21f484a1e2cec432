import Foundation
import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Links as objects of their own: from a tree to the bucket, and back into a tree.
@Suite struct LinkObjectTests {
  private static func asLinks(_ options: inout Options) { options.symlinks = .link }

  private static func upload(_ stage: Stage, delete: Bool = false) -> MirrorSpec {
    .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: delete)
  }

  private static func download(_ stage: Stage, to name: String = "back") async throws {
    try await stage.mirror(["back": .download(stage.url("out"), local: stage.local(name))]) { _ in }
  }

  private static func target(_ stage: Stage, _ name: String) throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: stage.local(name))
  }

  private static func link(_ stage: Stage, _ name: String, to target: String) throws {
    try? FileManager.default.removeItem(atPath: stage.local(name))
    try stage.directory.link(name, to: target)
  }

  private static let links = [
    "last.ckpt": "steps/2.ckpt", "steps/best": "../steps/1.ckpt", "latest-run": "steps",
    "dangling": "nowhere",
    "steps/up": "../last.ckpt",
  ]

  private func makeTree(_ stage: Stage) throws {
    for step in ["1", "2"] { try stage.directory.write("out/steps/\(step).ckpt", "step \(step)") }
    for (name, text) in Self.links { try stage.directory.link("out/" + name, to: text) }
  }

  @Test(.promise("LINK-11", "LINK-12"), arguments: Stage.Kind.available)
  func `links come back as links`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try makeTree(stage)
      let report = try #require(try await stage.uploadOnce(Self.upload(stage), Self.asLinks))
      #expect(report.failures == [])
      #expect(report.skipped == 0)
      #expect(try await stage.text("out/last.ckpt") == "steps/2.ckpt")
      let head = try await stage.store.send(HeadObject(key: stage.prefix + "out/last.ckpt"))
      #expect(head.metadata["s3mirror-symlink"] == "true")
      try await Self.download(stage)
      for (name, text) in Self.links { #expect(try Self.target(stage, "back/" + name) == text) }
      #expect(try stage.directory.text("back/last.ckpt") == "step 2")
      // The second time there is nothing to do on either side.
      try await Self.download(stage)
      let again = try #require(try await stage.uploadOnce(Self.upload(stage), Self.asLinks))
      #expect(again.published == 0)
      #expect(again.failures == [])
    }
  }

  @Test(.promise("LINK-11"), arguments: Stage.Kind.available)
  func `a link that is led elsewhere is published again, after its new target`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try makeTree(stage)
      try await stage.mirror(["out": Self.upload(stage, delete: true)], Self.asLinks) { mirror async throws in
        if stage.isFake { await stage.fake.forgetCalls() }
        try stage.directory.write("out/steps/3.ckpt", "step 3")
        try Self.link(stage, "out/last.ckpt", to: "steps/3.ckpt")
        try stage.directory.remove("out/dangling")
        try await mirror.flush("out")
        #expect(try await stage.text("out/last.ckpt") == "steps/3.ckpt")
        #expect(try await !stage.keys().contains("out/dangling"))
        guard stage.isFake else { return }
        let puts = await stage.fake.calls.filter { $0.operation == "PutObject" }.compactMap(\.key)
        #expect(
          puts.map { String($0.dropFirst(stage.prefix.count)) } == ["out/steps/3.ckpt", "out/last.ckpt"])
        await stage.fake.forgetCalls()
        // The text of the link stays.
        try stage.directory.write("out/steps/3.ckpt", "step 3 again")
        try await mirror.flush("out")
        let later = await stage.fake.calls.filter { $0.operation == "PutObject" }.compactMap(\.key)
        #expect(later.contains { $0.hasSuffix("out/steps/3.ckpt") })
        #expect(!later.contains { $0.hasSuffix("out/last.ckpt") })
      }
      #expect(stage.events.report(of: "out")?.failures == [])
      #expect(stage.events.report(of: "out")?.drift == 0)
    }
  }

  @Test(.promise("LINK-12"))
  func `a link is made only if it stays within the root`() async throws {
    try await Stage.play { stage async throws in
      let texts = [
        "out/abs": "/etc/passwd", "out/up": "../secret", "out/d/up": "../../secret", "out/d/round": "e/../..",
        "out/d/fine": "../d/e",
      ]
      for (key, text) in texts {
        await stage.fake.place(
          stage.prefix + key, Array(text.utf8), metadata: ["s3mirror-symlink": "true"])
      }
      try await stage.put("out/d/e", "data")
      let error = await #expect(throws: MirrorError.self) { try await Self.download(stage) }
      #expect(error?.failures.map(\.path).sorted() == ["abs", "d/round", "d/up", "up"])
      #expect(error?.failures.allSatisfy { $0.reason.contains("symbolic link that is not made") } == true)
      let made = stage.directory.everything().filter { $0.hasPrefix("back/") }
      #expect(made == ["back/d", "back/d/e", "back/d/fine"])
      #expect(try Self.target(stage, "back/d/fine") == "../d/e")
    }
  }

  @Test(.promise("LINK-12"))
  func `a download replaces a file or link by a link, and follows none`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("back/mine", "stays")
      try stage.directory.write("back/file", "goes")
      try Self.link(stage, "back/link", to: "mine")
      for name in ["file", "link"] {
        await stage.fake.place(
          stage.prefix + "out/" + name, Array("other".utf8), metadata: ["s3mirror-symlink": "true"])
      }
      try await stage.put("out/other", "data")
      try await Self.download(stage)
      for name in ["file", "link"] { #expect(try Self.target(stage, "back/" + name) == "other") }
      #expect(try stage.directory.text("back/mine") == "stays")
    }
  }

  @Test(.promise("LINK-13"))
  func `a plan and a verification tell links from files of the same content`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      func plan() async throws -> [String] {
        try await stage.inspect(Self.asLinks) { inspection in
          var lines: [String] = []
          try await inspection.plan([("once", Self.upload(stage))], of: .uploadOnce) {
            lines.append($0.description)
          }
          return lines
        }
      }
      func differences() async throws -> [String] {
        try await stage.inspect(Self.asLinks) { inspection in
          var found: [String] = []
          _ = try await inspection.verify(
            stage.local("out"), against: stage.url("out"), exclude: [], include: [], reading: .never
          ) { found.append("\($0.kind.rawValue) \($0.path)") }
          return found
        }
      }
      // A file with the content of a link, made by another program.
      try await stage.put("out/dangling", "nowhere")
      #expect(try await differences().contains("content dangling"))
      #expect(try await plan().count == 7)
      #expect(try await plan().contains("upload content dangling"))
      _ = try await stage.uploadOnce(Self.upload(stage), Self.asLinks)
      #expect(try await plan() == [])
      #expect(try await differences() == [])
    }
  }

  @Test(.promise("LINK-12"))
  func `a sync keeps a link that was led elsewhere here, and fetches a missing one`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      let spec = MirrorSpec.sync(stage.url("out"), local: stage.local("out"), interval: nil)
      try await stage.mirror(["out": spec], Self.asLinks) { _ in }
      try Self.link(stage, "out/last.ckpt", to: "steps/1.ckpt")
      await stage.fake.place(
        stage.prefix + "out/new", Array("last.ckpt".utf8), metadata: ["s3mirror-symlink": "true"])
      try await stage.mirror(["out": spec], Self.asLinks) { _ in }
      #expect(try Self.target(stage, "out/last.ckpt") == "steps/1.ckpt")
      #expect(try Self.target(stage, "out/new") == "last.ckpt")
      #expect(try await stage.text("out/last.ckpt") == "steps/1.ckpt")
    }
  }
}
