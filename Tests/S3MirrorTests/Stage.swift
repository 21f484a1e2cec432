import Foundation
import HTTPTransport
import MirrorModel
import S3Client
import Transfers
import Synchronization
import TestSupport

@testable import S3Mirror

/// A bucket, a directory and a place in each that nothing else uses: what one test of a mirror plays on.
final class Stage: Sendable {
  enum Kind: String, Sendable, CaseIterable {
    /// S3 in memory.
    case fake
    /// The server that `S3MIRROR_TEST_ENDPOINT` and its companions name.
    case server

    static var available: [Kind] { allCases.filter { $0 == .fake || Stage.serverBucket != nil } }
  }

  static let serverBucket: String? = {
    let environment = ProcessInfo.processInfo.environment
    return environment["S3MIRROR_TEST_ENDPOINT"] == nil ? nil : environment["S3MIRROR_TEST_BUCKET"]
  }()

  let directory: TemporaryDirectory
  let store: any ObjectStore
  let bucket: String
  let prefix = "stage-\(UInt64.random(in: 0 ... .max))/"
  let events = EventRecorder()
  private let fakeStore: FakeObjectStore?

  private init(
    _ kind: Kind, behaviour: FakeBucket.Behaviour, clock: @escaping @Sendable () -> Int64,
    source: Connections?
  ) throws {
    directory = try TemporaryDirectory()
    try directory.makeDirectory("run")
    if let source, let name = Self.serverBucket {
      bucket = name
      fakeStore = nil
      store = try source.bucket(of: S3Location(bucket: name, key: "")).store
    } else {
      bucket = "bucket"
      let fake = FakeObjectStore(behaviour: behaviour, clock: clock)
      fakeStore = fake
      store = fake
    }
  }

  /// Sets a stage up, plays, and clears the server's part away.
  ///
  /// - Parameter clock: the fake's.
  static func play(
    _ kind: Kind = .fake, behaviour: FakeBucket.Behaviour = .init(),
    clock: @escaping @Sendable () -> Int64 = FakeClock.system,
    _ body: (Stage) async throws -> Void
  ) async throws {
    try await instances.withPermit {
      try await InotifyInstances.waitForOne()
      try await playNow(kind, behaviour: behaviour, clock: clock, body)
    }
  }

  /// Far fewer than a user has inotify instances: without one a mirror polls, and that is another test.
  private static let instances = FairSemaphore(capacity: 16)

  private static func playNow(
    _ kind: Kind, behaviour: FakeBucket.Behaviour, clock: @escaping @Sendable () -> Int64,
    _ body: (Stage) async throws -> Void
  ) async throws {
    let process = ProcessEnvironment(overriding: nil)
    let source =
      kind == .server
      ? Connections(
        options: Options(), environment: process.variables, homeDirectory: process.homeDirectory,
        slots: FairSemaphore(capacity: 10)) : nil
    let stage = try Stage(kind, behaviour: behaviour, clock: clock, source: source)
    do {
      try await body(stage)
      if kind == .server {
        for key in try await stage.keys() {
          _ = try await stage.store.send(DeleteObject(key: stage.prefix + key))
        }
      }
    } catch {
      await source?.close()
      throw error
    }
    await source?.close()
  }

  var isFake: Bool { fakeStore != nil }

  /// Waits for nothing but the task's cancellation.
  static func untilCancelled() async {
    let (stream, continuation) = AsyncStream<Never>.makeStream()
    for await _ in stream {}
    continuation.finish()
  }

  /// The fake behind a stage of kind `fake`.
  var fake: FakeObjectStore {
    guard let fakeStore else { preconditionFailure("only a fake store can be made to fail") }
    return fakeStore
  }

  // MARK: Mirrors

  func url(_ key: String) -> String { "s3://\(bucket)/\(prefix)\(key)" }

  /// A local path as the user writes it.
  func local(_ name: String) -> String { directory[name] }

  /// Options of a user whose home, cache, state and runtime directories are on this stage.
  func options(_ change: (inout Options) -> Void = { _ in }) -> Options {
    var options = Options(cacheRoot: local("cache"), showProgress: false)
    var environment = ProcessInfo.processInfo.environment
    environment["HOME"] = local("home")
    environment["XDG_RUNTIME_DIR"] = local("run")
    environment["XDG_STATE_HOME"] = local("state")
    environment["XDG_CACHE_HOME"] = local("cache")
    options.environment = environment
    options.settle = .milliseconds(10)
    options.observer = { [events] in events.note($0) }
    change(&options)
    return options
  }

