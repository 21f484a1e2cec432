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

  case write(String, bytes: Int, WriteMode, pieces: Int, pauseMicroseconds: UInt32)
  /// Appends blocks to a log; one that stays open is closed by a later `close`.
  case append(String, blocks: Int, staysOpen: Bool)
  case closeLogs
  case truncate(String, bytes: Int)
  case rename(String, to: String)
  case exchange(String, with: String)
  case link(String, to: String)
  case symlink(String)
  case unlink(String)
  case removeTree(String)
  case makeDirectories(String)
  case burst(String, files: Int)
  case moveOut(String)
  case moveIn(String)
  case touch(String)
  /// For runs of one writer: publish now.
  case flush
  /// For runs of one writer: the kernel drops events.
  case overflow
}

extension TreeOperation {
  /// How often what happens, in parts of 100 and a rest that writes.
  static func random(using random: inout SplitMix64) -> TreeOperation {
    // A link never takes a name from the pool: what lies below it cannot be seen then, and its delete waits for the exit.
    func path() -> String { randomPath(using: &random) }
    switch random.below(100) {
    case 0..<12: return .append(path(), blocks: 1 + random.below(20), staysOpen: random.below(3) == 0)
    case 12..<14: return .closeLogs
    case 14..<17: return .truncate(path(), bytes: random.below(3000))
    case 17..<31: return .rename(path(), to: path())
    case 31..<32: return .exchange(path(), with: path())
    case 32..<36: return .link(path(), to: path())
    case 36..<38: return .symlink(path() + "-link")
    case 38..<46: return .unlink(path())
    case 46..<48: return .removeTree(path())
    case 48..<54: return .makeDirectories(path())
    case 54..<55: return .burst(path(), files: 5 + random.below(60))
    case 55..<57: return .moveOut(path())
    case 57..<59: return .moveIn(path())
    case 59..<62: return .touch(path())
    default: return randomWrite(to: path(), using: &random)
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
  private static func randomPath(using random: inout SplitMix64) -> String {
    let depth = 1 + random.below(3)
    return (0..<depth).map { level in "n\(random.below(level == 0 ? 6 : 4))" }.joined(separator: "/")
  }
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a seed gives a run again.
struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
}
