import MirrorModel
import S3Client
import Transfers

/// Reads and judges the checkpoints under a prefix for `RetentionPlan`.
struct Retention: Sendable {
  let policy: RetentionPlan.Policy
  let reader: UnitReader
  /// How many checkpoints are judged at one time.
  let width: Int

  /// The judged checkpoints under the prefix.
  struct Inventory: Sendable {
    /// Newest first.
    var candidates: [RetentionPlan.Candidate] = []
    /// The objects of the judged checkpoints, and the receipts, by their paths below the remote.
    var objects: [RelativePath: RemoteObject] = [:]
  }

  enum Depth: Sendable {
    /// Only the newest complete checkpoints of each series, those that stay. The others count as not judged.
    case newest
    case all
  }

  /// Lists everything under the prefix once, and the objects of each judged checkpoint once more.
  ///
  /// - Throws: `S3Error`, `MirrorError`.
  func inventory(_ depth: Depth) async throws -> Inventory {
    guard let (catalog, _, receipts) = try await reader.catalogIfAny() else { return Inventory() }
    let judged =
      switch depth {
      case .newest: try await judgeNewest(of: catalog.units, receipts)
      case .all: try await judge(catalog.units, receipts)
      }
    var inventory = Inventory()
    for unit in catalog.units {
      guard let judged = judged[unit.path] else {
        inventory.candidates.append(.init(unit: unit, state: .unproved("it was not judged"), objects: []))
        continue
      }
      inventory.candidates.append(
        .init(unit: unit, state: judged.state, objects: judged.objects.keys.sorted()))
      inventory.objects.merge(judged.objects) { first, _ in first }
    }
    for (unit, listed) in receipts {
      inventory.objects.merge(listed.objects(of: unit)) { first, _ in first }
    }
    return inventory
  }

  private typealias Judged = [RelativePath: UnitReader.Judged]

  private func judge(
    _ units: [CheckpointUnit], _ receipts: [RelativePath: ListedReceipts]
  ) async throws -> Judged {
    let answers = await concurrentEach(units, width: width) { unit in
      do {
        return Result<UnitReader.Judged, any Error>.success(
          try await reader.judge(unit, receipts: receipts[unit.path]))
      } catch {
        return .failure(error)
      }
    }
    return Judged(
      try answers.map { try $0.get() }.map { ($0.unit.path, $0) }, uniquingKeysWith: { first, _ in first })
  }

  private func judgeNewest(
    of units: [CheckpointUnit], _ receipts: [RelativePath: ListedReceipts]
  ) async throws -> Judged {
    var judged = Judged()
    var complete: [RelativePath: Int] = [:]
    for unit in units {
      let series = RetentionPlan.series(of: unit)
      guard complete[series, default: 0] < policy.keepLast else { continue }
      let answer = try await reader.judge(unit, receipts: receipts[unit.path])
      judged[unit.path] = answer
      if answer.state.isComplete { complete[series, default: 0] += 1 }
    }
    return judged
  }
}
