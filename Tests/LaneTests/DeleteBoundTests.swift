import HTTPTransport
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// What the bound on deletes counts, and what becomes of what it withholds.
@Suite struct DeleteBoundTests {
  private func lane(
    _ store: FakeObjectStore, delete: Bool = true, interval: Duration? = nil,
    prepare: (String, any ProgramFiles) throws -> Void = { _, _ in }
  ) async throws -> LaneUnderTest {
    var configuration = LaneUnderTest.Configuration(interval: interval, watch: .reported)
    configuration.bound = .standard
    configuration.delete = delete
    let mirror = try await LaneUnderTest(store, configuration, prepare: prepare)
    try await mirror.start()
    return mirror
  }

  /// Twenty files of an earlier run, on S3 as they are here.
  private func earlierFiles(_ store: FakeObjectStore) async throws -> LaneUnderTest {
    for index in 0..<20 {
      _ = try await store.send(PutObject(key: "t/old\(index)", body: BytesBody(Array("old".utf8))))
    }
    return try await lane(store) { tree, files in
      for index in 0..<20 { try files.write(tree + "/old\(index)", "old") }
    }
  }

  @Test(.promise("DEL-6"))
  func `names that never had an object do not count for the bound`() async throws {
    let store = FakeObjectStore()
    let mirror = try await earlierFiles(store)
    try mirror.remove("old0")
    // Of files that this run never published, as after events that were lost.
    mirror.lane.schedule.note((0..<50).map { .deleted(RelativePath("phantom\($0)")) })
    try await mirror.lane.flush()
    #expect(mirror.lane.status.withheldDeletes == 0)
    #expect(await store.keys.count == 19)
    let report = await mirror.finish()
    #expect(report.withheldDeletes == 0)
    try mirror.removeDirectory()
  }

  @Test(.promise("DEL-7"))
  func `a withheld delete is sent by a later pass if the bound allows it then`() async throws {
    let store = FakeObjectStore()
    let mirror = try await earlierFiles(store)
    for index in 0..<15 { try mirror.remove("old\(index)") }
    try await mirror.lane.flush()
    #expect(mirror.lane.status.withheldDeletes == 15)
    #expect(await store.keys.count == 20)
    let soFar = mirror.lane.reportSoFar
    #expect(soFar.withheldDeletes == 15)
    #expect(soFar.withheld.map(\.path) == (0..<15).map { "old\($0)" }.sorted())
    for index in 0..<20 { try mirror.write("new\(index)", "new") }
    try await mirror.lane.flush()
    #expect(mirror.lane.status.withheldDeletes == 0)
    #expect(await store.keys.count == 25)
    #expect(mirror.lane.reportSoFar.withheld == [])
    #expect(mirror.lane.reportSoFar.published == 20)
    let report = await mirror.finish()
    #expect(report.withheldDeletes == 0)
    try mirror.removeDirectory()
  }

