import Dispatch
import FileWatch
import Foundation
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@Suite(.serialized) struct `storms of changes` {
  @Test func `20,000 files in 500 directories made while the watch begins`() async throws {
    let tree = try ScratchTree()
    let log = EventLog()
    let watcher = try await makeWatcher(tree.root) { log.append($0) }
    let writers = (0..<4).map { writer in
      thread {
        for directory in 0..<125 {
          let path = "w\(writer)/d\(directory % 5)/e\(directory)"
          try FileManager.default.createDirectory(atPath: tree.path(path), withIntermediateDirectories: true)
          for file in 0..<40 { try tree.write("\(path)/f\(file)", "") }
        }
      }
    }
    try await watcher.start()
    let eventsBefore = log.count
    let listing = (files: try tree.files(), afterEvents: eventsBefore)
    for writer in writers { try await writer.value }
    await watcher.fence()
    let disk = try tree.files()
    #expect(disk.count == 20_000)
    try compare(log.all, listing: listing, with: disk)
    // The root, 4 writers, 5 directories each, 125 below.
    #expect(await watcher.watchCount == 1 + 4 + 20 + 500)
    await watcher.stop()
  }

  static let rounds = 5

  /// Several threads make, write, rename, exchange and remove files and directories, also into each other's.
  @Test(arguments: 0..<4)
  func `renames, moves and deletions by many threads`(seed: UInt64) async throws {
    let tree = try ScratchTree()
    for index in 0..<4 {
      try tree.makeDirectory("d\(index)")
      try tree.write("d\(index)/start")
    }
    let log = EventLog()
    let watcher = try await makeWatcher(tree.root) { log.append($0) }
    let first = (0..<4).map { number in
      thread { storm(in: tree, seed: seed * 100 + UInt64(number), steps: 400) }
    }
    try await watcher.start()
    for writer in first { try await writer.value }
    // No one writes now: the listing is what reconciliation at entry sees.
    let listing = (files: try tree.files(), afterEvents: log.count)
    // Rounds, so that the kernel's queue (16,384 records) never overflows and excuses what was missed.
    for round in 0..<Self.rounds {
      let writers = (4..<8).map { number in
        thread { storm(in: tree, seed: seed * 1_000 + UInt64(round * 10 + number), steps: 200) }
      }
      for writer in writers { try await writer.value }
      await watcher.fence()
      try compare(log.all, listing: listing, with: tree.files())
      let directories = try directoryCount(tree)
      #expect(await watcher.watchCount == directories)
    }
    #expect(!log.all.contains(.rescan(.root, .queueOverflow)))

    // Every directory that is there now is watched under the path that it has.
    let before = log.count
    let marks = try mark(tree)
    await watcher.fence()
    let told = changedFiles(Array(log.all.dropFirst(before)))
    #expect(marks.subtracting(told).sorted() == [], "not watched")
    #expect(told.subtracting(marks).sorted() == [], "watched under another path")
    await watcher.stop()
  }
}

/// Every file on disk must be known as changed, and nothing else, unless the kernel said that it dropped events.
private func compare(
  _ events: [WatchEvent], listing: (files: Set<RelativePath>, afterEvents: Int), with disk: Set<RelativePath>
) throws {
  if events.contains(.rescan(.root, .queueOverflow)) { return }
  let told = changedFiles(events, listing: listing)
  #expect(disk.subtracting(told).sorted() == [], "missed")
  #expect(told.subtracting(disk).sorted() == [], "not there")
}

private func thread(_ body: @escaping @Sendable () throws -> Void) -> Task<Void, any Error> {
  Task {
    try await withCheckedThrowingContinuation { continuation in
      Thread { continuation.resume(with: Result { try body() }) }.start()
    }
  }
}

/// Random changes; those that others made impossible fail, which is part of it.
private func storm(in tree: ScratchTree, seed: UInt64, steps: Int) {
  var random = SplitMix64(seed: seed)
  func name() -> String {
    let depth = Int.random(in: 1...3, using: &random)
    return (0..<depth).map { _ in "d\(Int.random(in: 0..<4, using: &random))" }.joined(separator: "/")
  }
  for step in 0..<steps {
    let one = tree.path(name())
    let two = tree.path(name())
    let file = "f\(Int.random(in: 0..<4, using: &random))"
    switch Int.random(in: 0..<12, using: &random) {
    case 0...2: mkdir(one, 0o755)
    case 3...5: close(open("\(one)/\(file)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
    case 6: rename("\(one)/\(file)", "\(two)/f\(step % 4)")
    case 7, 8: rename(one, two)
    case 9: unlink("\(one)/\(file)")
    case 10: if step.isMultiple(of: 2) { exchangeNames(one, two) } else { rmdir(one) }
    default:
      let away = "\(tree.outside)/away-\(seed)"
      if rename(one, away) == 0 && step.isMultiple(of: 3) { rename(away, two) }
    }
  }
}

private func directories(_ tree: ScratchTree) throws -> [RelativePath] {
  try FileManager.default.subpathsOfDirectory(atPath: tree.root).filter { path in
    var isDirectory: ObjCBool = false
    return FileManager.default.fileExists(atPath: tree.path(path), isDirectory: &isDirectory)
      && isDirectory.boolValue
  }.map { RelativePath($0) } + [.root]
}

private func directoryCount(_ tree: ScratchTree) throws -> Int { try directories(tree).count }

/// Writes a file into every directory.
private func mark(_ tree: ScratchTree) throws -> Set<RelativePath> {
  let marks = try directories(tree).map { $0.appending("mark") }
  for mark in marks { try tree.write(mark.string) }
  return Set(marks)
}
