import Digests
import Foundation
import HTTPTransport
import LocalTree
import LoopThread
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// What plans, verifications and downloads of one tree need.
final class Workbench: Sendable {
  let tree: TemporaryDirectory
  let store: FakeObjectStore
  let resources: TransferResources

  init(
    _ behaviour: FakeBucket.Behaviour = .init(), clock: @escaping @Sendable () -> Int64 = FakeClock.system
  ) throws {
    tree = try TemporaryDirectory()
    store = FakeObjectStore(behaviour: behaviour, clock: clock)
    resources = try TransferResources(workers: 4)
  }

  deinit { resources.stop() }

  func content(_ policy: ComparePolicy = .standard) throws -> ContentComparison {
    ContentComparison(
      root: try tree.root(), mapping: .tree(prefix: ""), store: store, readers: resources.readers,
      policy: policy, ledger: nil)
  }

  func uploadPlan(
    delete: Bool = true, bound: DeleteBound = .standard, context: UploadPlanner.Context = .alone
  ) async throws -> [String] {
    let planner = UploadPlanner(
      name: "up", surveyor: Surveyor(try tree.root(), store), content: try content(),
      commitOrder: CommitOrder { $0.name == "DONE" }, width: 4, delete: delete, bound: bound, context: context
    )
    var lines: [String] = []
    try await planner.plan { lines.append($0.description) }
    return lines
  }

  func job(
    _ remote: String = "s3://bucket/", delete: Bool = false, mode: DownloadJob.Mode = .mirror,
    bound: DeleteBound = .standard, local: String? = nil
  ) throws -> DownloadJob {
    DownloadJob(
      name: "down", location: try S3Location(parsing: remote), local: FilePath(local ?? tree.path),
      isIntoDirectory: false, filter: .everything, mode: mode, delete: delete, bound: bound,
      commitOrder: CommitOrder { $0.name == "DONE" }, compare: .standard, width: 4, questionWidth: 4,
      store: store, resources: resources, journal: journal(),
      wallClock: FakeClock.system)
  }

  func downloadPlan(_ job: DownloadJob) async throws -> [String] {
    var lines: [String] = []
    _ = try await job.plan { lines.append($0.description) }
    return lines
  }

  func differences(_ reading: Verifier.Reading = .never, mapping: KeyMapping? = nil) async throws -> [String]
  {
    let verifier = Verifier(
      surveyor: Surveyor(try tree.root(), store, mapping: mapping, policy: .checksum),
      readers: resources.readers, reading: reading, width: 4)
    var lines: [String] = []
    let summary = try await verifier.verify { lines.append("\($0.kind.rawValue) \($0.path)") }
    #expect(summary.differences == lines.count)
    return lines
  }

  /// Operations that arrived and are no reading.
  var writes: [String] {
    get async {
      await store.calls.map(\.operation).filter {
        ![ListObjectsV2.name, HeadObject.name, GetObject.name].contains($0)
      }
    }
  }
}
