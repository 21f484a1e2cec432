import MirrorModel
import Testing

/// Runs of the model in which the schedule, the plan and the alias table decide together over names that share a file. Without one of the
/// rules a marker would go ahead of its data, or content would be left behind.
@Suite struct AliasScheduleTests {
  /// `d/data` and `e/name` are one file, and `d/latest` is a marker beside the first; all is published.
  private func mirror() -> ModelMirror {
    var mirror = ModelMirror()
    mirror.finishPass()
    carryOut(
      [
        .makeDirectory("d"), .makeDirectory("e"), .write("d/data", closing: true), .link("d/data", "e/name"),
        .write("d/latest", closing: true),
      ], on: &mirror)
    mirror.drain()
    return mirror
  }

  private func carryOut(_ actions: [ModelMirror.Action], on mirror: inout ModelMirror) {
    for action in actions { mirror.carryOut(action) }
  }

  /// What goes wrong until the end.
  private func faults(of actions: [ModelMirror.Action]) -> [String] {
    var mirror = mirror()
    carryOut(actions, on: &mirror)
    mirror.closeAll()
    mirror.drain()
    return mirror.faults + mirror.differences(ignoringExtras: false)
  }

  @Test(.promise("PUB-12"))
  func `a marker that is rewritten waits for data that were written under another name elsewhere`() {
    let found = faults(of: [
      .write("d/latest", closing: true), .begin(flush: true), .write("e/name", closing: true),
      .write("d/latest", closing: true), .step(failing: false), .step(failing: false),
    ])
    #expect(found == [])
  }

  @Test(.promise("PUB-12"))
  func `a marker waits for data whose other name is written again`() {
    let found = faults(of: [
      .write("e/name", closing: true), .write("d/latest", closing: true), .write("e/name", closing: false),
      .begin(flush: true), .step(failing: false), .step(failing: false), .step(failing: false),
    ])
    #expect(found == [])
  }

  @Test(.promise("PUB-12"))
  func `a marker waits for a file that a comparison finds open after events were lost`() {
    let found = faults(of: [
      .write("d/new", closing: true), .write("d/latest", closing: true), .write("d/new", closing: false),
      .overflow, .begin(flush: true), .step(failing: false), .step(failing: false), .step(failing: false),
      .step(failing: false), .step(failing: false), .step(failing: false),
    ])
    #expect(found == [])
  }

  @Test(.promise("WATCH-6"))
  func `what is written through a descriptor whose name is gone reaches the other name`() {
    let found = faults(of: [
      .write("e/name", closing: false), .remove("e/name"), .begin(flush: true), .step(failing: false),
      .step(failing: false), .step(failing: false), .writeOpen("d/data"), .close("d/data"),
    ])
    #expect(found == [])
  }

  @Test(.promise("LINK-2", "LINK-3"))
  func `a followed link publishes what it leads to, whatever becomes of it`() {
    let found = faults(of: [
      .writeOutside("x"), .writeOutside("y/a"), .symlink("l", to: "x"), .begin(flush: true), .deliver(9),
      .writeOutside("x"), .remove("l"), .symlink("l", to: "y"), .writeOutside("y/k"), .removeOutside("x"),
      .begin(flush: true), .rename("l", "d/l"), .writeOutside("y/a"), .remove("d/l"),
    ])
    #expect(found == [])
  }

  @Test(.promise("LINK-7"))
  func `what a link showed stays while the link is made anew, even if a pass met it in between`() {
    var mirror = ModelMirror(symlinks: .pointers)
    mirror.finishPass()
    carryOut([.write("a", closing: true), .write("b", closing: true), .point("last", at: "a")], on: &mirror)
    mirror.drain()
    // The delete of the link's object fails twice, so the link waits for longer than the file that it showed.
    let failure = [ModelMirror.Action.begin(flush: true)] + Array(repeating: .step(failing: true), count: 3)
    carryOut([.remove("last")] + failure + failure, on: &mirror)
    carryOut([.point("last", at: "b"), .remove("a"), .deliver(.max), .begin(flush: false)], on: &mirror)
    mirror.finishPass()
    #expect(mirror.bucket["a"] != nil)
    mirror.drain()
    #expect(mirror.faults + mirror.differences(ignoringExtras: false) == [])
    #expect(mirror.bucket["a"] == nil)
  }
}
