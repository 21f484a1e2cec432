import Foundation
import MirrorModel
import TestSupport
import Testing

/// Git is the reference for gitignore(5): `git check-ignore` must say what `PathFilter` says.
@Suite(.enabled(if: GitCheckIgnore.isPresent, "git is not installed"))
struct GitIgnoreAgreementTests {
  @Test func `Git agrees with every example`() throws {
    let git = try GitCheckIgnore()
    defer { git.remove() }
    for example in PathFilterTests.examples {
      let ignored = try git.ignored(
        of: [(example.path, example.kind)], patterns: example.patterns)
      #expect(ignored.contains(Array(example.path.utf8)) == example.isExcluded, "\(example.testDescription)")
    }
  }

  /// Patterns and paths over a small alphabet, so that they meet often.
  @Test func `Git agrees on random patterns and paths`() throws {
    let git = try GitCheckIgnore()
    defer { git.remove() }
    var random = SplitMix64(seed: 0x5333_4D49_5252_4F52)
    let pieces = [
      "a", "b", "ab", "*", "**", "?", "/", "/", "/**/", "**/", "[ab]", "[!a]", "[[:alpha:]]", "\\a", "\\*",
    ]
    let names = ["a", "b", "ab", "ba", "aab", "*", "c"]
    var excludedCount = 0
    for _ in 0..<200 {
      var patterns: [String] = []
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        let count = Int.random(in: 1...5, using: &random)
        let body = (0..<count).map { _ in pieces[Int.random(in: 0..<pieces.count, using: &random)] }.joined()
        let pattern = (Int.random(in: 0..<4, using: &random) == 0 ? "!" : "") + body
        // What Git takes and lets match nothing, the filter refuses.
        do {
          _ = try PathFilter(exclude: [pattern])
          patterns.append(pattern)
        } catch {
          continue
        }
      }
      let filter = try PathFilter(exclude: patterns)
      // Directories d…, files f…: one tree must hold all of them.
      var paths: [(String, EntryKind)] = []
      for _ in 0..<30 {
        let depth = Int.random(in: 0...3, using: &random)
        let directories = (0..<depth).map { _ in names[Int.random(in: 0..<names.count, using: &random)] }
        let name = names[Int.random(in: 0..<names.count, using: &random)]
        let isDirectory = Bool.random(using: &random)
        let path = (directories + [name]).joined(separator: "/")
        let clashes = paths.contains { other, kind in
          kind == .file ? (path + "/").hasPrefix(other + "/") : false
        }
        let isParent = paths.contains { other, _ in other.hasPrefix(path + "/") || other == path }
        if clashes || isParent { continue }
        paths.append((path, isDirectory ? .directory : .file))
      }
      let ignored = try git.ignored(of: paths, patterns: patterns)
      for (path, kind) in paths {
        let expected = ignored.contains(Array(path.utf8))
        if expected { excludedCount += 1 }
        #expect(filter.excludes(RelativePath(path), kind) == expected, "\(patterns) \(path) \(kind)")
      }
    }
    #expect(excludedCount > 500, "the random rows must exercise matches")
  }
}

/// A scratch repository that is asked with `git check-ignore`.
private struct GitCheckIgnore {
  private let base: URL

  static let isPresent = FileManager.default.isExecutableFile(atPath: "/usr/bin/git")

  init() throws {
    base = FileManager.default.temporaryDirectory.appendingPathComponent("s3mirror-git-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
    try run(["init", "-q", "--bare", base.appendingPathComponent("repository").path], input: [])
  }

  func remove() {
    do { try FileManager.default.removeItem(at: base) } catch { Issue.record(error) }
  }

  func ignored(of paths: [(String, EntryKind)], patterns: [String]) throws -> Set<[UInt8]> {
    let tree = base.appendingPathComponent(UUID().uuidString)
    for (path, kind) in paths {
      let url = tree.appendingPathComponent(path)
      let directory = kind == .directory ? url : url.deletingLastPathComponent()
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
      if kind == .file { try Data().write(to: url) }
    }
    let rules = base.appendingPathComponent("patterns")
    try Data(patterns.joined(separator: "\n").utf8).write(to: rules)
    let output = try run(
      [
        "--git-dir", base.appendingPathComponent("repository").path, "--work-tree", tree.path,
        "-c", "core.bare=false", "-c", "core.excludesFile=\(rules.path)",
        "check-ignore", "--no-index", "--stdin", "-z",
      ], input: Array(paths.map(\.0).joined(separator: "\0").utf8) + [0], directory: tree)
    return Set(output.split(separator: 0).map(Array.init))
  }

  @discardableResult
  private func run(_ arguments: [String], input: [UInt8], directory: URL? = nil) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/git")
    process.arguments = arguments
    process.environment = ["GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"]
    process.currentDirectoryURL = directory
    let standardInput = Pipe.makePrivate()
    let standardOutput = Pipe.makePrivate()
    process.standardInput = standardInput
    process.standardOutput = standardOutput
    try process.start()
    // A few hundred bytes: less than the 64 KiB a pipe holds, so writing first cannot stall.
    try standardInput.fileHandleForWriting.write(contentsOf: Data(input))
    try standardInput.fileHandleForWriting.close()
    let output = try standardOutput.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    // check-ignore: 0 some are ignored, 1 none is, 128 it failed.
    #expect(process.terminationStatus <= 1, "git \(arguments)")
    return Array(output)
  }
}
