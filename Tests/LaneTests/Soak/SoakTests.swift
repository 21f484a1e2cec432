import Foundation
import S3Client
import TestSupport
import Testing

@testable import S3Mirror

/// Random writers against a mirror: at the end the bucket is the tree, and at no moment was an object torn.
///
/// `S3MIRROR_SOAK_OPERATIONS`, those of the main test, makes all runs longer: the real server's has half of them, the others
/// an eighth. `S3MIRROR_SOAK_SEED` repeats one; `S3MIRROR_SOAK_EMPHASIS=names` makes more links, directories and renames.
@Suite(.serialized) struct SoakTests {
  static let operations = number("S3MIRROR_SOAK_OPERATIONS") ?? 20_000
  static let seed = number("S3MIRROR_SOAK_SEED").map(UInt64.init) ?? .random(in: 0..<1_000_000)

  static let emphasis =
    ProcessInfo.processInfo.environment["S3MIRROR_SOAK_EMPHASIS"].flatMap(TreeOperation.Emphasis.init)
    ?? .writes

  /// So many that every kind of them must have taken effect.
  private static let completeOperations = 20_000

  private static func number(_ name: String) -> Int? {
    ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
  }

  func check(_ run: SoakRun, over store: any ObjectStore, prefix: String) async throws {
    let start = ContinuousClock.now
    Self.announce(run.seed, "\(run.operations) operations begin")
    let outcome = try await run.run(over: store, prefix: prefix)
    print(
      "soak: seed \(run.seed): done with \(run.operations) operations, \(outcome.looked) objects looked at, \(outcome.snapshots) of them snapshots of open files and \(outcome.oracle.copies) copies, \(outcome.checkpointsRead.count) checkpoints read, \(outcome.report.ticks) passes, \(outcome.audits) audits, \(outcome.report.published) published, \(outcome.report.deleted) deleted, \(ContinuousClock.now - start), requests \(outcome.report.requests)"
    )
    let successes = outcome.successes.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    print("soak: seed \(run.seed): took effect: \(successes.joined(separator: ", "))")
    let note = Comment("seed \(run.seed); S3MIRROR_SOAK_SEED repeats it")
    if run.operations >= Self.completeOperations, run.emphasis == .writes {
      let missing = TreeOperation.kinds.filter { outcome.successes[$0, default: 0] == 0 }
      #expect(missing == [], note)
    }
    #expect(Set(outcome.successes.keys).isSubset(of: TreeOperation.kinds), note)
    #expect(outcome.torn == [], note)
    #expect(outcome.oracle.unproved == [], note)
    #expect(outcome.oracle.wronglyProved == [], note)
    #expect(outcome.oracle.misplaced == [], note)
    // Every file but a log waits for its close.
    #expect(outcome.snapshots == 0, note)
    #expect(outcome.doubts == [], note)
    #expect(outcome.brokenMarkers == [], note)
    for request in outcome.markerHistory { print("soak: markers: \(request)") }
    if !run.endsAtOnce { #expect(!outcome.checkpointsRead.isEmpty, note) }
    // What a comparison finds superfluous waits for the exit.
    let isWatched = run.overflows == 0 && run.maxWatches == nil && !run.isLimited
    let differences = outcome.differencesBeforeExit.filter { isWatched || !$0.hasPrefix("extra") }
    #expect(differences == [], note)
    for difference in differences {
      print("soak: \(difference):\n  \(outcome.explanations[difference, default: ""])\n  requests:")
      for request in outcome.histories[difference, default: []].suffix(40) { print("  \(request)") }
    }
    #expect(outcome.unguarded == [], note)
    // Where events are lost or watches are missing, an audit may well be the first to know.
    if isWatched {
      #expect(outcome.unexplainedDrift == [], note)
      // A file that is written under a name outside of the tree is drift that no event reports.
      #expect(outcome.report.drift == 0 || !outcome.allDriftNotices.isEmpty, note)
    }
    for notice in outcome.driftNotices + outcome.allDriftNotices { print("soak: \(notice)") }
    if run.auditInterval != nil { #expect(outcome.audits > 0, note) }
    #expect(outcome.differences == [], note)
    if !run.endsAtOnce { #expect(outcome.failures == [], note) }
  }

  /// Called before anything runs, so that a run that hangs or throws has printed its seed.
  private static func announce(_ seed: UInt64, _ what: String) {
    print("soak: seed \(seed): \(what)")
    // To a file or a pipe, print(_:) would keep it back.
    fflush(nil)
  }

  private func check(_ run: ScriptedRun) async throws {
    Self.announce(Self.seed, "scripts of one writer begin")
    for round in 0..<UInt64(max(1, Self.operations / 1000)) {
      let script = run.script(seed: Self.seed &+ round, count: 100)
      let differences = try await run.differences(after: script)
      guard !differences.isEmpty else { continue }
      let short = try await run.shortened(script)
      let found = try await run.differences(after: short)
      Issue.record("seed \(Self.seed &+ round): \(differences); shortened to \(short): \(found)")
      return
    }
  }

  @Test func `what one writer does is on S3 after a flush`() async throws {
    try await check(ScriptedRun())
  }

  @Test func `what one writer does is on S3 after some flushes if watches are few`() async throws {
    try await check(ScriptedRun(maxWatches: 4))
  }

  @Test func `what one writer does is on S3 after a flush if events are lost`() async throws {
    try await check(ScriptedRun(losesEvents: true))
  }

  @Test(.promise("PUB-1"))
  func `after random changes the bucket is the tree, and no object was ever torn`() async throws {
    let store = FakeObjectStore()
    var run = SoakRun(seed: Self.seed, operations: Self.operations)
    run.auditInterval = .milliseconds(300)
    try await check(run, over: store, prefix: "t/")
  }

  @Test(.enabled(if: ServerUnderTest.fromEnvironment != nil))
  func `after random changes the bucket is the tree on a real server too`() async throws {
    let server = try #require(ServerUnderTest.fromEnvironment)
    try await server.run(under: "soak") { bucket, prefix async throws in
      var run = SoakRun(seed: Self.seed, operations: Self.operations / 2)
      run.auditInterval = .seconds(2)
      try await check(run, over: bucket, prefix: prefix)
    }
  }

  @Test func `random failures and lost answers leave no difference`() async throws {
    let store = FakeObjectStore()
    let faults = RandomFaults(seed: Self.seed)
    await store.inject { faults.fault($0, $1) }
    var run = SoakRun(seed: Self.seed, operations: Self.operations / 8)
    // Nothing is gained by patience with a store that has its moods by chance.
    run.retries.baseSeconds = 0.01
    // So that answers of CompleteMultipartUpload are lost too.
    run.singleThreshold = 8 << 10
    try await check(run, over: store, prefix: "t/")
    await store.inject(nil)
    print("soak: faults \(faults.counts)")
    // Shorter runs may be spared some.
    guard run.operations >= 2_000 else { return }
    for kind in RandomFaults.Kind.allCases { #expect(faults.counts[kind, default: 0] > 0, "\(kind)") }
  }

  /// The end tries once more what it could not publish, and reports what is left.
  @Test func `a mirror that ends while its service fails reports every difference`() async throws {
    for round in 0..<4 {
      let store = FakeObjectStore()
      let seed = Self.seed &+ UInt64(round)
      let faults = RandomFaults(seed: seed, oneIn: 8)
      var run = SoakRun(seed: seed, operations: Self.operations / 32)
      run.retries = RetryPolicy(maxAttempts: 1)
      run.endsAtOnce = true
      run.whenEntered = { await store.inject { faults.fault($0, $1) } }
      try await check(run, over: store, prefix: "t/")
    }
  }

  @Test func `lost events leave no difference`() async throws {
    let store = FakeObjectStore()
    var run = SoakRun(seed: Self.seed, operations: Self.operations / 8, overflows: 20)
    // Its writers change names without a look at one another.
    run.isJournaled = false
    try await check(run, over: store, prefix: "t/")
  }

  @Test func `too few watches leave no difference`() async throws {
    let store = FakeObjectStore()
    let run = SoakRun(seed: Self.seed, operations: Self.operations / 8, maxWatches: Self.watches)
    try await check(run, over: store, prefix: "t/")
  }

  /// Few enough that most of the tree has none.
  private static let watches = 12

  /// The same with a limit of the kernel's own: that of a user namespace, which the machine's does not know of.
  @Test(.enabled(if: UserNamespace.isPermitted, "user namespaces are not permitted"))
  func `too few watches of the kernel leave no difference`() async throws {
    let limit = "/proc/sys/user/max_inotify_watches"
    Self.announce(Self.seed, "a run in a namespace begins")
    let machine = try String(contentsOfFile: limit, encoding: .utf8)
    let output = try await TestProgram.run(
      "LimitedSoakTests",
      environment: [
        "S3MIRROR_SOAK_SEED": String(Self.seed), UserNamespace.variable: try UserNamespace.current(),
      ],
      under: UserNamespace.front(after: "echo \(Self.watches) > \(limit)"))
    #expect(output.contains("soak: seed \(Self.seed): done"))
    #expect(try String(contentsOfFile: limit, encoding: .utf8) == machine)
  }

  /// Run by the test above in a namespace where watches are few.
  @Suite(.enabled(if: UserNamespace.isOwn, "only in a namespace with a limit")) struct LimitedSoakTests {
    @Test func `after random changes under a limit the bucket is the tree`() async throws {
      let store = FakeObjectStore()
      var run = SoakRun(seed: SoakTests.seed, operations: SoakTests.operations / 8)
      run.isLimited = true
      try await SoakTests().check(run, over: store, prefix: "t/")
    }
  }
}

/// A user namespace (user_namespaces(7)) for a program of its own.
enum UserNamespace {
  /// Names the namespace that the program was started from.
  static let variable = "S3MIRROR_SOAK_OUTSIDE"

  static func current() throws -> String {
    try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/user")
  }

  static let isOwn: Bool = {
    guard let outer = ProcessInfo.processInfo.environment[variable] else { return false }
    return Result(catching: { try current() != outer }).isTrue
  }()

  /// Starts a program in a namespace, when a shell there has made sure of that and run the setup.
  static func front(after setup: String) -> [String] {
    let script =
      "[ \"$(readlink /proc/self/ns/user)\" != \"$\(variable)\" ] && \(setup) && exec \"$0\" \"$@\""
    return ["unshare", "--user", "--map-root-user", "sh", "-c", script]
  }

  static let isPermitted = succeeds(["unshare", "--user", "--map-root-user", "true"])
}

extension Result<Bool, any Error> {
  fileprivate var isTrue: Bool { if case .success(true) = self { true } else { false } }
}
