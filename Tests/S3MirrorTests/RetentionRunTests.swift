import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Old checkpoints go from S3 while a mirror runs and at its end, whatever lies here.
@Suite struct RetentionRunTests {
  private static let names = [".metadata", "__0_0.distcp", "__1_0.distcp", "__2_0.distcp"]

  /// Saves a checkpoint as torch does, but for the files that are left out.
  private func save(_ stage: Stage, _ step: Int, without left: String? = nil) throws {
    for name in Self.names.reversed() where name != left {
      let text = name == ".metadata" ? "__0_0.distcp __1_0.distcp __2_0.distcp" : "\(step) \(name)"
      try stage.directory.write("out/step-\(step)/\(name)", text)
    }
  }

  private func put(_ stage: Stage, _ step: Int) async throws {
    for name in Self.names {
      try await stage.put(
        "out/step-\(step)/" + name, name == ".metadata" ? "__0_0.distcp __1_0.distcp __2_0.distcp" : "x")
    }
  }

  private func keys(of steps: Int..., and others: [String] = []) -> [String] {
    (others + steps.flatMap { step in Self.names.map { "out/step-\(step)/" + $0 } })
      .map { RelativePath($0) }.sorted().map(\.string)
  }

  private func spec(_ stage: Stage, delete: Bool = false) -> MirrorSpec {
    .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: delete)
  }

  @Test(.promise("RET-1", "RET-2", "RET-3", "RET-4"), arguments: Stage.Kind.available)
  func `old checkpoints are removed while the program runs, and are not published again at its end`(
    _ kind: Stage.Kind
  )
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try await stage.mirror(["out": spec(stage)], { $0.keepLast = 2 }) { mirror async throws in
        for step in 1...4 { try save(stage, step) }
        try save(stage, 5, without: "__1_0.distcp")
        try stage.directory.write("out/latest", "step-4")
        try await mirror.flush("out")
        try await eventually("old checkpoints go") {
          try await stage.keys() == keys(of: 3, 4, and: ["out/latest"] + broken)
        }
      }
      #expect(try await stage.keys() == keys(of: 3, 4, and: ["out/latest"] + broken))
      #expect(stage.directory.exists("out/step-1/.metadata"))
      #expect(
        stage.events.notices.contains { $0.contains("2 checkpoints were removed from S3 by retention") })
      #expect(stage.events.report(of: "out")?.drift == 0)
      #expect(stage.events.passes.filter { $0.kind == .retention }.map(\.deleted) == [8])
    }
  }

  /// Of a checkpoint without one of its files.
  private var broken: [String] {
    Self.names.filter { $0 != "__1_0.distcp" }.map { "out/step-5/" + $0 }
  }

  @Test(.promise("RET-1", "RET-2"))
  func `checkpoints that a file names, that are multiples, or that another writer changed stay`() async throws
  {
    try await Stage.play { stage async throws in
      for step in 1...8 { try await put(stage, step) }
      try await stage.put("out/latest", "step-2")
      try await stage.mirror(
        [
          "out": spec(stage)
        ],
        {
          $0.keepLast = 2
          $0.keepEvery = 5
          $0.maxDelete = .unlimited
        }
      ) { _ in
        try await stage.put("out/step-3/__0_0.distcp", "of another writer")
      }
      #expect(try await stage.keys() == keys(of: 2, 3, 5, 7, 8, and: ["out/latest"]))
      let report = try #require(stage.events.report(of: "out"))
      #expect(report.deleted == 12)
      #expect(report.withheld.map(\.path) == ["step-3/__0_0.distcp"])
    }
  }

  @Test(.promise("RET-4"))
  func `retention deletes no more than the bound allows, and a plan shows the same`() async throws {
    try await Stage.play { stage async throws in
      for step in 1...8 { try await put(stage, step) }
      try stage.directory.write("out/log", "x")
      func plan(_ change: (inout Options) -> Void) async throws -> [String] {
        var actions: [String] = []
        let store = stage.fake
        let inspection = try Inspection(options: stage.options(change)) { _, _, _ in FakeBuckets(store: store)
        }
        _ = try await S3Mirror.plan([(name: "out", spec: spec(stage))], of: .scope, in: inspection) {
          action in
          if action.kind != .upload { actions.append("\(action)") }
        }
        return actions
      }
      let withheld = try await plan { $0.keepLast = 2 }
      #expect(withheld.count == 24)
      #expect(withheld.allSatisfy { $0.contains("24 of 32 objects would go") })
      try await stage.mirror(["out": spec(stage)], { $0.keepLast = 2 }) { _ in }
      #expect(stage.events.report(of: "out")?.withheldDeletes == 24)
      #expect(try await stage.keys().count == 33)

      let planned = try await plan {
        $0.keepLast = 2
        $0.maxDelete = .unlimited
      }
      #expect(planned.count == 24)
      #expect(planned.first?.hasPrefix("delete retention step-") == true)
      #expect(
        planned.prefix(6).allSatisfy { $0.hasSuffix("/.metadata") }, "markers go before data: \(planned)")
      try await stage.mirror(
        ["out": spec(stage)],
        {
          $0.keepLast = 2
          $0.maxDelete = .unlimited
        }
      ) { _ in }
      #expect(try await stage.keys() == keys(of: 7, 8, and: ["out/log"]))
    }
  }

  @Test(.promise("RET-4"))
  func `a program that fails removes nothing, and neither does a failed upload`() async throws {
    struct Failure: Error {}
    try await Stage.play { stage async throws in
      for step in 1...3 { try await put(stage, step) }
      await #expect(throws: Failure.self) {
        try await stage.mirror(["out": spec(stage)], { $0.keepLast = 2 }) { _ in throw Failure() }
      }
      #expect(try await stage.keys() == keys(of: 1, 2, 3))
      try stage.directory.write("out/refused", "x")
      await stage.fake.hold { call in
        if call.operation == "PutObject" { throw call.refusal(status: 403, code: "AccessDenied") }
      }
      await #expect(throws: MirrorError.self) {
        try await stage.mirror(["out": spec(stage)], { $0.keepLast = 2 }) { _ in }
      }
      #expect(try await stage.keys() == keys(of: 1, 2, 3))
    }
  }

  @Test(arguments: [(1, nil), (2, 0), (nil, 10)] as [(Int?, Int64?)])
  func `impossible numbers are refused`(last: Int?, every: Int64?) {
    var options = Options()
    options.keepLast = last
    options.keepEvery = every
    #expect(throws: MirrorError.self) { try options.check() }
  }
}
