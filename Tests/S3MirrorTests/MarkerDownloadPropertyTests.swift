import Foundation
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// At no moment of a download does a marker here speak for data that are not here.
@Suite struct MarkerDownloadPropertyTests {
  /// `S3MIRROR_MARKER_SEEDS=FIRST-LAST` takes others.
  private static let seeds: [UInt64] = {
    let named = ProcessInfo.processInfo.environment["S3MIRROR_MARKER_SEEDS"] ?? ""
    let bounds = named.split(separator: "-").compactMap { UInt64($0) }
    guard bounds.count == 2, bounds[0] <= bounds[1] else { return Array(1...60) }
    return Array(bounds[0]...bounds[1])
  }()

  /// How the second download goes.
  enum Course: String, Sendable, CaseIterable {
    case undisturbed
    /// Some of its objects cannot be had.
    case failing
    /// From some request on nothing is answered: what lies here then is what a kill leaves.
    case cut
    case sync
  }

  @Test(.promise("DOWN-14", "DOWN-15"), arguments: Course.allCases, seeds)
  func `no marker lies at any moment of a download`(course: Course, seed: UInt64) async throws {
    let world = MarkerDownloadWorld(seed: seed)
    var random = SplitMix64(seed: seed &* 7 &+ 1)
    let cut = random.below(world.new.count + 4)
    let failing = Set(world.new.keys.filter { _ in random.below(5) == 0 }.map(\.string))
    try await Stage.play { stage async throws in
      let local = stage.local("data")
      for (path, text) in world.old { try await stage.put("data/" + path.string, text) }
      try await run(.undisturbed, on: stage)
      for path in world.old.keys where world.new[path] == nil {
        await stage.fake.remove(stage.prefix + "data/" + path.string)
      }
      for (path, text) in world.new where world.old[path] != text {
        // Later than what is here, so that a sync takes it.
        await stage.fake.place(
          stage.prefix + "data/" + path.string, Array(text.utf8), lastModified: 4_000_000_000_000_000_000)
      }
      let lies = Mutex<[String]>([])
      let look: @Sendable () -> Void = {
        if let found = world.lies(in: local) { lies.withLock { $0 += found } }
      }
      let answered = Mutex(0)
      await stage.fake.hold { _ in look() }
      await stage.fake.inject { call, moment in
        guard moment == .beforeEffect, call.operation == GetObject.name else { return nil }
        let count = answered.withLock { answered in
          answered += 1
          return answered
        }
        let name = String((call.key ?? "").dropFirst(stage.prefix.count + "data/".count))
        switch course {
        case .undisturbed, .sync: return nil
        case .failing: return failing.contains(name) ? call.refusal() : nil
        case .cut: return count > cut ? call.refusal() : nil
        }
      }
      try await run(course, on: stage, look)
      look()
      #expect(lies.withLock { Set($0) } == [], "\(world)")
      await stage.fake.hold(nil)
      await stage.fake.inject(nil)
      try await run(.undisturbed, on: stage)
      #expect(world.isHere(in: local), "\(world)")
    }
  }

  private func run(
    _ course: Course, on stage: Stage, _ look: @escaping @Sendable () -> Void = {}
  ) async throws {
    let (url, local) = (stage.url("data"), stage.local("data"))
    let spec =
      course == .sync
      ? MirrorSpec.sync(url, local: local, interval: nil, delete: false)
      : .download(url, local: local)
    do {
      try await stage.mirror(
        ["data": spec],
        { options in
          options.commitLast = ["latest", ".metadata", "DONE"]
          options.observer = { event in
            if case .transferred = event { look() }
          }
        }
      ) { _ in }
    } catch let error as MirrorError where error.kind == .incomplete {
      #expect(course == .failing || course == .cut)
    }
  }
}
