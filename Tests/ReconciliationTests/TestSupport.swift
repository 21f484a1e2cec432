// What these tests share: trees on the real filesystem, listings in memory.

import LocalTree
import Logging
import LoopThread
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Transfers

@testable import S3Mirror

extension TemporaryDirectory {
  func root() throws -> TreeRoot { try TreeRoot(path: FilePath(path)) }

  /// Files and directories, directories with a slash, in byte order.
  func entries() throws -> [String] {
    TreeWalk(root: try root()).compactMap { item in
      switch item {
      case .file(let path, _): path.string
      case .directory(let path): path.string + "/"
      default: nil
      }
    }
  }
}

let future: Int64 = 4_000_000_000 * 1_000_000_000

extension Surveyor {
  /// A surveyor over the whole bucket.
  init(
    _ root: TreeRoot, _ store: any ObjectStore, filter: PathFilter = .everything, mapping: KeyMapping? = nil,
    policy: ComparePolicy = .standard, order: ListingOrder = ListingOrder(),
    walk: (@Sendable (RelativePath) -> any WalkSource)? = nil
  ) {
    self.init(
      root: root, mapping: mapping ?? .tree(prefix: ""), filter: filter, symlinks: .skip,
      comparison: Comparison(policy: policy), store: store, order: order, wallClock: FakeClock.system,
      walk: walk)
  }
}

/// A survey whose parts were all gathered.
struct Gathered {
  var survey: Survey
  var copies: [String: CopyReason] = [:]
  var suspects: [String] = []
  var extras: [String] = []
}

extension Surveyor {
  func gathered(_ directory: RelativePath = .root) async throws -> Gathered {
    var copies: [String: CopyReason] = [:]
    var suspects: [String] = []
    let (survey, extras) = try await survey(directory) { batch in
      for difference in batch {
        switch difference {
        case .copy(let file, let reason, _): copies[file.path.string] = reason
        case .suspect(let file, _): suspects.append(file.path.string)
        case .marker(let marker): copies[marker.path.string] = .absent
        }
      }
    }
    var paths: [String] = []
    try await extras.entries.forEachBatch(of: 3) { batch in paths += batch.map(\.path.string) }
    return Gathered(survey: survey, copies: copies, suspects: suspects, extras: paths)
  }
}

func journal() -> Journal {
  Journal(
    log: nil, logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), observer: nil,
    bucket: "bucket")
}