  func scope(_ change: (inout Options) -> Void = { _ in }) throws -> MirrorScope {
    guard let fakeStore else { return try MirrorScope(options: options(change)) }
    return try MirrorScope(options: options(change)) { _, _, _ in FakeBuckets(store: fakeStore) }
  }

  func mirror<Result>(
    _ specs: KeyValuePairs<String, MirrorSpec>, _ change: (inout Options) -> Void = { _ in },
    body: (MirrorSession) async throws -> Result
  ) async throws -> Result {
    try await withMirror(specs, in: try scope(change), options: options(change), body)
  }

  /// Runs `body` with an inspection of this stage's fake.
  func inspect<Result>(
    _ change: (inout Options) -> Void = { _ in }, _ body: (Inspection) async throws -> Result
  ) async throws -> Result {
    let store = fake
    let inspection = try Inspection(options: options(change)) { _, _, _ in FakeBuckets(store: store) }
    do {
      let result = try await body(inspection)
      await inspection.close()
      return result
    } catch {
      await inspection.close()
      throw error
    }
  }

  /// The report of one upload without a watch.
  func uploadOnce(
    _ spec: MirrorSpec, _ change: (inout Options) -> Void = { _ in }
  ) async throws -> MirrorReport.Upload? {
    let scope = try scope(change)
    do {
      let report = try await scope.uploadOnce(spec, name: "once")
      await scope.close()
      return report.uploads.first
    } catch {
      await scope.close()
      throw error
    }
  }

  // MARK: The bucket, as another client sees it

  /// Keys below the stage's prefix, by bytes.
  func keys() async throws -> [String] {
    var keys: [RelativePath] = []
    for try await page in store.listing(prefix: prefix) {
      keys += page.objects.map { RelativePath(String($0.key.dropFirst(prefix.count))) }
    }
    return keys.sorted().map(\.string)
  }

  func text(_ key: String) async throws -> String {
    let sink = RecordingSink()
    _ = try await store.send(GetObject(key: prefix + key, sink: sink))
    return String(decoding: sink.bytes, as: UTF8.self)
  }

  func put(_ key: String, _ text: String = "") async throws {
    _ = try await store.send(PutObject(key: prefix + key, body: BytesBody(Array(text.utf8))))
  }
}

/// One fake bucket; every other name is a bucket that does not exist.
struct FakeBuckets: BucketSource {
  let store: FakeObjectStore
  /// Told of every access that is asked for.
  var noteAccess: @Sendable (BucketAccess?) -> Void = { _ in }

  func bucket(of location: S3Location, access: BucketAccess?) throws -> OpenBucket {
    noteAccess(access)
    let isThere = location.bucket == store.bucket
    return OpenBucket(
      service: isThere ? store : NoBucket(bucket: location.bucket), retrying: { $0 },
      identity: "fake/\(location.bucket)")
  }

  func close() async {}
}

private struct NoBucket: ObjectStore {
  let bucket: String

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    throw S3Error(
      operation: Operation.name, bucket: bucket, key: nil, status: 404, code: "NoSuchBucket",
      message: "The specified bucket does not exist")
  }
}

/// Keeps the events of a mirror, and lets a test wait for one.
final class EventRecorder: Sendable {
  private struct State {
    var events: [MirrorEvent] = []
    var waiters: [(isMet: @Sendable (MirrorEvent) -> Bool, continuation: CheckedContinuation<Void, Never>)] =
      []
  }

  private let state = Mutex(State())

  var all: [MirrorEvent] { state.withLock { $0.events } }

  func note(_ event: MirrorEvent) {
    let ready = state.withLock { state in
      state.events.append(event)
      let ready = state.waiters.filter { $0.isMet(event) }
      state.waiters.removeAll { $0.isMet(event) }
      return ready
    }
    for waiter in ready { waiter.continuation.resume() }
  }

  /// Returns when such an event has come, at once if it is there.
  func first(where isMet: @escaping @Sendable (MirrorEvent) -> Bool) async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if state.events.contains(where: isMet) { return true }
        state.waiters.append((isMet, continuation))
        return false
      }
      if isThere { continuation.resume() }
    }
  }

  var passes: [PassSummary] {
    all.compactMap { event in
      if case .pass(let summary) = event { summary } else { nil }
    }
  }

  /// What the scope that ended last reported of an upload.
  func report(of name: String) -> MirrorReport.Upload? {
    let reports = all.compactMap { event -> MirrorReport? in
      if case .ended(let report) = event { report } else { nil }
    }
    return reports.last?.uploads.first { $0.name == name }
  }

  var notices: [String] {
    all.compactMap { event in
      if case .notice(let text) = event { text } else { nil }
    }
  }
}
