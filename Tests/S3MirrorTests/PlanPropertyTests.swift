import Foundation
import Glibc
import MirrorModel
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// A plan and a run take the same way from a spec to its requests.
@Suite struct PlanPropertyTests {
  /// `S3MIRROR_PLAN_SEEDS=FIRST-LAST` takes others.
  private static let seeds: [UInt64] = {
    let named = ProcessInfo.processInfo.environment["S3MIRROR_PLAN_SEEDS"] ?? ""
    let bounds = named.split(separator: "-").compactMap { UInt64($0) }
    guard bounds.count == 2, bounds[0] <= bounds[1] else { return Array(1...25) }
    return Array(bounds[0]...bounds[1])
  }()

  @Test(.promise("DEL-14"), arguments: PlannedWorld.Way.allCases, seeds)
  func `what a plan lists is what the run after it sends`(way: PlannedWorld.Way, seed: UInt64) async throws {
    let world = PlannedWorld(seed: seed, way: way)
    let skew = world.skew * 1_000_000_000
    try await Stage.play(behaviour: world.behaviour, clock: { FakeClock.system() + skew }) {
      stage async throws in
      try await world.build(on: stage)
      let recorder = RequestRecorder(stage.fake)
      if world.hasEarlierRun {
        _ = try await Self.run(world, on: stage, recorder)
        try world.change(on: stage)
        _ = recorder.take()
      }
      let (before, everything) = (Self.files(on: stage), stage.directory.everything())
      let planned = try await Self.plan(world, on: stage, recorder)
      #expect(recorder.take() == Deeds(), "the plan sent something: \(world)")
      #expect(stage.directory.everything() == everything, "the plan changed something: \(world)")
      var done = try await Self.run(world, on: stage, recorder)
      done.localDeletes = Set(before).subtracting(Self.files(on: stage))
      // Only an upload reports which deletes it withheld.
      var expected = planned
      if way == .download { expected.withheld = [] }
      #expect(done == expected, "\(Self.difference(expected, done)), in \(world)")
    }
  }

  private static func difference(_ planned: Deeds, _ done: Deeds) -> String {
    "planned \(planned); done \(done)"
  }

  // MARK: The plan

  private static func plan(_ world: PlannedWorld, on stage: Stage, _ recorder: RequestRecorder) async throws
    -> Deeds
  {
    let run: Inspection.PlannedRun = world.way == .uploadOnce ? .uploadOnce : .scope
    let inspection = try Inspection(options: world.options(on: stage)) { _, _, _ in
      RecordedBuckets(recorder: recorder)
    }
    var deeds = Deeds()
    do {
      _ = try await S3Mirror.plan([(name: "it", spec: world.spec(on: stage))], of: run, in: inspection) {
        action in
        let key = try key(of: action.path, in: world, on: stage)
        switch action.kind {
        case .upload: deeds.uploads.insert(key)
        case .download: deeds.downloads.insert(key)
        case .delete: deeds.deletes.insert(key)
        case .deleteLocal: deeds.localDeletes.insert("tree/" + action.path)
        case .withhold: deeds.withheld.insert(action.path)
        case .leave: break
        case .refuse: deeds.isComplete = false
        }
      }
    } catch let error as MirrorError {
      deeds = Deeds()
      deeds.isComplete = false
      deeds.refusal = error.kind
    }
    return deeds
  }

  /// The key that a path of a plan stands for.
  private static func key(of path: String, in world: PlannedWorld, on stage: Stage) throws -> String {
    let key = stage.prefix + world.remote
    if key.hasSuffix("/") { return key + path }
    let isObject = world.way != .upload && world.way != .uploadOnce
    // An upload of one file, and a download of one object, are of that key.
    var status = stat()
    let isFile = stat(stage.local(world.local), &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    if isFile || isObject && isOneObject(world) { return key }
    return key + "/" + path
  }

  private static func isOneObject(_ world: PlannedWorld) -> Bool {
    world.things.contains { thing in
      guard case .object(let key, let text, _) = thing, key == "x" else { return false }
      return world.remote == "data/x" || world.remote == "data" && text == "1"
    }
  }

  // MARK: The run

  private static func run(_ world: PlannedWorld, on stage: Stage, _ recorder: RequestRecorder) async throws
    -> Deeds
  {
    let options = world.options(on: stage)
    let spec = world.spec(on: stage)
    let scope = try MirrorScope(options: options) { _, _, _ in RecordedBuckets(recorder: recorder) }
    var report: MirrorReport.Upload?
    var failure: MirrorError?
    do {
      if world.way == .uploadOnce {
        report = try await scope.uploadOnce(spec, name: "it").uploads.first
        await scope.close()
      } else {
        try await withMirror(["it": spec], in: scope, options: options) { _ in }
        report = stage.events.report(of: "it")
      }
    } catch let error as MirrorError {
      await scope.close()
      failure = error
      report = world.way == .uploadOnce ? nil : stage.events.report(of: "it")
    }
    var deeds = recorder.take()
    deeds.withheld = Set(report?.withheld.map(\.path) ?? [])
    deeds.isComplete = failure == nil && report?.failures.isEmpty ?? true
    if let failure, failure.kind != .incomplete { deeds.refusal = failure.kind }
    return deeds
  }

  /// Regular files below the stage's tree, without the tool's own.
  private static func files(on stage: Stage) -> [String] {
    stage.directory.everything().filter { path in
      var status = stat()
      return path.hasPrefix("tree/") && !path.hasPrefix("tree/log/") && lstat(stage.local(path), &status) == 0
        && status.st_mode & S_IFMT == S_IFREG
    }
  }
}
