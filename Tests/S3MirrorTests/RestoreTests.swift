import Foundation
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Which checkpoint a restore brings, and what comes with it.
@Suite struct RestoreTests {
  private func restore(_ stage: Stage, unit: String? = nil, to local: String = "out") async throws
    -> RestoredCheckpoint
  {
    let scope = try stage.scope()
    do {
      let spec = MirrorSpec.download(stage.url("run"), local: stage.local(local))
      let restored = try await scope.restore(spec, unit: unit, name: "restore")
      await scope.close()
      return restored
    } catch {
      await scope.close()
      throw error
    }
  }

  private func list(_ stage: Stage) async throws -> [Checkpoint] {
    let scope = try stage.scope()
    do {
      let found = try await scope.checkpoints(of: .download(stage.url("run")), name: "restore")
      await scope.close()
      return found
    } catch {
      await scope.close()
      throw error
    }
  }

  /// Puts files one after the other, each a second later than the one before.
  private func put(_ stage: Stage, _ files: FrameworkRow.Files, from second: inout Int64) async {
    for (path, text) in files {
      second += 1
      await stage.fake.place(
        stage.prefix + "run/" + path, Array(text.utf8), lastModified: second * 1_000_000_000)
    }
  }

  private func files(_ stage: Stage, in directory: String = "out") -> [String: String] {
    var found: [String: String] = [:]
    for name in stage.directory.everything() where name.hasPrefix(directory + "/") {
      if let text = try? stage.directory.text(name) {
        found[String(name.dropFirst(directory.count + 1))] = text
      }
    }
    return found
  }

