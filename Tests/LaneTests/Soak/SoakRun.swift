import Glibc
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing

@testable import S3Mirror

/// Writers at random over one tree, a mirror that ticks and is flushed at random, and what came of it.
struct SoakRun {
  var seed: UInt64
  /// Over all writers.
  var operations = 20_000
  var writers = 4
  var overflows = 0
  var maxWatches: Int?
  /// Whether the kernel gives few watches.
  var isLimited = false
  var interval: Duration = .milliseconds(120)
  var emphasis = SoakTests.emphasis
  /// Whether what writers do to names is recorded, for which they wait for one another.
  var isJournaled = true
  var auditInterval: Duration?
  var retries = RetryPolicy()
  var singleThreshold: Int64 = 5 << 20
  /// Whether the mirror ends with what the last operations left dirty, instead of being flushed before.
  var endsAtOnce = false
  /// Called when the entry is over.
  var whenEntered: @Sendable () async -> Void = {}

  private final class Finished: Sendable {
    private let writers = Mutex(0)
    var count: Int { writers.withLock { $0 } }
    func note() { writers.withLock { $0 += 1 } }
  }

  struct Outcome {
    var differences: [String] = []
    /// Before the exit's comparison had its say.
    var differencesBeforeExit: [String] = []
    /// What was asked of the bucket about each of those.
    var histories: [String: [WitnessStore.Request]] = [:]
    /// Directories of whose changes it would not have heard.
    var unguarded: [RelativePath] = []
    /// What the mirror knew about each difference.
    var explanations: [String: String] = [:]
    var torn: [WitnessStore.Sighting] = []
    var oracle = SoakOracle.Findings()
    /// Where the oracle knows the tree wrongly.
    var doubts: [String] = []
    /// Operations that took effect, by kind.
    var successes: [String: Int] = [:]
    var audits = 0
    /// What was said of drift.
    /// Of changes that the watch missed.
    var driftNotices: [String] = []
    /// Of other causes too.
    var allDriftNotices: [String] = []
    var unexplainedDrift: [String] = []
    var failures: [MirrorError.Failure] = []
    var looked = 0
    var snapshots = 0
    /// What a reader found that followed markers all the time.
    var brokenMarkers: [String] = []
    /// What was asked of the bucket about markers.
    var markerHistory: [WitnessStore.Request] = []
    var checkpointsRead: Set<String> = []
    var report = MirrorReport.Upload(name: "")
  }

  /// - Parameter service: sends each request once.
  func run(over service: any ObjectStore, prefix: String) async throws -> Outcome {
    let witness = WitnessStore(service, prefix: prefix)
    // What the test reads itself is not the subject.
    let store = RetryingStore(patientlyTo: service)
    var configuration = LaneUnderTest.Configuration(interval: interval)
    configuration.clock = nil
    configuration.prefix = prefix
    configuration.maxWatches = maxWatches
    configuration.singleThreshold = singleThreshold
    configuration.partBytes = 5 << 20
    configuration.openFileGrace = .milliseconds(50)
    configuration.auditInterval = auditInterval
    let mirror = try await LaneUnderTest(RetryingStore(witness, policy: retries), configuration)
    try await mirror.start()
    await whenEntered()
    var outcome = Outcome()
    let reader = MarkerReader(store: store, prefix: prefix)
    let reading = Task {
      var findings: Set<MarkerReader.Finding> = []
      for await _ in witness.changes { findings.insert(try await reader.read()) }
      return findings
    }
    // A run that throws must not leave the reader waiting.
    defer { witness.endChanges() }
    outcome.successes = try await write(to: mirror)
    witness.endChanges()
    for finding in try await reading.value {
      switch finding {
      case .whole(let name): outcome.checkpointsRead.insert(name)
      case .broken(let problem): outcome.brokenMarkers.append(problem)
      case .passedOver: break
      }
    }
    let history = try isJournaled ? NameHistory(NameJournal(in: mirror.directory).records()) : nil
    let picture = try TreePicture(of: mirror.tree)
    if !endsAtOnce {
      try await settle(mirror)
      if case .whole(let name) = try await reader.read() { outcome.checkpointsRead.insert(name) }
      let before = picture.differencesByPath(from: try await store.contents(under: prefix))
        .filter { history?.wasWrittenUnseen(fileAt: "tree/" + $0.key.string) != true }
      outcome.differencesBeforeExit = before.values.sorted()
      for (path, difference) in before {
        outcome.histories[difference] = witness.requests(about: prefix + path.string)
        outcome.explanations[difference] = await explanation(of: path, in: mirror, history)
      }
      outcome.unguarded = try await mirror.unguardedDirectories()
    }
    outcome.report = await mirror.finish()
    outcome.failures = outcome.report.failures
    let report = outcome.report
    outcome.differences = picture.differencesByPath(from: try await store.contents(under: prefix))
      .filter { !report.tells(of: $0.key, isExtra: $0.value.hasPrefix("extra")) }.values.sorted()
    if endsAtOnce, case .broken(let problem) = try await reader.read() {
      outcome.brokenMarkers.append(problem)
    }
    if !outcome.brokenMarkers.isEmpty { outcome.markerHistory = witness.requestsAboutMarkers() }
    outcome.torn = witness.torn
    outcome.looked = witness.sightings.count
    outcome.snapshots = witness.unfinished.count
    outcome.allDriftNotices = mirror.notices.texts.filter { $0.contains(" differ from S3 ") }
    outcome.driftNotices = mirror.notices.texts.filter { $0.contains(ConditionNotices.missedChange.before) }
    outcome.audits = mirror.notices.passes.count { $0.kind == .audit }
    let oracle = SoakOracle(records: try mirror.records(), prefix: prefix, history: history)
    outcome.oracle = oracle.judge(witness.sightings)
    outcome.unexplainedDrift = oracle.unexplained(outcome.driftNotices)
    outcome.driftNotices = outcome.driftNotices.map { notice in
      notice
        + oracle.paths(in: notice).map { path in
          let requests = witness.requests(about: prefix + path).suffix(40).map { "\n  \($0)" }.joined()
          return "\n  \(path): \(history?.lives(ofFilesAt: "tree/" + path) ?? "")\(requests)"
        }.joined()
    }
    outcome.doubts = oracle.doubts(about: picture)
    try mirror.removeDirectory()
    return outcome
  }

