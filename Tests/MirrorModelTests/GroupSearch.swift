import MirrorModel

/// Tries every order of everything that can happen in a group, up to a number of moves, and keeps the first sequence that breaks a rule.
struct GroupSearch {
  private(set) var states = 0
  /// The moves that led to it, and what went wrong.
  private(set) var failure: String?

  /// - Parameters:
  ///   - depth: moves from the first state.
  ///   - calmEach: of so many states one is also tried for progress: without further faults the group must get on from there.
  init(from start: GroupWorld, depth: Int, calmEach: Int) {
    // Of each state 64 bits are kept: that two of a million have the same ones has odds of 1 in 10^7.
    var visited: Set<Int> = []
    var frontier: [(world: GroupWorld, path: [GroupWorld.Move])] = [(start, [])]
    for level in 0...depth {
      var next: [(world: GroupWorld, path: [GroupWorld.Move])] = []
      for (world, path) in frontier {
        states += 1
        if let fault = world.fault ?? (states % calmEach == 0 ? world.calmFault : nil) {
          failure = "\(fault)\nafter \(path.map { "\($0)" }.joined(separator: "\n  "))\n\(world)"
          return
        }
        if level == depth { continue }
        for move in world.moves {
          var after = world
          after.carryOut(move)
          if visited.insert(after.hashValue).inserted { next.append((after, path + [move])) }
        }
      }
      frontier = next
    }
  }
}

extension GroupWorld {
  /// All attempts have claimed their slots, compared everything, and are at rest.
  var entered: GroupWorld {
    var world = self
    for _ in 0..<3 { world.passTime() }
    return world
  }

  /// One tick in which every attempt does all that it can, and the server answers at once.
  private mutating func passTime() {
    time += 1
    visibleShards = shards
    for index in processes.indices where !processes[index].isDead {
      processes[index].isPaused = false
      serve(index, isAnswered: true)
      for _ in 0..<12 where step(index, .now, .present) == .busy {}
      visibleShards = shards
    }
  }

  /// What goes wrong, if anything does, when all live on from here undisturbed: the next checkpoint's marker must get to S3, and attempts
  /// that were replaced must find it out.
  var calmFault: String? {
    var world = self
    if setting.ending { return world.endFault() }
    var goal: Int?
    for tick in 0..<60 {
      world.passTime()
      if let goal, world.marker >= goal, world.zombies.isEmpty { return world.fault }
      // One that was closed within the clocks' uncertainty of a take-over may stay back for ever.
      if goal != nil, !tick.isMultiple(of: 15) { continue }
      for member in 0..<3
      where !world.closed[member] && world.processes[world.current[member]].machine.hasClaim {
        world.close(member)
      }
      if world.closed == [true, true, true] {
        goal = goal ?? world.round
        world.closeMarker()
      }
    }
    return world.fault
      ?? "no progress: the marker \(goal ?? 0) waits for \(world.processes[world.current[0]].machine.waiting), zombies \(world.zombies)"
  }

  /// When all are told to end, all end, and a marker stays back only if data were lost.
  private mutating func endFault() -> String? {
    for index in current { processes[index].machine.requestEnd() }
    for _ in 0..<40 { passTime() }
    let left = current.filter { processes[$0].machine.next(at: now(of: $0)) != .leave(.ended) }
    if !left.isEmpty { return "attempts \(left) never end" }
    let holder = processes[current[0]]
    let isLost = holder.machine.waiting.values.contains {
      if case .lost = $0 { true } else { false }
    }
    return holder.marker > marker && !isLost ? "the last marker stays back: \(holder.machine.waiting)" : fault
  }

  private var zombies: [Int] {
    processes.indices.filter { index in
      !processes[index].isDead && current[processes[index].member] != index
        && processes[index].machine.isActive
    }
  }
}
