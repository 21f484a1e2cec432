import Foundation
import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Links to files of the tree, from the options to the bucket. `pointer` is the default.
@Suite struct PointerTests {
  private static func plan(
    _ stage: Stage, _ spec: MirrorSpec, _ change: (inout Options) -> Void = { _ in }
  ) async throws -> [String] {
    var lines: [String] = []
    try await stage.inspect(change) { inspection in
      try await inspection.plan([("once", spec)], of: .uploadOnce) { lines.append($0.description) }
    }
    return lines
  }

  private static func differences(_ stage: Stage) async throws -> [String] {
    var found: [String] = []
    try await stage.inspect { inspection in
      _ = try await inspection.verify(
        stage.local("out"), against: stage.url("out"), exclude: [], include: [], reading: .never
      ) { found.append("\($0.kind.rawValue) \($0.path)") }
    }
    return found
  }

  private static func upload(_ stage: Stage, delete: Bool = false) -> MirrorSpec {
    .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: delete)
  }

  /// As Lightning saves: `last.ckpt` leads to the newest checkpoint.
  private func save(_ stage: Stage, _ step: Int) throws {
    try stage.directory.write("out/epoch=0-step=\(step).ckpt", "weights of \(step)")
    if stage.directory.exists("out/last.ckpt") { try stage.directory.remove("out/last.ckpt") }
    try stage.directory.link("out/last.ckpt", to: "epoch=0-step=\(step).ckpt")
  }

  @Test(.promise("LINK-7", "LINK-8"), arguments: Stage.Kind.available)
  func `a link that follows the newest checkpoint has the content of that checkpoint`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try save(stage, 1)
      try await stage.mirror(["out": Self.upload(stage)]) { mirror async throws in
        #expect(try await stage.text("out/last.ckpt") == "weights of 1")
        for step in 2...4 {
          try save(stage, step)
          try await mirror.flush("out")
          #expect(try await stage.text("out/last.ckpt") == "weights of \(step)")
        }
      }
      let keys = (1...4).map { "out/epoch=0-step=\($0).ckpt" } + ["out/last.ckpt"]
      #expect(try await stage.keys() == keys)
      #expect(stage.events.report(of: "out")?.failures == [])
      #expect(stage.events.report(of: "out")?.skipped == 0)
    }
  }

  @Test(.promise("LINK-7", "LINK-1"), arguments: Stage.Kind.available)
  func `one upload without a watch publishes pointers, and leaves other links out`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try save(stage, 1)
      try stage.directory.write("out/d/file", "x")
      try stage.directory.link("out/latest-run", to: "d")
      let report = try #require(try await stage.uploadOnce(Self.upload(stage)))
      #expect(report.skipped == 1)
      #expect(report.failures == [])
      #expect(
        try await stage.keys() == ["out/d/file", "out/epoch=0-step=1.ckpt", "out/last.ckpt"])
      #expect(try await stage.text("out/last.ckpt") == "weights of 1")
    }
  }

  @Test(.promise("LINK-10"))
  func `a plan reports the class of a pointer, and a second run does nothing`() async throws {
    try await Stage.play { stage async throws in
      try save(stage, 1)
      try stage.directory.write("out/DONE", "x")
      #expect(
        try await Self.plan(stage, Self.upload(stage)) == [
          "upload new epoch=0-step=1.ckpt", "upload new last.ckpt (pointer)", "upload new DONE (marker)",
        ])
      _ = try await stage.uploadOnce(Self.upload(stage))
      #expect(try await Self.plan(stage, Self.upload(stage)) == [])
      let report = try #require(try await stage.uploadOnce(Self.upload(stage)))
      #expect(report.published == 0)
    }
  }

  @Test(.promise("LINK-10"))
  func `a verification compares a pointer with the content of its target`() async throws {
    try await Stage.play { stage async throws in
      try save(stage, 1)
      try stage.directory.write("out/other", "weights of 2")
      _ = try await stage.uploadOnce(Self.upload(stage))
      #expect(try await Self.differences(stage) == [])
      try stage.directory.remove("out/last.ckpt")
      try stage.directory.link("out/last.ckpt", to: "other")
      #expect(try await Self.differences(stage) == ["content last.ckpt"])
      try stage.directory.remove("out/last.ckpt")
      #expect(try await Self.differences(stage) == ["extra last.ckpt"])
    }
  }

  @Test(.promise("LINK-7"))
  func `a link that led to another file while no mirror ran is published at entry`() async throws {
    try await Stage.play { stage async throws in
      try save(stage, 1)
      try save(stage, 2)
      _ = try await stage.uploadOnce(Self.upload(stage))
      #expect(try await stage.text("out/last.ckpt") == "weights of 2")
      // Back to the older checkpoint, of equal size.
      try stage.directory.remove("out/last.ckpt")
      try stage.directory.link("out/last.ckpt", to: "epoch=0-step=1.ckpt")
      try await stage.mirror(["out": Self.upload(stage)]) { _ async throws in
        #expect(try await stage.text("out/last.ckpt") == "weights of 1")
      }
    }
  }

  @Test(.promise("LINK-9"), arguments: [true, false])
  func `a pointer is deleted with its link, if delete is on`(isDeleting: Bool) async throws {
    try await Stage.play { stage async throws in
      try save(stage, 1)
      try await stage.mirror(["out": Self.upload(stage, delete: isDeleting)]) { mirror async throws in
        try stage.directory.remove("out/last.ckpt")
        try await mirror.flush("out")
        #expect(try await stage.keys().contains("out/last.ckpt") == !isDeleting)
      }
      #expect(try await stage.keys().contains("out/epoch=0-step=1.ckpt"))
    }
  }

  @Test(.promise("LINK-10"))
  func `a sync goes on with its own links`() async throws {
    try await Stage.play { stage async throws in
      let spec = MirrorSpec.sync(stage.url("out"), local: stage.local("out"), interval: nil)
      try save(stage, 1)
      try await stage.mirror(["out": spec]) { _ in }
      // The target is gone too, as after a crash in the middle of a rotation.
      try save(stage, 2)
      try stage.directory.remove("out/epoch=0-step=2.ckpt")
      try await stage.mirror(["out": spec]) { _ async throws in
        let link = try FileManager.default.destinationOfSymbolicLink(atPath: stage.local("out/last.ckpt"))
        #expect(link == "epoch=0-step=2.ckpt")
        #expect(try await stage.text("out/last.ckpt") == "weights of 1")
      }
      #expect(stage.events.report(of: "out")?.failures == [])
    }
  }

  @Test(.promise("RET-2"))
  func `retention keeps the checkpoint to which a link leads`() async throws {
    try await Stage.play { stage async throws in
      func save(_ step: Int) throws {
        try stage.directory.write("out/step-\(step)/model.pt", "\(step)")
        try stage.directory.write("out/step-\(step)/DONE", "\(step)")
      }
      try save(1)
      try stage.directory.link("out/best.pt", to: "step-1/model.pt")
      try await stage.mirror(["out": Self.upload(stage)], { $0.keepLast = 2 }) { mirror async throws in
        for step in 2...4 { try save(step) }
        try await mirror.flush("out")
      }
      let steps = [1, 3, 4].flatMap { ["out/step-\($0)/DONE", "out/step-\($0)/model.pt"] }
      #expect(try await stage.keys() == ["out/best.pt"] + steps)
      let plan = try await Self.plan(stage, Self.upload(stage)) { $0.keepLast = 2 }
      #expect(plan.filter { $0.contains("step-1") } == [])
    }
  }

  @Test(.promise("LINK-7"))
  func `a link to a log that is open has the log's content when the log is closed`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("out/run/debug.log", "one")
      try stage.directory.link("out/debug.log", to: "run/debug.log")
      try await stage.mirror(["out": Self.upload(stage)]) { mirror async throws in
        let writer = open(stage.local("out/run/debug.log"), O_WRONLY | O_CLOEXEC | O_APPEND)
        try #require(writer >= 0)
        try #require(write(writer, " two", 4) == 4)
        try await mirror.flush("out")
        #expect(try await stage.text("out/debug.log") == "one")
        close(writer)
        try await mirror.flush("out")
        #expect(try await stage.text("out/debug.log") == "one two")
      }
    }
  }
}
