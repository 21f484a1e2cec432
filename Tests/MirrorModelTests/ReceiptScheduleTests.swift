import MirrorModel
import Testing

@Suite struct ReceiptScheduleTests {
  @Test(.promise("RCT-1"))
  func `a checkpoint is the uppermost directory with the name of a step`() {
    #expect(ReceiptSchedule.unit(of: "run/checkpoint-5/global_step5/rank0.pt") == "run/checkpoint-5")
    #expect(ReceiptSchedule.unit(of: "10/state/d/0") == "10")
    for path: RelativePath in [
      "latest", "run/config.json", "epoch=3.ckpt", "checkpoint-5", "checkpoint_5_gda/0",
    ] {
      #expect(ReceiptSchedule.unit(of: path) == nil, "\(path)")
    }
  }

  @Test(.promise("RCT-1"))
  func `what nothing marks as complete waits for a later step of its series, or for the end`() {
    var schedule = ReceiptSchedule()
    schedule.note(published: "checkpoint_1/model.safetensors")
    let (unproved, broken) = (UnitState.unproved("no marker"), UnitState.incomplete("a file is missing"))
    #expect(!schedule.admits(unproved, of: "checkpoint_1", .running))
    #expect(schedule.admits(unproved, of: "checkpoint_1", .ended))
    #expect(schedule.admits(.complete(proof: "a marker"), of: "checkpoint_1", .running))
    schedule.note(published: "epoch_2/model.safetensors")
    schedule.note(published: "checkpoint_0/model.safetensors")
    #expect(!schedule.admits(unproved, of: "checkpoint_1", .running))
    schedule.note(published: "checkpoint_2/model.safetensors")
    #expect(schedule.admits(unproved, of: "checkpoint_1", .running))
    #expect(!schedule.admits(broken, of: "checkpoint_1", .ended))
  }

  @Test(.promise("RCT-2"))
  func `a receipt is due once for what was published, below the directory of a marker`() {
    var schedule = ReceiptSchedule()
    for path: RelativePath in ["a/step-1/x", "a/step-1/y", "a/step-2/x", "b/step-1/x"] {
      schedule.note(published: path)
    }
    // A marker in a checkpoint comes before the checkpoint's own receipt.
    #expect(schedule.take(below: "a/step-1") == [])
    #expect(schedule.take(below: "a") == ["a/step-1", "a/step-2"])
    schedule.putBack("a/step-2")
    #expect(schedule.take(below: .root) == ["a/step-2", "b/step-1"])
    #expect(schedule.isEmpty)
  }
}
