import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// A program that does to a mirror's tree what a script says. What cannot be done is an error.
final class ScriptedTree: Sendable {
  private let mirror: LaneUnderTest
  /// What it holds open, by the names that it used.
  private let writers = Mutex<[String: Int32]>([:])

  init(_ mirror: LaneUnderTest) { self.mirror = mirror }

  deinit {
    for writer in writers.withLock({ $0.values }) { Glibc.close(writer) }
  }

  func carryOut(_ operation: TreeScript.Operation) throws {
    switch operation {
    case .write(let path, let text): try mirror.write(path, text)
    case .append(let path, let text):
      if let writer = writers.withLock({ $0[path] }) { return try put(text, to: writer) }
      try writing(to: path) { try put(text, to: $0) }
    case .truncate(let path, let count):
      try writing(to: path) { try #require(ftruncate($0, off_t(count)) == 0) }
    case .open(let path, let text):
      let writer = Glibc.open(full(path), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o644)
      try #require(writer >= 0)
      try #require(writers.withLock { $0.updateValue(writer, forKey: path) } == nil)
      try put(text, to: writer)
    case .close(let path):
      Glibc.close(try #require(writers.withLock { $0.removeValue(forKey: path) }))
    case .makeDirectories(let path):
      try FileManager.default.createDirectory(atPath: full(path), withIntermediateDirectories: true)
    case .rename(let from, let to): try mirror.move("tree/" + from, "tree/" + to)
    case .exchange(let one, let other):
      try #require(NameCalls(journal: nil).exchange(full(one), with: full(other)))
    case .link(let from, let to): try mirror.link(from, to)
    case .symlink(let path, let target): try #require(Glibc.symlink(target, full(path)) == 0)
    case .delete(let path): try #require(unlink(full(path)) == 0)
    case .deleteTree(let path): try mirror.remove(path)
    case .moveIn(let path, let files):
      let elsewhere = UUID().uuidString
      for (name, text) in files { try mirror.write("../outside/\(elsewhere)/\(name)", text) }
      try mirror.move("outside/" + elsewhere, "tree/" + path)
    case .moveOut(let path): try mirror.move("tree/" + path, "outside/" + UUID().uuidString)
    case .touch(let path): try #require(utimes(full(path), nil) == 0)
    case .told: Issue.record("a tree knows of no watch")
    case .chmod(let path, let mode): try #require(Glibc.chmod(full(path), mode) == 0)
    }
  }

  private func full(_ path: String) -> String { mirror.tree + "/" + path }

  private func writing(to path: String, _ body: (Int32) throws -> Void) throws {
    let writer = Glibc.open(full(path), O_WRONLY | O_APPEND | O_CLOEXEC)
    try #require(writer >= 0)
    defer { Glibc.close(writer) }
    try body(writer)
  }

  private func put(_ text: String, to writer: Int32) throws {
    let bytes = Array(text.utf8)
    try #require(bytes.withUnsafeBytes { Glibc.write(writer, $0.baseAddress, $0.count) } == bytes.count)
  }
}
