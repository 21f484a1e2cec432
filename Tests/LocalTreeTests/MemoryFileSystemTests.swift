import LocalTree
import MirrorModel
import SystemPackage
import TestSupport
import Testing

/// The filesystem of tests behaves as the machine's: the same random calls get the same answers.
@Suite struct MemoryFileSystemTests {
  /// One system call of a program.
  private enum Operation {
    case write(String, String)
    case append(String, String)
    case truncate(String, Int)
    case makeDirectory(String)
    case remove(String)
    case removeDirectory(String)
    case rename(String, String)
    case exchange(String, String)
    case link(String, String)
    case symlink(String, String)

    func carryOut(in root: String, of files: any ProgramFiles) throws(Errno) {
      func full(_ path: String) -> String { root + "/" + path }
      switch self {
      case .write(let path, let text):
        let file = try files.open(full(path), [.create, .emptied])
        try file.write(text)
      case .append(let path, let text): try files.append(full(path), text)
      case .truncate(let path, let count): try files.truncate(full(path), to: count)
      case .makeDirectory(let path): try files.makeDirectory(full(path))
      case .remove(let path): try files.remove(full(path))
      case .removeDirectory(let path): try files.removeDirectory(full(path))
      case .rename(let path, let other): try files.rename(full(path), to: full(other))
      case .exchange(let path, let other): try files.exchange(full(path), with: full(other))
      case .link(let path, let other): try files.link(full(path), to: full(other))
      case .symlink(let path, let text):
        try files.symlink(full(path), to: text.replacing("ROOT", with: root))
      }
    }

    static func random(_ random: inout SplitMix64) -> Operation {
      func path() -> String {
        (0...random.below(3)).map { _ in ["a", "b", "c"][random.below(3)] }.joined(separator: "/")
      }
      switch random.below(20) {
      case 0..<3: return .write(path(), String(repeating: "x", count: random.below(4)))
      case 3: return .append(path(), "end")
      case 4: return .truncate(path(), random.below(9))
      case 5..<9: return .makeDirectory(path())
      case 9: return .remove(path())
      case 10: return .removeDirectory(path())
      case 11..<14: return .rename(path(), path())
      case 14: return .exchange(path(), path())
      case 15, 16: return .link(path(), path())
      default:
        // None leads further up than the directory above the root: the disk is the machine's own.
        let texts = [path(), "./" + path() + "/", "ROOT/" + path(), "ROOT", "ROOT/\(path())/../" + path()]
        return .symlink(path(), texts[random.below(texts.count)])
      }
    }
  }

  private static let paths: [String] = {
    let names = ["a", "b", "c"]
    let pairs = names.flatMap { first in names.map { first + "/" + $0 } }
    return names + pairs + pairs.flatMap { pair in names.map { pair + "/" + $0 } }
  }()

  /// What a program sees of each path.
  private func picture(_ root: String, _ files: any ProgramFiles) -> [String] {
    Self.paths.map { path in
      let full = root + "/" + path
      do throws(Errno) {
        let status = try files.status(full)
        let text =
          switch status.kind {
          case .file: try files.text(full)
          case .directory: try files.names(in: full).joined(separator: " ")
          case .link: try files.readLink(full)
          case .other: ""
          }
        let size = status.kind == .file ? status.byteCount : 0
        return "\(path) \(status.kind) \(size) \(status.links) \(text)"
      } catch {
        return "\(path) \(error)"
      }
    }
  }

  /// What a mirror sees of the tree.
  private func answers(_ root: TreeRoot) -> [String] {
    func answer<Value>(_ call: () throws(TreeError) -> Value) -> String {
      do throws(TreeError) { return "\(try call())" } catch { return "\(error)" }
    }
    var lines = TreeWalk(root: root).map { item in
      switch item {
      case .file(let path, let stamp): "\(path) \(stamp.size) \(stamp.links)"
      case .pointer(let path, let stamp, let pointer): "\(path) > \(pointer.target) \(stamp.size)"
      case .link(let path, _, let target): "\(path) -> \(target?.string ?? "outside")"
      case .directory, .emptyDirectory, .skipped, .unreadable, .notUTF8: "\(item)"
      }
    }
    for path in Self.paths.map({ RelativePath($0) }) {
      lines.append(
        "look \(path): "
          + answer { () throws(TreeError) in
            try root.look(at: path).map { "\($0.kind) \($0.kind == .file ? $0.stamp.size : 0)" } ?? "nothing"
          })
      lines.append(
        "place \(path): "
          + answer { () throws(TreeError) in
            try root.lookForPlace(at: path).map { "\($0.kind)" } ?? "free"
          })
      lines.append(
        "open \(path): "
          + answer { () throws(TreeError) in
            try root.open(path).map { "\($0.stamp.size) \($0.probeWriters())" } ?? "nothing"
          })
      lines.append(
        "content \(path): "
          + answer { () throws(TreeError) in
            try root.content(of: path, limit: 100).map { String(decoding: $0, as: UTF8.self) } ?? "nothing"
          })
      lines.append(
        "empty \(path): "
          + answer { () throws(TreeError) in
            try root.isEmptyDirectory(path, filter: .everything).map { "\($0)" } ?? "nothing"
          })
      lines.append("link \(path): \(root.place(ofLinkAt: path)?.string ?? "nowhere")")
      lines.append("text \(path): " + answer { () throws(TreeError) in try root.linkText(at: path) ?? [] })
    }
    return lines
  }

  @Test(arguments: 0..<12)
  func `random calls get the answers of the machine's own filesystem`(seed: Int) throws {
    let directory = try TemporaryDirectory()
    let root = directory["in"]
    let disk = DiskFiles()
    let memory = MemoryFileSystem(clock: { 0 })
    for files in [disk, memory] as [any ProgramFiles] { try files.makeDirectories(root) }
    var random = SplitMix64(seed: UInt64(seed))
    for step in 0..<150 {
      let operation = Operation.random(&random)
      func result(_ files: any ProgramFiles) -> String {
        do throws(Errno) {
          try operation.carryOut(in: root, of: files)
          return "done"
        } catch {
          return "\(error)"
        }
      }
      let (expected, found) = (result(disk), result(memory))
      try #require(found == expected, "seed \(seed), step \(step): \(operation)")
      for (expected, found) in zip(picture(root, disk), picture(root, memory)) {
        try #require(found == expected, "seed \(seed), step \(step): \(operation)")
      }
      guard step % 10 == 9 else { continue }
      for policy in [SymlinkPolicy.skip, .follow, .pointer, .link] {
        let onDisk = try TreeRoot(path: FilePath(root), symlinks: policy)
        let inMemory = try TreeRoot(path: FilePath(root), symlinks: policy, in: memory)
        for (expected, found) in zip(answers(onDisk), answers(inMemory)) {
          try #require(found == expected, "seed \(seed), step \(step), \(policy)")
        }
      }
    }
  }
}