  @Test(.promise("RST-1", "RST-4"), arguments: FrameworkRow.all)
  func `the newest complete checkpoint is restored, and three incomplete ones are not`(row: FrameworkRow)
    async throws
  {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(stage, row.files, from: &second)
      await put(stage, row.others, from: &second)
      for broken in row.broken { await put(stage, broken.files, from: &second) }
      #expect(Set(row.broken.map(\.flaw)).count == 3)
      let listed = try await list(stage)
      #expect(listed.filter { $0.state == .complete }.map(\.name) == [row.unit], "\(listed)")
      let restored = try await restore(stage)
      #expect(restored.checkpoint.name == row.unit)
      #expect(restored.path.string == stage.local("out/" + row.unit))
      let expected = Dictionary(uniqueKeysWithValues: row.files.map { ($0.key, $0.value) })
      #expect(files(stage) == expected)
      // Nothing is fetched twice.
      let again = try await restore(stage)
      #expect(again.files == 0)
      #expect(again.unchanged == restored.files)
      #expect(files(stage) == expected)
    }
  }

  /// A whole file that no tracker names is complete where there is no tracker.
  private static let rowsWithoutTrackedFiles = FrameworkRow.all.filter { row in
    !row.files.contains { $0.key == "last_checkpoint" }
  }

  @Test(.promise("RST-5"), arguments: rowsWithoutTrackedFiles)
  func `without a complete checkpoint nothing is restored, and each of the newest has its reason`(
    row: FrameworkRow
  )
    async throws
  {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      for broken in row.broken { await put(stage, broken.files, from: &second) }
      let error = await #expect(throws: MirrorError.self) { _ = try await restore(stage) }
      #expect(error?.kind == .incomplete)
      #expect(error?.failures.count == (try await list(stage)).count)
      #expect(error?.failures.allSatisfy { !$0.reason.isEmpty } == true)
      #expect(files(stage).isEmpty)
    }
  }

  // MARK: Choosing

  @Test(.promise("RST-1"))
  func `a named checkpoint may be older or without a marker, but not incomplete`()
    async throws
  {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(
        stage,
        [
          "global_step1/a": "1", "global_step2/a": "2", "latest": "global_step2",
          "global_step3/a-00001-of-00002": "3",
        ], from: &second)
      #expect(try await restore(stage, unit: "global_step1").checkpoint.state == .unproved)
      // The pointer names another one.
      #expect(files(stage) == ["global_step1/a": "1"])
      #expect(try await restore(stage, unit: "global_step2/").checkpoint.namedBy == ["latest"])
      #expect(files(stage)["latest"] == "global_step2")
      let error = await #expect(throws: MirrorError.self) {
        _ = try await restore(stage, unit: "global_step3")
      }
      #expect(error?.kind == .incomplete)
      let unknown = await #expect(throws: MirrorError.self) { _ = try await restore(stage, unit: "step9") }
      #expect(unknown?.kind == .local)
    }
  }

  @Test(.promise("RST-1"))
  func `in one series the highest step is the newest, whatever the dates are`() async throws {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(
        stage,
        [
          "old/step-9000/.metadata": "x", "new/step-1000/.metadata": "x", "new/step-900/.metadata": "x",
          "new/step-20/.metadata": "x",
        ], from: &second)
      #expect(
        try await list(stage).map(\.name) == [
          "new/step-1000", "new/step-900", "new/step-20", "old/step-9000",
        ])
      #expect(try await restore(stage).checkpoint.name == "new/step-1000")
    }
  }

  @Test func `a remote that is one checkpoint is restored as it is`() async throws {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(
        stage, ["_CHECKPOINT_METADATA": "{}", "default/d/c/0/0": "a", "default/d/c/1/0": "b"], from: &second)
      let restored = try await restore(stage)
      #expect(restored.checkpoint.name == ".")
      #expect(restored.path.string == stage.local("out"))
      #expect(files(stage).count == 3)
    }
  }

  @Test func `a remote of one object and a remote of none are different errors`() async throws {
    try await Stage.play { stage async throws in
      let nothing = await #expect(throws: MirrorError.self) { _ = try await restore(stage) }
      #expect(nothing?.kind == .local)
      try await stage.put("run", "an object")
      let object = await #expect(throws: MirrorError.self) { _ = try await restore(stage) }
      #expect(object?.kind == .invalid)
      #expect(object?.message.contains("is one object") == true)
    }
  }

  // MARK: What lies here

  @Test(.promise("RST-3"))
  func `a local tracker is removed if its checkpoint is missing, and stays if its checkpoint is here`()
    async throws
  {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(stage, ["step_5/.metadata": "x", "step_5/a": "5"], from: &second)
      try stage.directory.write("out/latest", "step_7")
      _ = try await restore(stage)
      #expect(!stage.directory.exists("out/latest"))
      try stage.directory.write("out/latest", "step_7")
      try stage.directory.write("out/step_7/a", "mine")
      _ = try await restore(stage)
      #expect(try stage.directory.text("out/latest") == "step_7")
      #expect(stage.events.notices.contains { $0.contains("latest here names step_7 and not step_5") })
    }
  }

  @Test(.promise("RST-2"))
  func `files of the checkpoint that are already right are not fetched again`() async throws {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(stage, ["step_5/.metadata": "x", "step_5/a": "5", "step_5/b": "6"], from: &second)
      _ = try await restore(stage)
      try stage.directory.write("out/step_5/b", "other")
      let again = try await restore(stage)
      #expect(try stage.directory.text("out/step_5/b") == "6")
      // The marker went with the data that changed.
      #expect(again.files == 2)
      #expect(again.unchanged == 1)
    }
  }

  @Test(.promise("RST-2"))
  func `an in-progress mark that was left here is removed when the checkpoint is restored`() async throws {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(stage, ["m-step=5/.metadata": "x", "m-step=5/a": "5"], from: &second)
      try stage.directory.write("out/m-step=5-unfinished")
      try stage.directory.write("out/m-step=5/a", "half")
      _ = try await restore(stage)
      #expect(files(stage) == ["m-step=5/.metadata": "x", "m-step=5/a": "5"])
    }
  }

  /// NeMo takes `-EMA` off a checkpoint's name, too, to make that of its mark.
  @Test(.promise("RST-2", "RST-4"))
  func `an in-progress mark covers averaged weights, and may have a pattern of its own`() async throws {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(
        stage, ["m-step=5-EMA.ckpt": "5", "m-step=6.ckpt": "6", "m-step=6.writing": ""], from: &second)
      try stage.directory.write("out/m-step=5-unfinished")
      let scope = try stage.scope { $0.inProgressNames.append("*.writing") }
      let restored = try await scope.restore(
        .download(stage.url("run"), local: stage.local("out")), unit: nil, name: "restore")
      await scope.close()
      #expect(restored.checkpoint.name == "m-step=5-EMA.ckpt")
      #expect(files(stage) == ["m-step=5-EMA.ckpt": "5"])
      #expect(stage.events.notices.contains { $0.contains("m-step=6.writing says") })
    }
  }

  @Test func `empty directories of a checkpoint are restored too`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("run/step_5/.metadata", "x")
      try await stage.put("run/step_5/empty/", "")
      _ = try await restore(stage)
      #expect(stage.directory.exists("out/step_5/empty"))
    }
  }

  @Test(.promise("RST-2"))
  func `a failed restore leaves no checkpoint, and the next restore continues it`() async throws {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(
        stage, ["latest": "step_5", "step_5/a": "5", "step_5/b": "6", "step_5/.metadata": "x"], from: &second)
      await stage.fake.inject { call, _ in
        call.operation == GetObject.name && call.key?.hasSuffix("b") == true ? call.refusal() : nil
      }
      let error = await #expect(throws: MirrorError.self) { _ = try await restore(stage) }
      #expect(error?.kind == .incomplete)
      #expect(!stage.directory.exists("out/step_5"))
      #expect(!stage.directory.exists("out/latest"))
      await stage.fake.inject(nil)
      let restored = try await restore(stage)
      #expect(restored.unchanged == 1)
      #expect(try stage.directory.text("out/latest") == "step_5")
      #expect(files(stage).count == 4)
    }
  }

  @Test func `a receipt that a listing cannot confirm, or that cannot be read, proves nothing`() async throws
  {
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      await put(
        stage, ["checkpoint_1/a": "1", ".s3mirror/receipts/checkpoint_1.json": "{\"format\": 2}"],
        from: &second)
      #expect(try await list(stage).map(\.state) == [.incomplete])
      let receipt = UnitReceipt(
        unit: "checkpoint_1", objects: [.init(key: "checkpoint_1/a", bytes: 1, etag: "another")])
      await put(
        stage, [".s3mirror/receipts/checkpoint_1.json": String(decoding: receipt.json, as: UTF8.self)],
        from: &second)
      let reasons = try await list(stage).map(\.reason)
      #expect(reasons == ["checkpoint_1/a was written since its receipt"])
    }
  }

  @Test(.promise("RST-6"))
  func `the tool's own folder is neither uploaded nor downloaded nor deleted`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("run/.s3mirror/receipts/a.json", "theirs")
      try await stage.put("run/a", "x")
      try await stage.mirror(["run": .download(stage.url("run"), local: stage.local("down"))]) { _ in }
      #expect(files(stage, in: "down") == ["a": "x"])
      try stage.directory.write("up/b", "x")
      try stage.directory.write("up/.s3mirror/mine", "x")
      let upload = MirrorSpec.upload(
        stage.url("run"), local: stage.local("up"), interval: nil, delete: true)
      _ = try await stage.uploadOnce(upload)
      #expect(try await stage.keys() == ["run/.s3mirror/receipts/a.json", "run/b"])
    }
  }
}
