import TestSupport

/// What a training job may do to its tree, as data: a run is a list of these, and a failing list can be shortened.
enum TreeOperation: Sendable, Hashable {
  enum WriteMode: String, Sendable, Hashable, CaseIterable {
    /// O_TRUNC's effect, then the new bytes.
    case truncating
    /// Over the old bytes, then cut to length.
    case inPlace
    /// Over the old bytes through a mapping, at equal size.
    case mapped
    /// Beside it, then renamed over it.
    case replacing
  }

  /// What a random writer does more of.
  enum Emphasis: String, Sendable, Codable {
    case writes
    /// Links, directories and renames.
    case names
  }

  case write(String, bytes: Int, WriteMode, pieces: Int, pauseMicroseconds: UInt32)
  /// Appends blocks to a log; one that stays open is closed by a later `close`.
  case append(String, blocks: Int, staysOpen: Bool)
  case closeLogs
  case truncate(String, bytes: Int)
  /// By truncate(2), which opens nothing and so closes nothing.
  case truncateByName(String, bytes: Int)
  case rename(String, to: String)
  case exchange(String, with: String)
  case link(String, to: String)
  case symlink(String, to: String)
  case unlink(String)
  case removeTree(String)
  case makeDirectories(String)
  case burst(String, files: Int)
  case moveOut(String)
  /// To what was moved out of this path: the file, or one of this name below the directory; no event reports it.
  case writeOutside(String, name: String, bytes: Int)
  /// What was moved out of a path, perhaps to another.
  case moveIn(String, to: String)
  case touch(String)
  case chmod(String, UInt32)
  /// A path some twenty directories below this one, and a file at its end.
  case deepTree(String)
  /// The file's name becomes a directory that holds one.
  case fileToDirectory(String)
  case directoryToFile(String, bytes: Int)
  /// Written without a name (O_TMPFILE), then linked to this one.
  case linkUnnamed(String, bytes: Int)
  /// An empty file that no process ever opened.
  case makeNode(String)
  /// To a name that is not UTF-8 and can be no key.
  case hide(String)
  case unhide(String, to: String)
  /// For runs of one writer: publish now.
  case flush
  /// For runs of one writer: the watch reads no event of the next so many operations before all of them are done.
  case late(Int)
  /// For runs of one writer: the kernel drops the events of the next so many operations.
  case overflow(losing: Int)
}

extension TreeOperation {
  /// Its case, and the mode of a write: what successes are counted by.
  var kind: String {
    if case .write(_, _, let mode, _, _) = self { return "write \(mode)" }
    return Mirror(reflecting: self).children.first?.label ?? "\(self)"
  }

  /// Every kind that a random run may have.
  static let kinds =
    WriteMode.allCases.map { "write \($0)" } + [
      "append", "closeLogs", "truncate", "truncateByName", "rename", "exchange", "link", "symlink", "unlink",
      "removeTree",
      "makeDirectories", "burst", "moveOut", "writeOutside", "moveIn", "touch", "chmod", "deepTree",
      "fileToDirectory", "directoryToFile", "linkUnnamed", "makeNode", "hide", "unhide",
    ]

  /// How often what happens, in parts of 100 and a rest that writes.
  ///
  /// - Parameter home: the directory at the top that a writer mostly stays in; nil where it is at home everywhere.
  static func random(
    using random: inout SplitMix64, home: Int? = nil, emphasis: Emphasis = .writes
  ) -> TreeOperation {
    if emphasis == .names, random.below(2) == 0 { return randomNaming(using: &random, home: home) }
    // A link never takes a name from the pool: what lies below it cannot be seen then, and its delete waits for the exit.
    func path() -> String { randomPath(using: &random, home: home) }
    func file() -> String { oddly(path(), using: &random) }
    switch random.below(100) {
    case 0..<11: return .append(file(), blocks: 1 + random.below(20), staysOpen: random.below(3) == 0)
    case 11..<13: return .closeLogs
    case 13..<15: return .truncate(path(), bytes: random.below(3000))
    case 15..<16: return .truncateByName(path(), bytes: random.below(3000))
    case 16..<28: return .rename(path(), to: path())
    case 28..<30: return .rename(file(), to: file())
    case 30..<31: return .exchange(path(), with: path())
    case 31..<34: return .link(path(), to: file())
    case 34..<36: return randomSymlink(at: path(), using: &random)
    case 36..<43: return .unlink(path())
    case 43..<45: return .removeTree(path())
    case 45..<50: return .makeDirectories(path())
    case 50..<51: return .burst(path(), files: 5 + random.below(60))
    case 51..<53: return .moveOut(path())
    case 53..<55: return randomReturn(of: path(), or: path(), using: &random)
    case 55..<57: return .writeOutside(path(), name: "n\(random.below(4))", bytes: random.below(3000))
    case 57..<58: return .touch(path())
    case 58..<62: return randomRarity(at: path(), and: path(), using: &random)
    default: return randomWrite(to: file(), using: &random)
    }
  }