  private func settle(_ mirror: LaneUnderTest) async throws {
    try await mirror.settle()
    guard maxWatches != nil || isLimited else { return }
    // What is polled is compared at the pass after the one that asked for it.
    for _ in 0..<2 { try await mirror.settle() }
  }

  /// What a difference may come from: the file, what was published of it, and how its directory is watched.
  private func explanation(
    of path: RelativePath, in mirror: LaneUnderTest, _ history: NameHistory?
  ) async -> String {
    let lane = mirror.lane
    var lines: [String] = []
    if let history { lines.append(history.lives(ofFilesAt: "tree/" + path.string)) }
    let entry = Result { try lane.root.look(at: path) }
    lines.append("file \(entry)")
    if case .success(let entry?) = entry {
      let record = lane.ledger.record(of: path, matching: entry.stamp, allowing: .none)
      lines.append("published as it is: \(String(describing: record))")
      lines.append("names published of it: \(lane.ledger.paths { $0.inode == entry.stamp.inode })")
      lines.append("other names known: \(lane.aliases.others(of: path))")
    }
    for directory in path.ancestors.dropLast() {
      let known = await mirror.watchEntry(of: directory)
      let watch = known.map { "watch \($0.descriptor ?? -1), trouble \(String(describing: $0.trouble))" }
      lines.append("directory \(directory): \(watch ?? "unknown")")
    }
    lines.append("polled: \(lane.schedule.polled.keys.sorted())")
    return lines.joined(separator: "\n  ")
  }

  /// Every writer is a process of its own, at its own speed; two roam the tree, the others overlap in parts of it.
  ///
  /// - Returns: how many operations of each kind took effect.
  private func write(to mirror: LaneUnderTest) async throws -> [String: Int] {
    let finished = Finished()
    let writers = writers
    let processes = (0..<writers).map { writer in
      WriterProcess(
        directory: mirror.directory, seed: seed &* 1000 &+ UInt64(writer),
        work: .random(
          operations: operations / writers, restMicroseconds: [0, 200, 1_000, 3_000][writer % 4]),
        home: writer < 2 ? nil : writer % 6, emphasis: emphasis, isJournaled: isJournaled)
    }
    await withTaskGroup(of: Void.self) { group in
      for process in processes {
        group.addTask {
          await Self.recordingFailure { try await process.run() }
          finished.note()
          if finished.count == writers { close(creat(process.directory + "/stop", 0o600)) }
        }
      }
      let trainer = WriterProcess(
        directory: mirror.directory, seed: seed ^ 0x5EED, work: .train, emphasis: emphasis,
        isJournaled: isJournaled)
      group.addTask { await Self.recordingFailure { try await trainer.run() } }
      let (seed, overflows) = (seed, overflows)
      group.addTask {
        var random = SplitMix64(seed: ~seed)
        var left = overflows
        while finished.count < writers {
          do {
            try await Task.sleep(for: .milliseconds(20 + random.below(200)))
            if left > 0 {
              left -= 1
              await mirror.injectOverflow()
            } else if random.below(3) == 0 {
              try await mirror.lane.flush()
            }
          } catch {
            // A path that changes all the time fails a flush; only the end counts.
          }
        }
      }
    }
    let journal = isJournaled ? try NameJournal(in: mirror.directory) : nil
    HiddenNames.reveal(below: mirror.tree, by: NameCalls(journal: journal))
    return try processes.reduce(into: [:]) { sum, process in
      sum.merge(try process.successes(), uniquingKeysWith: +)
    }
  }

  private static func recordingFailure(of body: () async throws -> Void) async {
    do { try await body() } catch { Issue.record(error) }
  }
}

extension MirrorReport.Upload {
  /// Whether a difference is one of those that the end could not help.
  fileprivate func tells(of path: RelativePath, isExtra: Bool) -> Bool {
    // A comparison that failed speaks for the whole tree, and with any failure nothing superfluous is deleted.
    if isExtra { return !failures.isEmpty || withheldDeletes > 0 }
    return failures.contains { $0.path == path.string || $0.path == "." }
  }
}
