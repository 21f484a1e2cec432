import Foundation
import Glibc
import MirrorModel
import TestSupport

@testable import S3Mirror

/// Changes of a tree of followed links, and of what they lead to, as data: a failing list can be shortened.
///
/// Places are below the lane's directory: `tree/…` is mirrored, `outside/…` is what links lead to.
struct LinkScript: Sendable {
  enum Step: Sendable, Hashable {
    case write(String)
    case makeDirectory(String)
    /// A target that begins with a slash is a place; another one is a name beside the link.
    case link(String, to: String)
    case move(String, String)
    case remove(String)
    case flush
  }

  var steps: [Step]

  init(steps: [Step]) { self.steps = steps }

  init(seed: UInt64, count: Int) {
    var random = SplitMix64(seed: seed)
    steps = (0..<count).map { _ in Self.step(using: &random) }
  }

  private static func step(using random: inout SplitMix64) -> Step {
    func place() -> String {
      let top = ["tree/a", "tree/b", "tree/c", "outside/p", "outside/q"][random.below(5)]
      return random.below(2) == 0 ? top : top + ["/x", "/y"][random.below(2)]
    }
    func target() -> String {
      // Some lead nowhere, into the tree, in circles, or above themselves.
      random.below(5) == 0
        ? ["nowhere", "a", "b", "."][random.below(4)]
        : [
          "/outside/p", "/outside/q", "/outside/p/x", "/outside/q/y", "/tree/a", "/tree/b", "/tree/c",
          "/tree",
        ][random.below(8)]
    }
    switch random.below(20) {
    case 0..<6: return .write(place())
    case 6..<8: return .makeDirectory(place())
    case 8..<12: return .link(place(), to: target())
    case 12..<14: return .move(place(), place())
    case 14..<16: return .remove(place())
    default: return .flush
    }
  }

  /// Carries the script out.
  ///
  /// - Returns: what the bucket lacks before the exit, and what it should not have after the exit.
  func differences(interval: Duration?) async throws -> [String] {
    let store = FakeObjectStore()
    var configuration = LaneUnderTest.Configuration(interval: interval)
    configuration.clock = nil
    configuration.symlinks = .follow
    configuration.commitLast = []
    let mirror = try await LaneUnderTest(store, configuration)
    try await mirror.start()
    for (number, step) in steps.enumerated() {
      if step == .flush {
        try await flush(mirror)
      } else {
        carryOut(step, in: mirror.directory, number: number)
      }
    }
    // What is polled is compared at the pass after the one that asked for it.
    for _ in 0..<3 { try await mirror.settle() }
    let picture = FollowedPicture(of: mirror.tree)
    let before = picture.differences(from: try await store.contents(under: mirror.prefix))
      .filter { !$0.hasPrefix("extra") }
    let unsettled = mirror.lane.status.failures.map { "unsettled: \($0)" }
    let report = await mirror.finish()
    let after = picture.differences(from: try await store.contents(under: mirror.prefix))
    try mirror.removeDirectory()
    return unsettled + before + after.map { "after the exit: \($0)" }
      + report.failures.map { "failed: \($0)" }
  }

  private func flush(_ mirror: LaneUnderTest) async throws {
    do {
      try await mirror.lane.flush()
    } catch let error as MirrorError where error.kind == .incomplete {
      return
    }
  }

  /// What the tree does not allow is passed over.
  private func carryOut(_ step: Step, in directory: String, number: Int) {
    func full(_ place: String) -> String { directory + "/" + place }
    switch step {
    case .write(let place):
      let descriptor = open(full(place), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
      guard descriptor >= 0 else { return }
      let bytes = Array("step \(number)".utf8)
      _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      close(descriptor)
    case .makeDirectory(let place): mkdir(full(place), 0o755)
    case .link(let place, let target):
      _ = symlink(target.hasPrefix("/") ? directory + target : target, full(place))
    case .move(let from, let to): _ = rename(full(from), full(to))
    case .remove(let place):
      // Of what is behind a link nothing but the link goes.
      do { try FileManager.default.removeItem(atPath: full(place)) } catch { return }
    case .flush: break
    }
  }

  /// Leaves out ever smaller stretches as long as it still fails.
  func shortened(interval: Duration?) async throws -> LinkScript {
    var script = self
    var stretch = steps.count / 2
    while stretch >= 1 {
      var start = 0
      while start < script.steps.count {
        var shorter = script
        shorter.steps.removeSubrange(start..<min(start + stretch, script.steps.count))
        if try await shorter.differences(interval: interval).isEmpty {
          start += stretch
        } else {
          script = shorter
        }
      }
      stretch /= 2
    }
    return script
  }
}

/// What a tree holds where links are followed, as the test itself reads it.
private struct FollowedPicture {
  private struct Identity: Hashable {
    var device: UInt64
    var inode: UInt64
  }

  private var files: [String: [UInt8]] = [:]
  /// Links that lead nowhere or back to a directory above: they stand for what was published under and below their names.
  private var endings: Set<String> = []

  init(of root: String) {
    var status = stat()
    guard stat(root, &status) == 0 else { return }
    read(root, "", above: [Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))])
  }

  private mutating func read(_ root: String, _ relative: String, above: [Identity]) {
    guard
      let names = Result(catching: {
        try FileManager.default.contentsOfDirectory(atPath: root + "/" + relative)
      }).value
    else { return }
    for name in names {
      let path = relative.isEmpty ? name : relative + "/" + name
      var status = stat()
      guard stat(root + "/" + path, &status) == 0 else {
        endings.insert(path)
        continue
      }
      let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
      if status.st_mode & S_IFMT != S_IFDIR {
        files[path] = FileManager.default.contents(atPath: root + "/" + path).map { Array($0) }
      } else if above.contains(identity) {
        endings.insert(path)
      } else {
        read(root, path, above: above + [identity])
      }
    }
  }

  func differences(from contents: [RelativePath: [UInt8]]) -> [String] {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    let objects = Dictionary(uniqueKeysWithValues: contents.map { ($0.key.string, $0.value) })
    var lines: [String] = []
    for (path, bytes) in files {
      guard let object = objects[path] else {
        lines.append("missing \(path)")
        continue
      }
      if object != bytes { lines.append("different \(path): \(text(object)), not \(text(bytes))") }
    }
    for path in objects.keys where files[path] == nil && !isEnding(path) { lines.append("extra \(path)") }
    return lines.sorted()
  }

  private func isEnding(_ path: String) -> Bool {
    let names = path.split(separator: "/")
    return names.indices.contains { endings.contains(names[...$0].joined(separator: "/")) }
  }
}

extension Result where Failure == any Error {
  fileprivate var value: Success? { if case .success(let value) = self { value } else { nil } }
}