  /// What changes names and directories, and writes that every name of a file sees.
  private static func randomNaming(using random: inout SplitMix64, home: Int?) -> TreeOperation {
    func path() -> String { randomPath(using: &random, home: home) }
    switch random.below(10) {
    case 0..<3: return .link(path(), to: path())
    case 3..<5: return .rename(path(), to: path())
    case 5: return .makeDirectories(path())
    case 6: return .exchange(path(), with: path())
    case 7: return .unlink(path())
    default:
      return .write(
        path(), bytes: random.below(6_000), [.inPlace, .mapped, .truncating][random.below(3)],
        pieces: 1 + random.below(4), pauseMicroseconds: random.below(8) == 0 ? 45_000 : 500)
    }
  }

  /// To nothing, or to the file or directory beside it whose name it lengthens.
  private static func randomSymlink(at path: String, using random: inout SplitMix64) -> TreeOperation {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    return .symlink(path + "-link", to: random.below(3) == 0 ? "nowhere" : name)
  }

  /// Under the name that it had, or under another.
  private static func randomReturn(
    of path: String, or other: String, using random: inout SplitMix64
  ) -> TreeOperation {
    .moveIn(path, to: random.below(2) == 0 ? path : other)
  }

  private static func randomRarity(
    at path: String, and other: String, using random: inout SplitMix64
  ) -> TreeOperation {
    switch random.below(8) {
    case 0: .chmod(path, [0o600, 0o644, 0o755][random.below(3)])
    case 1: .deepTree(path)
    case 2: .fileToDirectory(path)
    case 3: .directoryToFile(path, bytes: random.below(3000))
    case 4: .linkUnnamed(path, bytes: random.below(3000))
    case 5: .makeNode(path)
    case 6: .hide(path)
    default: .unhide(path, to: other)
    }
  }

  private static func randomWrite(to path: String, using random: inout SplitMix64) -> TreeOperation {
    let bytes: Int
    switch random.below(400) {
    case 0: bytes = 5_300_000 + random.below(900_000)
    case 1..<40: bytes = random.below(120_000)
    default: bytes = random.below(6_000)
    }
    let modes = WriteMode.allCases
    // Rests longer than `settle` show whole files to a reread that are not.
    let pause: UInt32 = random.below(8) == 0 ? 45_000 : UInt32(random.below(2_000))
    return .write(
      path, bytes: bytes, modes[random.below(modes.count)], pieces: 1 + random.below(4),
      pauseMicroseconds: pause)
  }

  /// Few names, used for files and for directories, so that operations meet.
  private static func randomPath(using random: inout SplitMix64, home: Int?) -> String {
    let depth = 1 + random.below(3)
    let top = home.map { random.below(4) == 0 ? random.below(6) : $0 } ?? random.below(6)
    return (0..<depth).map { level in "n\(level == 0 ? top : random.below(4))" }.joined(separator: "/")
  }

  /// Now and then with a difficult last name: for shells, URLs, XML, normal forms or NAME_MAX.
  private static func oddly(_ path: String, using random: inout SplitMix64) -> String {
    guard random.below(16) == 0, let slash = path.lastIndex(of: "/") else { return path }
    return path[...slash] + oddNames[random.below(oddNames.count)]
  }

  /// No backslash: SeaweedFS keeps it as a slash.
  private static let oddNames = [
    "a b+c%2F&#'\"=?", "\u{E9}", "e\u{301}", "\u{1F9CA}", "-rf *", "back`tick", ".hidden", "~", "new\nline",
    String(repeating: "x", count: 255), String(repeating: "\u{FC}", count: 127),
  ]
}
