import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Each complete checkpoint gets a list of its objects on S3.
@Suite struct ReceiptTests {
  private func spec(_ stage: Stage, delete: Bool = false) -> MirrorSpec {
    .upload(stage.url("out"), local: stage.local("out"), interval: nil, delete: delete)
  }

  private static let receipts = "out/.s3mirror/receipts/"

  /// The keys that a checkpoint's receipt names, below the remote; nil if there is no receipt.
  private func named(_ unit: String, on stage: Stage) async throws -> [String]? {
    guard try await stage.keys().contains(Self.receipts + unit + ".json") else { return nil }
    let text = try await stage.text(Self.receipts + unit + ".json")
    return try UnitReceipt(json: Array(text.utf8)).objects.map(\.key)
  }

  private func texts(of steps: ClosedRange<Int>, on stage: Stage) async throws -> [String] {
    var texts: [String] = []
    for step in steps { texts.append(try await stage.text(Self.receipts + "checkpoint-\(step).json")) }
    return texts
  }

  /// Saves a checkpoint as Hugging Face's Trainer does.
  private func save(_ stage: Stage, _ step: Int) throws {
    for name in ["model.safetensors", "train.log", "trainer_state.json"] {
      try stage.directory.write("out/checkpoint-\(step)/\(name)", "\(step) \(name)")
    }
  }

