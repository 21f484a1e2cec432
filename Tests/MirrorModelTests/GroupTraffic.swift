import MirrorModel

/// A group without faults and without I/O, in which every request of the protocol is counted.
///
/// The members are `GroupMember`s with the times that mirrors have, and a server that answers after a while. A
/// member reads the slots by one listing and one GetObject for each slot that another member has written since
/// (GRP-8).
struct GroupTraffic {
  /// The requests of one member.
  struct Counts: Hashable {
    var puts = 0
    var lists = 0
    var gets = 0

    static func + (left: Counts, right: Counts) -> Counts {
      Counts(puts: left.puts + right.puts, lists: left.lists + right.lists, gets: left.gets + right.gets)
    }
  }

  static let second: Int64 = 1_000_000_000

  private enum Answer {
    case read([Int: (slot: GroupSlot, version: SlotVersion)])
    case write(GroupMember.WriteAnswer)
    case pass(GroupMember.PassAnswer)
    case publication
  }

  private struct Member {
    var machine: GroupMember
    /// The versions of the other slots that it knows.
    var known: [Int: Int] = [:]
    var answer: (Answer, at: Int64)?
    /// When the member is asked for its next action.
    var due: Int64 = 0
    var hasShard = false
    var isSilent = false
  }

  let count: Int
  private var members: [Member] = []
  private var slots: [Int: (slot: GroupSlot, version: Int)] = [:]
  private(set) var counts: [Counts]
  private(set) var time: Int64 = 0
  /// When the marker appeared; nil while it waits.
  private(set) var published: Int64?

  /// How long a request takes.
  private static let latency = second / 20
  /// How long a pass takes that publishes a shard, and one that publishes nothing.
  private static let (passTime, idleTime) = (2 * second, second / 100)

  /// - Parameter count: the number of members. Each begins a little after the one before.
  init(members count: Int) {
    self.count = count
    counts = Array(repeating: Counts(), count: count)
    let settings = { (index: Int) in
      var settings = GroupMember.Settings(
        index: index, count: count, uncertainty: 5 * Self.second, lease: 60 * Self.second,
        validity: 900 * Self.second, readInterval: Self.second, restInterval: 10 * Self.second,
        attention: 15 * Self.second, timeout: 600 * Self.second)
      settings.takeover = 970 * Self.second
      return settings
    }
    members = (0..<count).map { index in
      var member = Member(
        machine: GroupMember(settings(index), attempt: UInt64(index + 1), order: 1, tree: "tree\(index)"))
      // Golden ratio: the beginnings are spread over ten seconds, and no two fall together.
      member.due = Int64((Double(index) * 0.618).truncatingRemainder(dividingBy: 1) * 10e9)
      return member
    }
  }

  private var now: GroupMember.Now { GroupMember.Now(steady: time, server: time) }

  // MARK: The job

  /// Every member but the silent ones closes a shard, and then member 0 closes the marker.
  mutating func saveCheckpoint() {
    published = nil
    for index in members.indices where !members[index].isSilent {
      members[index].hasShard = true
      change(index)
    }
    note(0) { machine, now in
      machine.note(
        GroupMarker(path: "latest", earliestClose: now.server, latestClose: now.server), at: now)
    }
  }

  /// The member publishes something. Changes need a claim that was confirmed lately.
  mutating func change(_ index: Int) {
    if !members[index].machine.mayChange(at: now) { note(index) { machine, _ in machine.noteChange() } }
  }

  mutating func silence(_ index: Int) {
    members[index].isSilent = true
    members[index].answer = nil
  }

  mutating func forgetCounts() { counts = Array(repeating: Counts(), count: count) }

  var total: Counts { counts.reduce(Counts(), +) }

  // MARK: Time

  mutating func run(seconds: Int) {
    let end = time + Int64(seconds) * Self.second
    while let next = members.indices.filter({ !members[$0].isSilent }).min(by: { when($0) < when($1) }),
      when(next) <= end
    {
      time = max(time, when(next))
      step(next)
    }
    time = end
  }

  private func when(_ index: Int) -> Int64 { members[index].answer?.at ?? members[index].due }

  private mutating func note(_ index: Int, _ change: (inout GroupMember, GroupMember.Now) -> Void) {
    change(&members[index].machine, now)
    members[index].due = time
  }

  private mutating func step(_ index: Int) {
    if let (answer, _) = members[index].answer {
      members[index].answer = nil
      take(answer, index)
    }
    switch members[index].machine.next(at: now) {
    case .read: read(index)
    case .write(let slot, let over): write(slot, over, index)
    case .pass:
      let isBusy = members[index].hasShard
      members[index].hasShard = false
      reply(.pass(.published), to: index, after: isBusy ? Self.passTime : Self.idleTime)
    case .publish:
      reply(.publication, to: index, after: Self.latency)
    case .look, .rest, .leave:
      members[index].due = members[index].machine.wakeTime(at: now).map { max($0, time + 1) } ?? .max
    }
  }

  private mutating func reply(_ answer: Answer, to index: Int, after delay: Int64 = Self.latency) {
    members[index].answer = (answer, time + delay)
  }

  private mutating func take(_ answer: Answer, _ index: Int) {
    switch answer {
    case .read(let slots): members[index].machine.note(slots: slots, at: now)
    case .write(let answer): members[index].machine.note(write: answer, at: now)
    case .pass(let answer): members[index].machine.note(pass: answer, at: now)
    case .publication:
      published = time
      members[index].machine.note(publication: .published, at: now)
    }
  }

  // MARK: The server

  private mutating func read(_ index: Int) {
    counts[index].lists += 1
    for (member, held) in slots where members[index].known[member] != held.version {
      members[index].known[member] = held.version
      counts[index].gets += 1
    }
    reply(.read(slots.mapValues { ($0.slot, String($0.version)) }), to: index)
  }

  private mutating func write(_ slot: GroupSlot, _ over: SlotVersion?, _ index: Int) {
    counts[index].puts += 1
    guard over == slots[index].map({ String($0.version) }) else {
      return reply(.write(.refused), to: index)
    }
    let version = (slots[index]?.version ?? 0) + 1
    slots[index] = (slot, version)
    members[index].known[index] = version
    reply(.write(.accepted(String(version))), to: index)
  }
}
