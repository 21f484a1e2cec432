import MirrorModel
import TestSupport
import Testing

/// Random changes of a tree with hard links and followed links, random ticks, random failures: in the end the bucket is the tree, and on the way no marker
/// was published ahead of what it names, and no object deleted that a renamed file still needed.
///
/// With a second writer under the prefix none of its objects is deleted either.
///
/// A failing run is made smaller and printed as the actions to replay; its seed is in the test's name.
@Suite struct RandomScheduleTests {
  @Test(arguments: 1...500) func `after a drain the bucket is the tree`(seed: Int) {
    let run = RandomRun(seed: seed, capacity: DirtySet.defaultCapacity, losses: false)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }

  /// Runs that have failed once: files that were open at entry, links to complete files, and changes that were noted together.
  @Test(arguments: [959, 3607, 3868])
  func `what has failed once holds`(seed: Int) {
    let run = RandomRun(seed: seed, capacity: DirtySet.defaultCapacity, losses: false)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }

  @Test(arguments: 20001...20200) func `lost events and collapsed directories lose no file`(seed: Int) {
    let run = RandomRun(seed: seed, capacity: 4, losses: true)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }

  @Test(.promise("LINK-7"), arguments: 43001...43400)
  func `no pointer is ahead of its target, and in the end each has the content of its target`(seed: Int) {
    let run = RandomRun(
      seed: seed, capacity: DirtySet.defaultCapacity, losses: false, symlinks: .pointers)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }

  @Test(.promise("LINK-7"), arguments: 51001...51100)
  func `pointers are right after lost events too`(seed: Int) {
    let run = RandomRun(seed: seed, capacity: 4, losses: true, symlinks: .pointers)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }

  @Test(.promise("RCT-1", "RCT-2", "RCT-4"), arguments: 62001...62150)
  func `a receipt names what is on S3, and in the end each checkpoint has its own`(seed: Int) {
    let run = RandomRun(seed: seed, capacity: DirtySet.defaultCapacity, losses: false, .one, .published)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }

  @Test(.promise("DEL-18"), arguments: 30001...30300)
  func `no object of another writer is deleted`(seed: Int) {
    let run = RandomRun(seed: seed, capacity: DirtySet.defaultCapacity, losses: seed.isMultiple(of: 3), .two)
    #expect(run.faults.isEmpty, "\(run.explanation)")
  }
}

struct RandomRun {
  let seed: Int
  let capacity: Int
  /// Whether events are lost; then objects that were deleted locally may wait for the exit's comparison.
  let losses: Bool
  private let symlinks: ModelMirror.Symlinks
  private let receipts: Receipts
  private var before: [ModelMirror.Action]
  private var actions: [ModelMirror.Action]

  static let length = 400

  enum Writers {
    case one
    case two
  }

  enum Receipts {
    case none
    case published
  }

  init(
    seed: Int, capacity: Int, losses: Bool, symlinks: ModelMirror.Symlinks = .followed,
    _ writers: Writers = .one, _ receipts: Receipts = .none
  ) {
    self.receipts = receipts
    self.seed = seed
    self.symlinks = symlinks
    self.capacity = capacity
    self.losses = losses
    var random = SplitMix64(seed: UInt64(seed))
    before = (0..<10).map { _ in Self.change(symlinks, &random) }
    actions = (0..<Self.length).map { _ in
      if writers == .two, Int.random(in: 0..<12, using: &random) == 0 { return Self.overwrite(&random) }
      return Self.action(losses: losses, symlinks, &random)
    }
    guard receipts == .published else { return }
    before = before.map(\.ofCheckpoints)
    actions = actions.map(\.ofCheckpoints)
  }

  var faults: [String] { faults(of: actions) }

  private func faults(of actions: [ModelMirror.Action]) -> [String] {
    // The patterns of its names are valid.
    let receipts = receipts == .published ? try? ModelReceipts() : nil
    var mirror = ModelMirror(
      capacity: capacity, symlinks: symlinks, before: before, receipts: receipts)
    for action in actions {
      mirror.carryOut(action)
      if !mirror.faults.isEmpty { return mirror.faults }
    }
    mirror.closeAll()
    mirror.drain()
    let differences = mirror.differences(ignoringExtras: losses)
    return mirror.endReceipts() + mirror.faults + differences + mirror.faultsAfterRemoval()
  }

