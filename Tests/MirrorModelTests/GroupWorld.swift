import MirrorModel

/// A group without I/O: members' attempts with disks and clocks, a server, and requests that may be late, lost or answered to nobody.
///
/// One tick stands for five seconds. What can happen next is a list of moves, so that a search can try all of them.
struct GroupWorld: Hashable {
  struct Setting: Hashable {
    /// How far each member's idea of the server's time is off, in ticks.
    var errors = [0, 0, 0]
    var visibility = GroupMember.Visibility.immediate
    /// Checkpoints that the members write.
    var rounds = 1
    var ticks = 12
    /// Attempts that take a member over.
    var replacements = 1
    /// Attempts that stop for a while (SIGSTOP).
    var pauses = 1
    /// Requests, or their answers, that are lost.
    var losses = 0
    /// Whether a request of which the sender has given up the answer may still arrive.
    var strays = false
    /// Whether one member deletes a file of which another writes the object.
    var sharing = false
    /// Whether the members may end before the others do.
    var ending = false
    var grain = Grain.fine
  }

  /// What is one move.
  enum Grain: Hashable {
    /// Each request: all orders of them are tried.
    case fine
    /// A tick, in which every attempt does all that it can, one after the other. Only what is to be late is chosen: a search gets further.
    case coarse
  }

  /// What becomes of a member's earlier attempt.
  enum Fate: Hashable, CaseIterable { case killed, unaware }
  enum Disk: Hashable, CaseIterable { case same, empty }
  enum Delivery: Hashable, CaseIterable { case now, later }
  enum Reading: Hashable, CaseIterable { case present, past }

  enum Late: Hashable, CaseIterable { case slotWrite, change }

  enum Move: Hashable {
    case tick
    case step(Int, Delivery, Reading)
    case serve(Int)
    case serveUnanswered(Int)
    case drop(Int)
    /// The sender gives the answer up while the request is under way.
    case strand(Int)
    case serveStray(Int)
    case close(Int)
    case closeMarker
    case pause(Int)
    case resume(Int)
    /// The next request of this kind that the attempt sends will be late.
    case slow(Int, Late)
    /// The next reading of the attempt will be of the past.
    case lookBack(Int)
    case replace(Int, Fate, Disk)
    case appear
    case wish
    case overwrite
    case end(Int)
  }

  struct Request: Hashable {
    enum Kind: Hashable {
      case write(GroupSlot, over: String?)
      case put(Int)
      case marker(Int)
      case delete(over: Int)
    }

    var kind: Kind
    /// The server's time as the sender knows it.
    var signed: Int64

    var late: Late {
      if case .write = kind { .slotWrite } else { .change }
    }
  }

  struct Process: Hashable {
    var member: Int
    var machine: GroupMember
    var isPaused = false
    var isDead = false
    var late: Late?
    var looksBack = false
    var request: Request?
    var stray: Request?
    /// The shard's version on its disk; 0 for none.
    var shard = 0
    /// The marker's version on the holder's disk.
    var marker = 0
    /// The shared file was deleted here.
    var wishesDelete = false
  }

  struct Shared: Hashable {
    var member: Int
    var version: Int
  }

  let setting: Setting
  var time: Int64 = 100
  var slots: [GroupSlot?] = [nil, nil, nil]
  /// As they were one write ago.
  var pastSlots: [GroupSlot?] = [nil, nil, nil]
  var versions = [0, 0, 0]
  var shards = [0, 0, 0]
  var visibleShards = [0, 0, 0]
  var marker = 0
  var shared: Shared?
  var processes: [Process] = []
  /// By member: its latest attempt.
  var current = [0, 1, 2]
  /// The checkpoint that is written now, and who has closed his shard.
  var round = 1
  var closed = [false, false, false]
  var ticks = 0, replacements = 0, pauses = 0, losses = 0
  /// What must never happen, in words.
  var fault: String?

  init(_ setting: Setting) {
    self.setting = setting
    if setting.sharing { shared = Shared(member: 1, version: 1) }
    for member in 0..<3 { processes.append(process(member, attempt: member + 1, tree: "tree\(member)")) }
  }

  private func process(_ member: Int, attempt: Int, tree: String) -> Process {
    var settings = GroupMember.Settings(
      index: member, count: 3, uncertainty: 1, lease: 1, validity: 1, readInterval: 1, restInterval: 2,
      attention: 1, timeout: 12)
    settings.visibility = setting.visibility
    return Process(
      member: member,
      machine: GroupMember(settings, attempt: UInt64(attempt), order: Int64(attempt), tree: tree))
  }

  func now(of process: Int) -> GroupMember.Now {
    GroupMember.Now(steady: time, server: time + Int64(setting.errors[processes[process].member]))
  }

  private func isLeft(_ index: Int) -> Bool { processes[index].machine.departure != nil }

  func canRun(_ index: Int) -> Bool { !processes[index].isDead && !processes[index].isPaused }

  // MARK: What can happen

