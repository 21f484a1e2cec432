import MirrorModel
import TestSupport
import Testing

@Suite struct EventScriptTests {
  @Test(arguments: EventScript.all) func `the schedule does what the script expects`(script: EventScript)
    throws
  {
    var run = try ScriptRun(script)
    for line in script.lines {
      let answer = try run.carryOut(line)
      if let expected = line.expected {
        #expect(answer == expected, "\(script.name), line \(line.number)")
      }
    }
  }
}

/// Runs a script on a schedule whose clock is the script's.
private struct ScriptRun {
  private let script: EventScript
  private let start = Instant(nanoseconds: 0)
  private var schedule: UploadSchedule
  /// The pass in hand, until `finish`.
  private var batch = DirtySet.Batch()

  init(_ script: EventScript) throws {
    self.script = script
    func seconds(_ name: String) throws -> Duration? {
      guard let text = script.settings[name], text != "none" else { return nil }
      guard let value = Double(text) else { throw ScriptText.Malformed(script: script.name, line: 0) }
      return .seconds(value)
    }
    let interval = script.settings["interval"] == nil ? .seconds(60) : try seconds("interval")
    let policy = UploadSchedule.Policy(
      interval: interval, settle: try seconds("settle") ?? .seconds(1), openFileGrace: try seconds("grace"),
      appendNames: try script.settings["append"].map { try NamePatterns([$0]) } ?? .none,
      commitOrder: CommitOrder { $0.name == "latest" })
    let capacity = script.settings["capacity"].flatMap { Int($0) } ?? DirtySet.defaultCapacity
    schedule = UploadSchedule(policy: policy, dirty: DirtySet(capacity: capacity), startingAt: start)
    // Scripts begin after the entry, unless they say when it ends.
    if script.settings["entry"] == nil { schedule.adopt(.init(), at: start) }
  }

  /// - Returns: What the line's word answers; nil for events.
  mutating func carryOut(_ line: EventScript.Line) throws -> String? {
    let now = start + .seconds(line.time)
    if let event = WatchEvent(line) {
      schedule.note([event], at: now)
      return nil
    }
    switch line.word {
    case "root-returned": schedule.noteRootReturned(at: now)
    case "entered": schedule.adopt(.init(), at: now)
    case "tick": return begin(.tick, at: now)
    case "flush": return begin(.flush, at: now)
    case "drain": return begin(.drain, at: now)
    case "look": return look(line, at: now)
    case "finish": finish(line, at: now)
    case "wake": return schedule.wakeTime(at: now).map { seconds($0 - start) } ?? "never"
    case "recovery": return schedule.recoveryPoint(at: now).map { seconds($0) } ?? "none"
    case "dirty": return describe(schedule.dirty)
    case "kept":
      let kept = schedule.dirty.origins
      return kept.isEmpty ? "nothing" : kept.sorted().map(\.string).joined(separator: ", ")
    default: throw ScriptText.Malformed(script: script.name, line: line.number)
    }
    return nil
  }

  private mutating func begin(_ trigger: UploadSchedule.Trigger, at now: Instant) -> String {
    guard let pass = schedule.begin(trigger, at: now) else { return "no pass" }
    batch = pass.batch
    let held = pass.deferred.sorted().map { "holding \($0)" }
    return (Self.words(batch) + held).joined(separator: ", ")
  }

  /// `look tick a b`: of what is asked for before a tick or a flush, `a` and `b` turn out to have no writer.
  private mutating func look(_ line: EventScript.Line, at now: Instant) -> String {
    let unclosed = schedule.unclosed(for: line.arguments.first == "flush" ? .flush : .tick, at: now)
    let gone = Set(line.arguments.dropFirst().map { RelativePath($0) })
    schedule.noteWritersGone(unclosed.filter { gone.contains($0.key) })
    return unclosed.isEmpty ? "nothing" : unclosed.keys.sorted().map(\.string).joined(separator: ", ")
  }

  /// `finish`, `finish keeping a b`, `finish failing a b`, `finish keeping a failing b`: what is kept or failed comes
  /// back dirty.
  private mutating func finish(_ line: EventScript.Line, at now: Instant) {
    var service = ServiceState.unknown
    let arguments = line.arguments.filter { word in
      switch word {
      case "unreachable": service = .unreachable
      case "answering": service = .answering
      default: return true
      }
      return false
    }
    let words = arguments.split(separator: "withholding", maxSplits: 1, omittingEmptySubsequences: false)
    let halves = words[0].split(separator: "failing", omittingEmptySubsequences: false)
    let lists = halves.map { Set($0.filter { $0 != "keeping" }.map { RelativePath($0 == "." ? "" : $0) }) }
    let failed = lists.count > 1 ? lists[1] : []
    let paths = lists[0].union(failed)
    var back = DirtySet.Batch()
    back.entries = batch.entries.filter { paths.contains($0.key) }
    back.rescans = batch.rescans.filter { paths.contains($0.key) }
    back.goneDirectories = batch.goneDirectories.filter { paths.contains($0.key) }
    if words.count > 1 { back.withheldDeletes = Set(words[1].map { RelativePath($0) }) }
    for path in back.withheldDeletes { back.entries[path] = nil }
    schedule.finish(
      unpublished: back, failed: failed, unreachable: service == .unreachable ? failed : [], service: service,
      at: now)
  }

  private func describe(_ dirty: DirtySet) -> String {
    let rest = DirtySet.Batch(
      entries: dirty.entries, rescans: dirty.rescans, goneDirectories: dirty.goneDirectories)
    return rest.isEmpty ? "nothing" : Self.words(rest).joined(separator: ", ")
  }

  private static func words(_ batch: DirtySet.Batch) -> [String] {
    batch.entries.sorted { $0.key < $1.key }.map { path, entry in
      var text = "\(path)"
      switch entry.writer {
      case .unknown: break
      case .open: text += " open"
      case .closed: text += " closed"
      }
      if let origin = entry.origin { text += " \(origin.isUnchanged ? "from" : "keeping") \(origin.path)" }
      return text
    } + batch.rescans.keys.sorted().map { "compare \($0)" }
      + batch.goneDirectories.keys.sorted().map { "gone \($0)" }
      + batch.withheldDeletes.sorted().map { "withheld \($0)" }
  }

  private func seconds(_ duration: Duration) -> String {
    let (whole, part) = duration.components
    return part == 0 ? "\(whole)" : "\(Double(whole) + Double(part) / 1e18)"
  }
}