  /// The smallest failing run that leaving out actions finds.
  var explanation: String {
    var kept = actions
    var length = kept.count / 2
    while length > 0 {
      var start = 0
      while start < kept.count {
        var shorter = kept
        shorter.removeSubrange(start..<min(start + length, kept.count))
        if faults(of: shorter).isEmpty { start += length } else { kept = shorter }
      }
      length /= 2
    }
    let steps = kept.map { "  \($0)" }.joined(separator: "\n")
    return "seed \(seed), before \(before):\n\(steps)\n\(faults(of: kept))"
  }

  // MARK: Choosing

  private static func action(
    losses: Bool, _ symlinks: ModelMirror.Symlinks, _ random: inout SplitMix64
  ) -> ModelMirror.Action {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<50: change(symlinks, &random)
    case 50..<65: .deliver(Int.random(in: 1...6, using: &random))
    case 65..<72: .begin(flush: Int.random(in: 0..<4, using: &random) == 0)
    case 72: losses ? .overflow : .deliver(2)
    case 73..<76: .detach
    case 76..<79: .land(failing: Int.random(in: 0..<4, using: &random) == 0)
    default: .step(failing: Int.random(in: 0..<12, using: &random) == 0)
    }
  }

  private static func overwrite(_ random: inout SplitMix64) -> ModelMirror.Action {
    .overwrite(file(&random), Bool.random(using: &random) ? .own : .same)
  }

  private static func change(
    _ symlinks: ModelMirror.Symlinks, _ random: inout SplitMix64
  ) -> ModelMirror.Action {
    let choice = Int.random(in: 0..<100, using: &random)
    if symlinks == .pointers, 40..<48 ~= choice { return .point(file(&random), at: file(&random)) }
    return switch choice {
    case 0..<26: .write(file(&random), closing: Int.random(in: 0..<4, using: &random) > 0)
    case 26..<32: .close(file(&random))
    case 32..<34: .writeOpen(file(&random))
    case 34..<41: .link(file(&random), file(&random))
    case 41..<43: .symlink(file(&random), to: target(&random))
    case 43..<47: .writeOutside(outside(&random))
    case 47: .removeOutside(target(&random))
    case 48..<56: .remove(file(&random))
    case 56..<62: .rename(file(&random), file(&random))
    case 62..<74: .makeDirectory(directory(&random))
    case 74..<86: .rename(directory(&random), directory(&random))
    case 86..<92: .remove(directory(&random))
    case 92..<95: .moveAway(directory(&random))
    case 95..<98: .exchange(anything(&random), anything(&random))
    default: .moveIn(directory(&random), files: ["a", "b"])
    }
  }

  private static let names: [RelativePath] = ["d", "e", "d/s", "e/s", "d/t"]

  private static func directory(_ random: inout SplitMix64) -> RelativePath {
    names[Int.random(in: 0..<names.count, using: &random)]
  }

  /// A file and a directory, as long as they are there.
  private static func target(_ random: inout SplitMix64) -> String {
    ["x", "y"][Int.random(in: 0..<2, using: &random)]
  }

  private static func outside(_ random: inout SplitMix64) -> String {
    ["x", "y/a", "y/k"][Int.random(in: 0..<3, using: &random)]
  }

  private static func anything(_ random: inout SplitMix64) -> RelativePath {
    Bool.random(using: &random) ? file(&random) : directory(&random)
  }

  private static func file(_ random: inout SplitMix64) -> RelativePath {
    let place = Int.random(in: 0..<4, using: &random) == 0 ? .root : directory(&random)
    // A file may take a directory's name.
    let names = ["a", "b", "c", "latest", "latest", "s", "s-unfinished"]
    return place.appending(names[Int.random(in: 0..<names.count, using: &random)])
  }
}