  /// The receipt is beside the log, which goes on growing, and names the objects as they are.
  @Test(.promise("RCT-1", "RCT-3"), arguments: Stage.Kind.available)
  func `a complete checkpoint has a receipt that a restore trusts`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { mirror async throws in
        try save(stage, 5)
        try await mirror.flush("out")
        #expect(
          try await named("checkpoint-5", on: stage) == [
            "checkpoint-5/model.safetensors", "checkpoint-5/trainer_state.json",
          ])
      }
      let scope = try stage.scope()
      let list = try await scope.checkpoints(of: .download(stage.url("out")), name: "list")
      #expect("\(list)".contains("its receipt names 2 objects"))
      let restored = try await scope.restore(
        .download(stage.url("out"), local: stage.local("in")), unit: nil, name: "restore")
      await scope.close()
      #expect(restored.checkpoint.name == "checkpoint-5")
      #expect(stage.directory.exists("in/checkpoint-5/train.log"))
    }
  }

  @Test(.promise("RCT-2"))
  func `a receipt comes after its checkpoint and before a marker further up`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { mirror async throws in
        try save(stage, 5)
        try stage.directory.write("out/latest", "checkpoint-5")
        try await mirror.flush("out")
        let order = await stage.fake.calls.filter { $0.operation == "PutObject" }.compactMap(\.key)
        #expect(
          order.suffix(3).map { String($0.dropFirst(stage.prefix.utf8.count)) } == [
            "out/checkpoint-5/trainer_state.json", Self.receipts + "checkpoint-5.json", "out/latest",
          ])
      }
    }
  }

  @Test(.promise("RCT-1"))
  func `without a marker the receipt is published with a later step, or at the end`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { mirror async throws in
        try stage.directory.write("out/checkpoint_0/model.bin", "0")
        try await mirror.flush("out")
        #expect(try await named("checkpoint_0", on: stage) == nil)
        try stage.directory.write("out/checkpoint_1/model.bin", "1")
        try await mirror.flush("out")
        #expect(try await named("checkpoint_0", on: stage) == ["checkpoint_0/model.bin"])
        #expect(try await named("checkpoint_1", on: stage) == nil)
      }
      #expect(try await named("checkpoint_1", on: stage) == ["checkpoint_1/model.bin"])
    }
  }

  @Test(.promise("RCT-2"))
  func `a file that is not on S3 holds the receipt back`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { mirror async throws in
        await stage.fake.hold { call in
          if call.operation == "PutObject", call.key?.hasSuffix("model.safetensors") == true {
            throw call.refusal(status: 403, code: "AccessDenied")
          }
        }
        try save(stage, 5)
        await #expect(throws: MirrorError.self) { try await mirror.flush("out") }
        #expect(try await named("checkpoint-5", on: stage) == nil)
        await stage.fake.hold(nil)
        try await mirror.flush("out")
        #expect(try await named("checkpoint-5", on: stage)?.count == 2)
      }
    }
  }

  @Test(.promise("RCT-2"))
  func `a receipt that cannot be published holds back the marker that names its checkpoint`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { mirror async throws in
        await stage.fake.hold { call in
          if call.key?.contains("/.s3mirror/") == true {
            throw call.refusal(status: 403, code: "AccessDenied")
          }
        }
        try save(stage, 5)
        try stage.directory.write("out/latest", "checkpoint-5")
        await #expect(throws: MirrorError.self) { try await mirror.flush("out") }
        #expect(try await stage.keys().contains("out/latest") == false)
        await stage.fake.hold(nil)
        try await mirror.flush("out")
        #expect(try await stage.keys().contains("out/latest"))
        #expect(try await named("checkpoint-5", on: stage) != nil)
      }
    }
  }

  @Test(.promise("RCT-1", "RCT-2"))
  func `a changed checkpoint has a new receipt, and files of an earlier run are named`() async throws {
    try await Stage.play { stage async throws in
      try save(stage, 5)
      try await stage.mirror(["out": spec(stage)]) { _ in }
      #expect(try await named("checkpoint-5", on: stage) == nil)
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { mirror async throws in
        try stage.directory.write("out/checkpoint-5/optimizer.pt", "added")
        try await mirror.flush("out")
        #expect(try await named("checkpoint-5", on: stage)?.count == 3)
        let before = try await stage.text(Self.receipts + "checkpoint-5.json")
        try stage.directory.write("out/checkpoint-5/optimizer.pt", "changed")
        try await mirror.flush("out")
        #expect(try await stage.text(Self.receipts + "checkpoint-5.json") != before)
      }
    }
  }

  @Test(.promise("RCT-4"), arguments: Stage.Kind.available)
  func `the receipt of a checkpoint is deleted after its last object`(_ kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try await stage.mirror(["out": spec(stage, delete: true)], { $0.receipts = true }) {
        mirror async throws in
        for step in 1...3 { try save(stage, step) }
        try await mirror.flush("out")
        try stage.directory.remove("out/checkpoint-1")
        try await mirror.flush("out")
        #expect(try await named("checkpoint-1", on: stage) == nil)
        #expect(try await named("checkpoint-2", on: stage) != nil)
      }
      // What a run did not see is found by the comparison at its end.
      try stage.directory.remove("out/checkpoint-2")
      try await stage.mirror(["out": spec(stage, delete: true)], { $0.receipts = true }) { _ in }
      #expect(try await named("checkpoint-2", on: stage) == nil)
      #expect(try await named("checkpoint-3", on: stage) != nil)
    }
  }

  @Test(.promise("RCT-1"), arguments: Stage.Kind.available)
  func `a checkpoint gets the receipt that an earlier run did not publish any more`(_ kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try save(stage, 5)
      try await stage.mirror(["out": spec(stage)]) { _ in }
      #expect(try await named("checkpoint-5", on: stage) == nil)
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { _ async throws in
        #expect(try await named("checkpoint-5", on: stage)?.count == 2)
      }
    }
  }

  @Test(.promise("RCT-2"))
  func `a receipt that is there already costs one listing, and one that is not true is replaced`()
    async throws
  {
    try await Stage.play { stage async throws in
      for step in 1...3 { try save(stage, step) }
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { _ in }
      let receipts = try await texts(of: 1...3, on: stage)
      await stage.fake.forgetCalls()
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { _ in }
      let calls = await stage.fake.calls.filter { $0.key?.contains(".s3mirror") == true }
      #expect(calls == [])
      // As an attempt leaves it that ends between an object and the receipt.
      let old = receipts[1].replacing("checkpoint-2/model", with: "checkpoint-2/optimizer")
      try await stage.put(Self.receipts + "checkpoint-2.json", old)
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { _ in }
      #expect(try await texts(of: 1...3, on: stage) == receipts)
    }
  }

  @Test(.promise("RCT-2"), arguments: Stage.Kind.available)
  func `a file that is removed from a checkpoint leaves its receipt`(_ kind: Stage.Kind) async throws {
    let kept = ["checkpoint-5/model.safetensors", "checkpoint-5/trainer_state.json"]
    try await Stage.play(kind) { stage async throws in
      try await stage.mirror(["out": spec(stage, delete: true)], { $0.receipts = true }) {
        mirror async throws in
        try save(stage, 5)
        for name in ["optimizer.pt", "scheduler.pt"] {
          try stage.directory.write("out/checkpoint-5/\(name)", "x")
        }
        try await mirror.flush("out")
        #expect(try await named("checkpoint-5", on: stage)?.count == 4)
        try stage.directory.remove("out/checkpoint-5/optimizer.pt")
        try await mirror.flush("out")
        #expect(try await named("checkpoint-5", on: stage) == (kept + ["checkpoint-5/scheduler.pt"]).sorted())
      }
      // What a run did not see is found by the comparison at its end.
      try stage.directory.remove("out/checkpoint-5/scheduler.pt")
      try await stage.mirror(["out": spec(stage, delete: true)], { $0.receipts = true }) { _ in }
      #expect(try await named("checkpoint-5", on: stage) == kept)
    }
  }

  @Test(.promise("RCT-2"))
  func `a file whose object was deleted by others leaves the receipt too`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["out": spec(stage, delete: true)], { $0.receipts = true }) {
        mirror async throws in
        try save(stage, 5)
        try stage.directory.write("out/checkpoint-5/optimizer.pt", "x")
        try await mirror.flush("out")
        await stage.fake.remove(stage.prefix + "out/checkpoint-5/optimizer.pt")
        try stage.directory.remove("out/checkpoint-5/optimizer.pt")
        try await mirror.flush("out")
        #expect(try await named("checkpoint-5", on: stage)?.count == 2)
      }
    }
  }

  @Test(.promise("RCT-4"))
  func `the receipt of another writer's checkpoint stays`() async throws {
    try await Stage.play { stage async throws in
      try await stage.put("out/checkpoint-9/model.safetensors", "theirs")
      try await stage.put(Self.receipts + "checkpoint-9.json", "{}")
      try save(stage, 1)
      try await stage.mirror(["out": spec(stage)], { $0.receipts = true }) { _ in }
      #expect(try await stage.keys().contains(Self.receipts + "checkpoint-9.json"))
    }
  }
}
