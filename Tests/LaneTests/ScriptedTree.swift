import Foundation
import Synchronization
import TestSupport
import Testing

/// A program that does to a mirror's tree what a script says. What cannot be done is an error.
final class ScriptedTree: Sendable {
  private let mirror: LaneUnderTest
  /// What it holds open, by the names that it used.
  private let writers = Mutex<[String: any ProgramFile]>([:])

  init(_ mirror: LaneUnderTest) { self.mirror = mirror }

  func carryOut(_ operation: TreeScript.Operation) throws {
    let files = mirror.files
    switch operation {
    case .write(let path, let text): try mirror.write(path, text)
    case .append(let path, let text):
      if let writer = writers.withLock({ $0[path] }) { return try writer.write(text) }
      try mirror.append(path, text)
    case .truncate(let path, let count): try files.truncate(full(path), to: count)
    case .open(let path, let text):
      let writer = try mirror.open(path, [.create, .emptied, .atEnd])
      try #require(writers.withLock { $0.updateValue(writer, forKey: path) } == nil)
      try writer.write(text)
    case .close(let path): try #require(writers.withLock { $0.removeValue(forKey: path) }).close()
    case .makeDirectories(let path): try files.makeDirectories(full(path))
    case .rename(let from, let to): try mirror.move("tree/" + from, "tree/" + to)
    case .exchange(let one, let other): try files.exchange(full(one), with: full(other))
    case .link(let from, let to): try mirror.link(from, to)
    case .symlink(let path, let target): try files.symlink(full(path), to: target)
    case .delete(let path): try files.remove(full(path))
    case .deleteTree(let path): try mirror.remove(path)
    case .moveIn(let path, let texts):
      let elsewhere = UUID().uuidString
      for (name, text) in texts { try mirror.write("../outside/\(elsewhere)/\(name)", text) }
      try mirror.move("outside/" + elsewhere, "tree/" + path)
    case .moveOut(let path): try mirror.move("tree/" + path, "outside/" + UUID().uuidString)
    case .touch(let path): try files.touch(full(path))
    case .told: Issue.record("a tree knows of no watch")
    case .chmod(let path, let mode): try files.changeMode(full(path), mode)
    }
  }

  private func full(_ path: String) -> String { mirror.tree + "/" + path }
}
