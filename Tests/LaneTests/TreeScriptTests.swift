import TestSupport
import Testing

@testable import S3Mirror

/// What programs do to a tree, carried out for real under the kernel's own events; MirrorModelTests carry the same
/// scripts out on the model.
@Suite struct TreeScriptTests {
  @Test(arguments: TreeScript.all) func `a lane does what the script expects`(script: TreeScript) async throws
  {
    var run = try await LaneScriptRun(script)
    let differences = try await script.differences(on: &run)
    #expect(differences == [])
    try await run.removeDirectory()
  }
}

private struct LaneScriptRun: ScriptedMirror {
  private let store = FakeObjectStore()
  private let mirror: LaneUnderTest
  private let tree: ScriptedTree
  private var isEnded = false

  init(_ script: TreeScript) async throws {
    var configuration = LaneUnderTest.Configuration()
    configuration.exclude = script.exclude
    mirror = try await LaneUnderTest(store, configuration)
    tree = ScriptedTree(mirror)
    try await mirror.start()
    await store.forgetCalls()
  }

  func carryOut(_ operation: TreeScript.Operation) async throws {
    if operation == .told { return await mirror.lane.place.fence() }
    try tree.carryOut(operation)
  }

  func overflow(losing operations: [TreeScript.Operation]) async throws {
    try await mirror.injectOverflow { [tree] in
      for operation in operations { try tree.carryOut(operation) }
    }
  }

  func carryOutUnread(_ operations: [TreeScript.Operation]) async throws {
    try await mirror.holdWatch { [tree] in
      for operation in operations { try tree.carryOut(operation) }
    }
  }

  func flush() async throws -> [String] {
    try await mirror.lane.flush()
    let calls = await store.calls
    await store.forgetCalls()
    // The look at an object before its delete.
    return calls.filter { $0.operation != "HeadObject" }.map { call in
      guard let key = call.key else { return call.operation }
      return "\(call.operation) \(path(of: key))"
    }
  }

  mutating func end() async {
    isEnded = true
    await mirror.finish()
  }

  func objects() async throws -> [String: String] {
    var texts: [String: String] = [:]
    for key in await store.keys { texts[path(of: key)] = await store.text(key) }
    return texts
  }

  private func path(of key: String) -> String { String(key.dropFirst(mirror.prefix.count)) }

  mutating func removeDirectory() async throws {
    if !isEnded { await end() }
    try mirror.removeDirectory()
  }
}
