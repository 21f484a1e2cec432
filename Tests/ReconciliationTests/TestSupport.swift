// What these tests share: trees on the real filesystem, listings in memory, seeds that failures name.

import Foundation
import LocalTree
import Logging
import LoopThread
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing
import Transfers

@testable import S3Mirror

/// A directory for one test, removed with its last owner.
final class TemporaryTree: Sendable {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/s3mirror-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) }
  }

  func root() throws -> TreeRoot { try TreeRoot(path: FilePath(path)) }

  subscript(_ name: String) -> String { path + "/" + name }

  /// Writes a file and makes its directories.
  func write(_ name: String, _ text: String = "") throws {
    try FileManager.default.createDirectory(
      atPath: self[RelativePath(name).parent.string], withIntermediateDirectories: true)
    try Data(text.utf8).write(to: URL(fileURLWithPath: self[name]))
  }

  func directory(_ name: String) throws {
    try FileManager.default.createDirectory(atPath: self[name], withIntermediateDirectories: true)
  }

  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: self[name]) }

  func text(_ name: String) throws -> String { try String(contentsOfFile: self[name], encoding: .utf8) }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: self[name]) }

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

/// SplitMix64 (Steele, Lea and Flood, 2014): one number makes a whole run, so a failure can be named.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
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