  var moves: [Move] {
    var moves: [Move] = []
    for index in processes.indices {
      if setting.grain == .coarse {
        if canRun(index), processes[index].request == nil, processes[index].late == nil, !isLeft(index) {
          moves += Late.allCases.map { .slow(index, $0) }
        }
        if setting.visibility == .delayed, canRun(index), !processes[index].looksBack, !isLeft(index) {
          moves.append(.lookBack(index))
        }
      } else if canRun(index), processes[index].request == nil {
        var copy = processes[index].machine
        let action = copy.next(at: now(of: index))
        switch action {
        case .rest, .leave: break
        case .read where setting.visibility == .delayed:
          moves += Reading.allCases.map { .step(index, .now, $0) }
        case .read, .look: moves.append(.step(index, .now, .present))
        case .write, .pass, .publish: moves += Delivery.allCases.map { .step(index, $0, .present) }
        }
      }
      if processes[index].request != nil {
        moves.append(.serve(index))
        if losses < setting.losses, !processes[index].isDead {
          moves += [.serveUnanswered(index), .drop(index)]
          if setting.strays { moves.append(.strand(index)) }
        }
      }
      if processes[index].stray != nil { moves.append(.serveStray(index)) }
      if canRun(index), pauses < setting.pauses, !isLeft(index) { moves.append(.pause(index)) }
      if processes[index].isPaused, !processes[index].isDead { moves.append(.resume(index)) }
      if setting.ending, canRun(index), round > setting.rounds { moves.append(.end(index)) }
    }
    if round <= setting.rounds {
      moves += (0..<3).filter(canClose).map { .close($0) }
      if canCloseMarker { moves.append(.closeMarker) }
    }
    if replacements < setting.replacements {
      for member in 0..<3 {
        for fate in Fate.allCases { moves += Disk.allCases.map { .replace(member, fate, $0) } }
      }
    }
    if visibleShards != shards { moves.append(.appear) }
    if setting.sharing {
      if !processes[current[1]].wishesDelete, canRun(current[1]) { moves.append(.wish) }
      if shared?.member != 2, canRun(current[2]), processes[current[2]].machine.isActive {
        moves.append(.overwrite)
      }
    }
    if ticks < setting.ticks { moves.append(.tick) }
    return moves
  }

  private func canClose(_ member: Int) -> Bool {
    !closed[member] && canRun(current[member]) && processes[current[member]].machine.hasClaim
  }

  private var canCloseMarker: Bool { closed == [true, true, true] && canRun(current[0]) }

  mutating func carryOut(_ move: Move) {
    switch move {
    case .tick:
      time += 1
      ticks += 1
      if setting.grain == .coarse { work() }
    case .step(let index, let delivery, let reading): step(index, delivery, reading)
    case .serve(let index): serve(index, isAnswered: true)
    case .serveUnanswered(let index):
      losses += 1
      serve(index, isAnswered: false)
    case .drop(let index):
      losses += 1
      answer(index, with: nil)
    case .strand(let index):
      losses += 1
      processes[index].stray = processes[index].request
      answer(index, with: nil)
    case .serveStray(let index): serveStray(index)
    case .close(let member): close(member)
    case .closeMarker: closeMarker()
    case .pause(let index):
      pauses += 1
      processes[index].isPaused = true
    case .resume(let index): processes[index].isPaused = false
    case .slow(let index, let late): processes[index].late = late
    case .lookBack(let index): processes[index].looksBack = true
    case .replace(let member, let fate, let disk): replace(member, fate, disk)
    case .appear: visibleShards = shards
    case .wish:
      processes[current[1]].wishesDelete = true
      processes[current[1]].machine.noteChange()
    case .overwrite: shared = Shared(member: 2, version: (shared?.version ?? 0) + 1)
    case .end(let index): processes[index].machine.requestEnd()
    }
    check()
  }

  // MARK: The job

  mutating func close(_ member: Int) {
    closed[member] = true
    processes[current[member]].shard = round
    processes[current[member]].machine.noteChange()
  }

  /// The framework's barrier has put all closes before this one.
  mutating func closeMarker() {
    let now = now(of: current[0])
    processes[current[0]].marker = round
    processes[current[0]].machine.note(
      GroupMarker(path: "latest", earliestClose: now.server, latestClose: now.server), at: now)
    round += 1
    closed = [false, false, false]
  }

  private mutating func replace(_ member: Int, _ fate: Fate, _ disk: Disk) {
    replacements += 1
    let old = current[member]
    if fate == .killed { processes[old].isDead = true }
    var new = process(
      member, attempt: processes.count + 1, tree: disk == .same ? "tree\(member)" : "tree\(processes.count)")
    if disk == .same {
      new.shard = processes[old].shard
      new.marker = processes[old].marker
      if new.marker > marker {
        // Found at entry: it was closed at some time until now.
        let now = now(of: old)
        new.machine.note(
          GroupMarker(path: "latest", earliestClose: 0, latestClose: now.server), at: now)
      }
    }
    current[member] = processes.count
    processes.append(new)
    // The barrier of the checkpoint in hand breaks.
    closed = [false, false, false]
  }

  // MARK: Checks

  private mutating func check() {
    if visibleShards.contains(where: { $0 < marker }) {
      fault = fault ?? "the marker \(marker) is there before all data: \(visibleShards)"
    }
  }
}
