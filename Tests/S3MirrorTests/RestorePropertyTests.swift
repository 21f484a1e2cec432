import Foundation
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// A restore that is killed at any moment leaves no checkpoint, and nothing that names one, whose data are not here.
@Suite struct RestorePropertyTests {
  /// `S3MIRROR_RESTORE_SEEDS=FIRST-LAST` takes others.
  private static let seeds: [UInt64] = {
    let named = ProcessInfo.processInfo.environment["S3MIRROR_RESTORE_SEEDS"] ?? ""
    let bounds = named.split(separator: "-").compactMap { UInt64($0) }
    guard bounds.count == 2, bounds[0] <= bounds[1] else { return Array(1...12) }
    return Array(bounds[0]...bounds[1])
  }()

  @Test(.promise("RST-2", "RST-3"), arguments: FrameworkRow.all, seeds)
  func `at no moment of a restore a reader finds an incomplete checkpoint`(row: FrameworkRow, seed: UInt64)
    async throws
  {
    var random = SplitMix64(seed: seed)
    let new = Dictionary(uniqueKeysWithValues: row.files.map { ($0.key, $0.value) })
    let cut = random.below(new.count + 2)
    // What an earlier restore, or a trainer, left of the same checkpoint: another version, a part of it, or nothing.
    let earlier = random.below(3)
    let kept = Set(new.keys.filter { _ in random.below(2) == 0 })
    try await Stage.play { stage async throws in
      var second: Int64 = 1_700_000_000
      for (path, text) in row.files {
        second += 1
        await stage.fake.place(
          stage.prefix + "run/" + path, Array(text.utf8), lastModified: second * 1_000_000_000)
      }
      for (path, text) in row.others {
        await stage.fake.place(
          stage.prefix + "run/" + path, Array(text.utf8), lastModified: second * 1_000_000_000)
      }
      var old: [String: String] = [:]
      if earlier > 0 {
        for (path, text) in new where earlier == 1 || kept.contains(path) {
          // What names the checkpoint is the same in both versions.
          old[path] = isOfUnit(path, row) && kept.contains(path) ? "old " + text : text
          try stage.directory.write("out/" + path, old[path] ?? "")
        }
      }
      let isWholeBefore = earlier == 1
      let lies = Mutex<[String]>([])
      let look: @Sendable () -> Void = { [old] in
        let here = Self.files(in: stage.local("out"))
        let isMisled =
          Self.isMisled(
            here, row,
            isWhole: { here in
              Self.isWhole(here, new, row) || isWholeBefore && Self.isWhole(here, old, row)
            })
        if isMisled, Self.files(in: stage.local("out")) == here { lies.withLock { $0.append("\(here)") } }
      }
      // A part that lies here before the restore misleads until the restore has begun to write.
      let hasBegun = Mutex(earlier != 2)
      let note: @Sendable () -> Void = {
        hasBegun.withLock { $0 = true }
        look()
      }
      let answered = Mutex(0)
      await stage.fake.hold { call in
        if call.operation == GetObject.name, hasBegun.withLock({ $0 }) { look() }
      }
      await stage.fake.inject { call, moment in
        guard moment == .beforeEffect, call.operation == GetObject.name else { return nil }
        guard new[String((call.key ?? "").dropFirst(stage.prefix.count + 4))] != nil else { return nil }
        let count = answered.withLock { answered in
          answered += 1
          return answered
        }
        return count > cut ? call.refusal() : nil
      }
      do {
        _ = try await restore(stage, note)
      } catch let error as MirrorError {
        #expect(error.kind == .incomplete, "\(error)")
      }
      if hasBegun.withLock({ $0 }) { look() }
      #expect(lies.withLock { $0 } == [], "seed \(seed)")
      await stage.fake.hold(nil)
      await stage.fake.inject(nil)
      _ = try await restore(stage) {}
      let here = Self.files(in: stage.local("out"))
      #expect(new.allSatisfy { here[$0.key] == $0.value }, "seed \(seed): \(here)")
    }
  }

  private func restore(_ stage: Stage, _ look: @escaping @Sendable () -> Void) async throws
    -> RestoredCheckpoint
  {
    let scope = try stage.scope { options in
      options.observer = { event in
        if case .transferred = event { look() }
      }
    }
    do {
      let spec = MirrorSpec.download(stage.url("run"), local: stage.local("out"))
      let restored = try await scope.restore(spec, unit: nil, name: "restore")
      await scope.close()
      return restored
    } catch {
      await scope.close()
      throw error
    }
  }

  // MARK: What a reader finds

  private func isOfUnit(_ path: String, _ row: FrameworkRow) -> Bool { Self.isOfUnit(path, row) }

  /// Whether a file is a part of the row's checkpoint, not what names it.
  private static func isOfUnit(_ path: String, _ row: FrameworkRow) -> Bool {
    CheckpointUnit(RelativePath(row.unit), shape(row)).contains(RelativePath(path))
  }

  private static func shape(_ row: FrameworkRow) -> CheckpointUnit.Shape {
    row.files.contains { RelativePath($0.key).isWithin(RelativePath(row.unit)) && $0.key != row.unit }
      && !row.files.contains { $0.key == row.unit } ? .directory : .files
  }

  private static func isWhole(
    _ here: [String: String], _ version: [String: String], _ row: FrameworkRow
  ) -> Bool {
    version.allSatisfy { !isOfUnit($0.key, row) || here[$0.key] == $0.value }
  }

  /// A directory of that name, a file of its kind that is written last, or a pointer is there, and the checkpoint is not whole.
  private static func isMisled(
    _ here: [String: String], _ row: FrameworkRow, isWhole: ([String: String]) -> Bool
  ) -> Bool {
    let parts = here.keys.filter { isOfUnit($0, row) }
    let pointers = here.keys.filter { Tracker.mayBe(RelativePath($0), byteCount: 0) && !isOfUnit($0, row) }
    let isWrittenLast: (String) -> Bool = {
      $0.hasSuffix(".index") || $0 == row.unit && row.framework == "Flax"
    }
    let speaks = shape(row) == .directory ? !parts.isEmpty : parts.contains(where: isWrittenLast)
    return (speaks || !pointers.isEmpty) && !isWhole(here)
  }

  /// Whole files, without the tool's own.
  private static func files(in directory: String) -> [String: String] {
    var found: [String: String] = [:]
    let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
    for name in names where !PathFilter.everything.excludes(RelativePath(name), .file) {
      if let text = try? String(contentsOfFile: directory + "/" + name, encoding: .utf8) {
        found[name] = text
      }
    }
    return found
  }
}
