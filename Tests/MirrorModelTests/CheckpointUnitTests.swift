import MirrorModel
import TestSupport
import Testing

/// What in a listing is a checkpoint, and what its name and its pointers say.
@Suite struct CheckpointUnitTests {
  private func catalog(
    _ paths: [String], trackers: [(RelativePath, String)] = []
  ) throws -> [CheckpointUnit] {
    var scan = UnitScan(names: try UnitNames())
    for (index, path) in paths.enumerated() {
      scan.add(
        RelativePath(path),
        RemoteObject(byteCount: Int64(index + 1), etag: "e\(index)", lastModified: Int64(index)))
    }
    return UnitCatalog(scan, trackers: trackers.compactMap { Tracker($0.0, content: Array($0.1.utf8)) }).units
  }

  private func names(_ paths: String...) throws -> [String] { try catalog(paths).map(\.path.description) }

  @Test func `a step's directory is one checkpoint with everything below it, in whatever directory it lies`()
    throws
  {
    #expect(
      try names("run/a/checkpoint-5/w/0/1", "run/a/checkpoint-5/x", "run/log.txt") == ["run/a/checkpoint-5"])
    #expect(try names("100/default/d/0", "200/default/d/0", "200.orbax-checkpoint-tmp/x") == ["200", "100"])
  }

  @Test func `what lies around a marker of one checkpoint is that checkpoint`() throws {
    #expect(try names("_CHECKPOINT_METADATA", "default/d/c/0/0", "default/d/c/1/0") == ["."])
    #expect(try names("out/.metadata", "out/__0_0.distcp", "out/step_3/x", "log.txt") == ["out"])
  }

  @Test func `files are checkpoints by a number or by a name that stands, not beside a marker or other data`()
    throws
  {
    #expect(try names("a_1.pt", "a_2.pt", "config.yaml") == ["a_2.pt", "a_1.pt"])
    #expect(try names("model.safetensors") == ["model.safetensors"])
    #expect(try names("model.safetensors", "config.json") == ["."])
    #expect(try names("model.safetensors", "model.safetensors.index.json") == ["."])
    // The final model lies beside the checkpoints of its training, and is none of them.
    #expect(try names("checkpoint-5/x", "model.safetensors", "config.json") == ["checkpoint-5"])
  }

  @Test func `one content under a standing name is a copy`() throws {
    var scan = UnitScan(names: try UnitNames())
    for path in ["epoch=1.ckpt", "epoch=2.ckpt", "last.ckpt"] as [RelativePath] {
      let etag = path == "epoch=1.ckpt" ? "one" : "two"
      scan.add(path, RemoteObject(byteCount: 3, etag: etag, lastModified: 1))
    }
    let units = UnitCatalog(scan, trackers: []).units
    #expect(units.map(\.path) == ["epoch=2.ckpt", "epoch=1.ckpt"])
    #expect(units.map(\.copies) == [["last.ckpt"], []])
  }

  @Test func `logs are data only where there is nothing else`() throws {
    #expect(
      try names("runs/a/events.out.tfevents.1", "runs/b/events.out.tfevents.2") == ["runs/b", "runs/a"])
    #expect(try names("runs/a/events.out.tfevents.1", "checkpoint-1/x", "train.log") == ["checkpoint-1"])
  }

  @Test func `of one series the higher step is newer, of two the one that was published last`() throws {
    let units = try catalog(["b/step-10/x", "b/step-9/x", "a/epoch_1.pth", "b/step-2/x"])
    #expect(units.map(\.path) == ["b/step-10", "b/step-9", "b/step-2", "a/epoch_1.pth"])
  }

  @Test func `a checkpoint is found by its path, or by the end of it where that names one`() throws {
    var scan = UnitScan(names: try UnitNames())
    for path in ["a/step-1/x", "b/step-1/x", "b/step-2/x"] as [RelativePath] {
      scan.add(path, RemoteObject(byteCount: 1, etag: "", lastModified: 1))
    }
    let catalog = UnitCatalog(scan, trackers: [])
    #expect(catalog.unit(named: "step-2")?.path == "b/step-2")
    #expect(catalog.unit(named: "step-1") == nil)
    #expect(catalog.unit(named: "a/step-1")?.path == "a/step-1")
  }

  // MARK: Names

  @Test(
    arguments: [
      ("checkpoint-500", 500, true), ("global_step20", 20, true), ("iter_0000010", 10, true),
      ("300", 300, true),
      ("epoch=2-step=300", 300, true), ("m--loss=0.5-step=20-last", 20, true), ("ep1-ba300", 300, true),
      ("checkpoint_000012", 12, true), ("step-7", 7, true), ("exp-3", 3, false), ("checkpoints", nil, false),
      ("loss=0.25", nil, false), ("runs", nil, false),
    ] as [(String, Int64?, Bool)])
  func `a name tells the step`(name: String, number: Int64?, isStep: Bool) {
    let step = StepName(name)
    #expect(step.number == number)
    #expect(step.isStep == isStep)
  }

  @Test func `K of M is read from a name`() {
    let one = Numbered("model-00002-of-00005.safetensors")
    #expect(one?.index == 2)
    #expect(one?.count == 5)
    #expect(one?.family == Numbered("model-00005-of-00005.safetensors")?.family)
    #expect(Numbered("state-of-art.bin") == nil)
  }

  // MARK: Trackers

  @Test(
    arguments: [
      ("latest", "global_step5\n", ["run/global_step5"]),
      ("latest_checkpointed_iteration.txt", "5", ["run/iter_0000005", "run/global_step5"]),
      ("dlrover_latest.txt", "7", []),
      ("last_checkpoint", "/data/run/global_step5", ["run/global_step5"]),
      ("checkpoint", "model_checkpoint_path: \"global_step5\"\n", ["run/global_step5"]),
      (
        "checkpoint_manager_snapshot.json", "{\"a\": [\"iter_0000005\"], \"b\": \"global_step5\"}",
        ["run/iter_0000005", "run/global_step5"]
      ),
      ("latest", "elsewhere/global_step9", []),
    ] as [(String, String, [RelativePath])])
  func `a tracker names checkpoints of its own directory`(
    name: String, content: String, named: [RelativePath]
  ) {
    let units: [RelativePath] = ["run/iter_0000005", "run/global_step5", "other/global_step5", "run"]
    let tracker = Tracker(RelativePath("run/" + name), content: Array(content.utf8))
    #expect(Set(tracker?.named(among: units) ?? []) == Set(named))
  }

  @Test func `what is empty, or no text, names nothing`() {
    #expect(Tracker("latest", content: []) == nil)
    #expect(Tracker("latest", content: [0xff, 0xfe]) == nil)
    #expect(Tracker("readme", content: Array("step_1".utf8)) == nil)
    #expect(!Tracker.mayBe("latest", byteCount: Tracker.longest + 1))
  }

  // MARK: Receipts

  @Test(.promise("RST-4"))
  func `a receipt names every object, and holds against a listing by size and ETag`() throws {
    let receipt = UnitReceipt(
      unit: "s/checkpoint-5",
      objects: [
        .init(key: "s/checkpoint-5/a", bytes: 3, etag: "x", crc32: "NhCmhg=="),
        .init(key: "s/checkpoint-5/b", bytes: 4, etag: "y"),
      ])
    #expect(try UnitReceipt(json: receipt.json) == receipt)
    #expect(UnitReceipt.path(of: "s/checkpoint-5") == ".s3mirror/receipts/s/checkpoint-5.json")
    #expect(UnitReceipt.unit(ofReceiptAt: ".s3mirror/receipts/s/checkpoint-5.json") == "s/checkpoint-5")
    #expect(UnitReceipt.unit(ofReceiptAt: UnitReceipt.path(of: .root)) == .root)
    #expect(UnitReceipt.unit(ofReceiptAt: ".s3mirror/groups/a.json") == nil)
    var objects: [RelativePath: RemoteObject] = [
      "s/checkpoint-5/a": RemoteObject(byteCount: 3, etag: "x", lastModified: 0),
      "s/checkpoint-5/b": RemoteObject(byteCount: 4, etag: "", lastModified: 0),
    ]
    #expect(receipt.fault(in: objects) == nil)
    objects["s/checkpoint-5/b"]?.etag = "z"
    #expect(receipt.fault(in: objects)?.contains("was written since") == true)
    objects["s/checkpoint-5/b"]?.byteCount = 5
    #expect(receipt.fault(in: objects)?.contains("has 5 bytes") == true)
    objects["s/checkpoint-5/b"] = nil
    #expect(receipt.fault(in: objects)?.contains("is missing") == true)
  }

  @Test(arguments: ["", "{}", "{\"format\": 2, \"unit\": \"a\", \"objects\": []}", "[1]", "{\"format\": 1"])
  func `what is no receipt of this format is refused`(text: String) {
    #expect(throws: UnreadableReceipt.self) { try UnitReceipt(json: Array(text.utf8)) }
  }

  @Test func `a receipt of a later version with more in it is read`() throws {
    let text =
      #"{"format": 1, "unit": "a", "member": 3, "objects": [{"key": "a/b", "bytes": 1, "etag": "x", "more": 0}]}"#
    #expect(try UnitReceipt(json: Array(text.utf8)).objects.map(\.key) == ["a/b"])
  }
}
