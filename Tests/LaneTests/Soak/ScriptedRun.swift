import MirrorModel
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// A writer that is lent to the watcher's thread, which reads no events while it has it.
private final class LentWriter: Sendable {
  private let writer: Mutex<TreeWriter>

  init(_ writer: sending TreeWriter) { self.writer = Mutex(writer) }

  func perform(_ operations: [TreeOperation]) {
    writer.withLock { writer in
      for operation in operations { writer.perform(operation) }
    }
  }

  /// Closes what is open, and gives hidden names back.
  func finish(below tree: String) {
    writer.withLock { writer in
      writer.closeLogs()
      HiddenNames.reveal(below: tree, by: writer.names)
    }
  }
}

extension TreeOperation {
  fileprivate var isOfTree: Bool {
    switch self {
    case .flush, .late, .overflow: false
    default: true
    }
  }
}

/// One writer and a mirror that publishes when the script says so: what fails once fails again, so it can be shortened.
struct ScriptedRun {
  var maxWatches: Int?
  /// Whether events are lost now and then.
  var losesEvents = false

  /// Random operations with flushes among them.
  func script(seed: UInt64, count: Int) -> [TreeOperation] {
    var random = SplitMix64(seed: seed)
    return (0..<count).map { _ in
      switch random.below(12) {
      case 0: .flush
      case 1 where losesEvents: .overflow(losing: 1 + random.below(6))
      case 2: .late(2 + random.below(8))
      default: quick(.random(using: &random, emphasis: SoakTests.emphasis))
      }
    }
  }

  /// Without rests and without large files: nothing runs beside the script that a rest could meet.
  private func quick(_ operation: TreeOperation) -> TreeOperation {
    switch operation {
    case .write(let path, let bytes, let mode, let pieces, _):
      .write(path, bytes: min(bytes, 2_000), mode, pieces: pieces, pauseMicroseconds: 0)
    case .burst(let path, let files): .burst(path, files: min(files, 8))
    default: operation
    }
  }

  /// Carries the script out, flushes, and compares before the exit could mend anything.
  func differences(after script: [TreeOperation]) async throws -> [String] {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration()
    configuration.maxWatches = maxWatches
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    var unguarded: [String] = []
    let writer = LentWriter(
      TreeWriter(
        root: mirror.tree, outside: mirror.outside,
        versions: try VersionCounter(sharedAt: mirror.directory + "/versions")))
    var rest = script[...]
    while let operation = rest.popFirst() {
      switch operation {
      case .flush:
        try await flush(mirror)
        if unguarded.isEmpty {
          unguarded = try await mirror.unguardedDirectories().map { "unguarded: \($0)" }
        }
      case .late(let count):
        let late = Array(rest.prefix { $0.isOfTree }.prefix(count))
        rest = rest.dropFirst(late.count)
        try await mirror.holdWatch { writer.perform(late) }
      case .overflow(let count):
        let lost = Array(rest.prefix { $0.isOfTree }.prefix(count))
        rest = rest.dropFirst(lost.count)
        try await mirror.injectOverflow { writer.perform(lost) }
      default: writer.perform([operation])
      }
    }
    writer.finish(below: mirror.tree)
    try await mirror.settle()
    if maxWatches != nil {
      // What is polled is compared at the pass after the one that asked for it.
      for _ in 0..<2 { try await mirror.settle() }
    }
    let picture = try TreePicture(of: mirror.tree)
    // What a comparison finds superfluous waits for the exit.
    let before = picture.differences(from: try await store.contents(under: mirror.prefix))
      .filter { (maxWatches == nil && !losesEvents) || !$0.hasPrefix("extra") }
    await mirror.finish()
    let after = picture.differences(from: try await store.contents(under: mirror.prefix))
    try mirror.removeDirectory()
    return unguarded + before + after.map { "after the exit: \($0)" }
  }

  /// A comparison in the middle of a script may meet a name that can be no key; only the end counts.
  private func flush(_ mirror: LaneUnderTest) async throws {
    do {
      try await mirror.lane.flush()
    } catch let error as MirrorError where error.kind == .incomplete {
      return
    }
  }

  /// Leaves out ever smaller stretches as long as it still fails.
  func shortened(_ script: [TreeOperation]) async throws -> [TreeOperation] {
    var script = script
    var stretch = script.count / 2
    while stretch >= 1 {
      var start = 0
      while start < script.count {
        var shorter = script
        shorter.removeSubrange(start..<min(start + stretch, script.count))
        if try await !differences(after: shorter).isEmpty {
          script = shorter
        } else {
          start += stretch
        }
      }
      stretch /= 2
    }
    return script
  }
}