  @Test func `a file whose delete was withheld and that is written again keeps its object`() async throws {
    let store = FakeObjectStore()
    let mirror = try await earlierFiles(store)
    for index in 0..<15 { try mirror.remove("old\(index)") }
    try await mirror.lane.flush()
    try mirror.write("old0", "again")
    try await mirror.lane.flush()
    #expect(mirror.lane.status.withheldDeletes == 14)
    #expect(await store.text("t/old0") == "again")
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// A rotation of everything but the newest, as training programs make it.
  @Test(.promise("DEL-6"))
  func `a run may delete everything that it published itself`() async throws {
    let store = FakeObjectStore()
    let mirror = try await lane(store)
    for index in 0..<30 { try mirror.write("step-1/f\(index)", "one") }
    try mirror.write("step-2", "two")
    try await mirror.lane.flush()
    for index in 0..<30 { try mirror.remove("step-1/f\(index)") }
    try mirror.remove("step-1")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/step-2"])
    let report = await mirror.finish()
    #expect(report.withheldDeletes == 0)
    try mirror.removeDirectory()
  }

  @Test(.promise("DEL-6"))
  func `a bound that the user set also counts objects that the run published`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(watch: .reported)
    configuration.bound = .limit(1)
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    for name in ["a", "b", "c"] { try mirror.write(name, name) }
    try await mirror.lane.flush()
    for name in ["a", "b"] { try mirror.remove(name) }
    try await mirror.lane.flush()
    #expect(mirror.lane.status.withheldDeletes == 2)
    #expect(await store.keys == ["t/a", "t/b", "t/c"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  // MARK: Renames without deletes

  @Test(.promise("CHG-6"))
  func `without delete a rename still moves an object that this run published`() async throws {
    let store = FakeObjectStore()
    let mirror = try await lane(store, delete: false)
    try mirror.write("model.tmp", "model")
    try mirror.write("gone", "stays on S3")
    try await mirror.lane.flush()
    try mirror.move("tree/model.tmp", "tree/model")
    try mirror.remove("gone")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/gone", "t/model"])
    await mirror.finish()
    #expect(await store.keys == ["t/gone", "t/model"])
    try mirror.removeDirectory()
  }

  @Test func `without delete a renamed directory still moves its objects`() async throws {
    let store = FakeObjectStore()
    let mirror = try await lane(store, delete: false)
    for name in ["a", "b"] { try mirror.write("step.tmp/" + name, name) }
    try await mirror.lane.flush()
    try mirror.move("tree/step.tmp", "tree/step")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/step/a", "t/step/b"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test(.promise("CHG-6"))
  func `without delete a rename leaves the object of an earlier run`() async throws {
    let store = FakeObjectStore()
    _ = try await store.send(PutObject(key: "t/old", body: BytesBody(Array("old".utf8))))
    let mirror = try await lane(store, delete: false) { try $1.write($0 + "/old", "old") }
    try mirror.move("tree/old", "tree/new")
    try await mirror.lane.flush()
    #expect(await store.keys == ["t/new", "t/old"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  @Test func `the snapshot of an open log is deleted when the log is renamed`() async throws {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: .milliseconds(20))
    configuration.openFileGrace = .zero
    configuration.delete = false
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    let writer = try mirror.open("log", [.create, .atEnd])
    try writer.write("one\n")
    try await mirror.wait(for: "log", in: store)
    try mirror.move("tree/log", "tree/old.log")
    try writer.write("two\n")
    writer.close()
    try await mirror.wait(for: "old.log", toBe: "one\ntwo\n", in: store)
    try await mirror.settle()
    #expect(await store.keys == ["t/old.log"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  // MARK: Markers and deletes

  /// After an outage the marker used to wait for the delete, and the delete for the marker.
  @Test(.promise("DEL-9"))
  func `a marker does not wait for the delete of an object whose file is gone`() async throws {
    let store = FakeObjectStore()
    let mirror = try await lane(store)
    try mirror.write("step-1", "one")
    try mirror.write("latest", "step-1")
    try await mirror.lane.flush()
    await store.inject { call, moment in
      moment == .beforeEffect && call.key == "t/step-2" ? call.refusal(status: 503, code: "SlowDown") : nil
    }
    try mirror.write("step-2", "two")
    try mirror.remove("step-1")
    try mirror.write("latest", "step-2")
    await #expect(throws: MirrorError.self) { try await mirror.lane.flush() }
    #expect(await store.keys == ["t/latest", "t/step-1"])
    await store.inject(nil)
    try await mirror.lane.flush()
    try await mirror.lane.flush()
    #expect(await store.text("t/latest") == "step-2")
    #expect(await store.keys == ["t/latest", "t/step-2"])
    await mirror.finish()
    try mirror.removeDirectory()
  }

  /// A pass that takes longer than the program needs for its next checkpoint.
  @Test
  func
    `a marker that is rewritten during each pass is published as it was when the pass began`()
    async throws
  {
    let store = FakeObjectStore()
    let mirror = try await lane(store)
    await store.hold { [unowned mirror] call in
      guard call.operation == PutObject.name, let key = call.key, key.hasPrefix("t/step-"),
        let step = Int(key.dropFirst("t/step-".count)), step < 4
      else { return }
      try mirror.write("step-\(step + 1)", "data")
      try mirror.write("latest", "step-\(step + 1)")
      if step > 1 { try mirror.remove("step-\(step - 1)") }
    }
    try mirror.write("step-1", "data")
    try mirror.write("latest", "step-1")
    for step in 1...3 {
      try await mirror.lane.flush()
      #expect(await store.text("t/latest") == "step-\(step)")
      #expect(await store.text("t/step-\(step)") == "data")
    }
    try await mirror.settle()
    #expect(await store.text("t/latest") == "step-4")
    #expect(await store.keys == ["t/latest", "t/step-3", "t/step-4"])
    await mirror.finish()
    try mirror.removeDirectory()
  }
}
