import FileWatch
import Foundation
import Logging
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TestSupport
import Testing
import TransferLog
import Transfers

@testable import LocalTree
@testable import S3Mirror

/// A whole upload over a directory of its own and a store that the test chooses.
final class LaneUnderTest: Sendable {
  struct Configuration: Sendable {
    var interval: Duration?
    var settle: Duration = .milliseconds(20)
    var openFileGrace: Duration?
    var appendNames = ["log", "*.log"]
    var delete = true
    var bound = DeleteBound.unlimited
    var comparison = Comparison()
    var prefix = "t/"
    /// The root's path below the directory of the test. Another one is made by `prepare`.
    var root = "tree"
    var exclude: [String] = []
    var commitLast: [String] = ["DONE", "latest"]
    var inProgressNames = ["*-unfinished"]
    var temporaryNames = Options.defaultTemporaryNames
    var watch: WatchKind
    /// Where the tree is; nil for in memory, unless the kernel watches.
    var files: FileKind?
    /// The number of directories that the kernel's watch may watch; nil for as many as there are.
    var maxWatches: Int?
    var symlinks = SymlinkPolicy.skip
    var auditInterval: Duration?
    var pollInterval: Duration = .seconds(3600)
    var singleThreshold: Int64 = 16 << 20
    var partBytes: Int64 = 16 << 20
    var wallClock: @Sendable () -> Int64 = wallClockNanoseconds
    /// The time of the stamps of files in memory.
    var fileClock: @Sendable () -> Int64 = wallClockNanoseconds
    /// Nil if the lane runs by the system's clock.
    var clock: ManualClock? = ManualClock()
    var clockMoves = ClockMoves.atRest

    init(interval: Duration? = nil, watch: WatchKind = .kernel) {
      self.interval = interval
      self.watch = watch
    }
  }

  enum FileKind: Sendable {
    case onDisk
    /// In a `MemoryFileSystem`: no system call touches the tree.
    case inMemory
  }

  enum WatchKind: Sendable {
    /// inotify(7).
    case kernel
    /// The functions of this type that change the tree report their own events.
    case reported
  }

  /// When `passTime` may move the clock.
  enum ClockMoves: Sendable {
    /// While the lane waits for its next tick.
    case atRest
    /// Also while a pass waits for its publications: for a file that S3 does not answer, the pass ends by the clock.
    case duringPasses
  }

  /// Holds the tree and `outside` beside it.
  let directory: String
  let files: any ProgramFiles
  /// Nil if the tree is on disk.
  let memory: MemoryFileSystem?
  let lane: UploadLane
  let prefix: String
  let notices: Notices
  private let clock: ManualClock?
  private let clockMoves: ClockMoves
  private let log: TransferLogWriter
  private let logDirectory: TemporaryDirectory
  private let resources: TransferResources
  private let runner = Mutex<Task<Void, Never>?>(nil)
  /// Nil if the watch is the kernel's.
  let reportedWatch: ReportedWatch?
  private let kernelWatch = KernelWatch()

  let tree: String
  var outside: String { directory + "/outside" }

  init(
    _ store: any ObjectStore, _ configuration: Configuration = .init(),
    prepare: (String, any ProgramFiles) throws -> Void = { _, _ in }
  ) async throws {
    switch configuration.files ?? (configuration.watch == .kernel ? .onDisk : .inMemory) {
    case .onDisk:
      directory = FileManager.default.temporaryDirectory.path + "/s3mirror-lane-" + UUID().uuidString
      memory = nil
      files = DiskFiles()
    case .inMemory:
      directory = "/mirror"
      let memory = MemoryFileSystem(clock: configuration.fileClock)
      self.memory = memory
      files = memory
    }
    for name in ["tree", "outside"] { try files.makeDirectories(directory + "/" + name) }
    tree = directory + "/" + configuration.root
    try prepare(tree, files)
    logDirectory = try TemporaryDirectory()
    let notices = Notices()
    self.notices = notices
    prefix = configuration.prefix
    clock = configuration.clock
    clockMoves = configuration.clockMoves
    log = TransferLogWriter(directory: FilePath(logDirectory.path), mirror: "test") { Issue.record("\($0)") }
    resources = try TransferResources(workers: 8)
    var uploadSettings = UploadSettings()
    uploadSettings.settle = configuration.settle
    uploadSettings.singleThreshold = configuration.singleThreshold
    // Small files stand for large ones.
    uploadSettings.stagedThreshold = 0
    uploadSettings.partBytes = configuration.partBytes
    var order = try CommitOrder(commitLast: configuration.commitLast)
    order.marks = try ProgressMarks(configuration.inProgressNames)
    order.appended = try NamePatterns(configuration.appendNames)
    var settings = UploadLane.Settings(
      name: "test", mapping: .tree(prefix: configuration.prefix),
      policy: .init(
        interval: configuration.interval, settle: configuration.settle,
        openFileGrace: configuration.openFileGrace,
        appendNames: try NamePatterns(configuration.appendNames),
        commitOrder: order),
      delete: configuration.delete,
      filter: try PathFilter(exclude: configuration.exclude, temporaries: configuration.temporaryNames),
      symlinks: configuration.symlinks,
      comparison: configuration.comparison, bound: configuration.bound, width: 16,
      questionWidth: 16)
    settings.auditInterval = configuration.auditInterval
    if let clock = configuration.clock { settings.clock = clock }
    settings.pollInterval = configuration.pollInterval
    let (kernelWatch, maxWatches) = (kernelWatch, configuration.maxWatches)
    let reportedWatch: ReportedWatch? = configuration.watch == .reported ? ReportedWatch() : nil
    self.reportedWatch = reportedWatch
    settings.makeWatch = { root, isExcluded, report in
      if let reportedWatch { return reportedWatch.connect(isExcluded, report) }
      return try kernelWatch.make(root, isExcluded, maxWatches: maxWatches, report)
    }
    var logger = Logger(label: "test")
    logger.logLevel = .error
    let counter = CountingStore(store)
    let journal = Journal(log: log, logger: logger, observer: { notices.note($0) }, bucket: "bucket")
    let (tree, resources) = (tree, resources)
    let fileSystem: any FileSystem = memory ?? KernelFileSystem()
    func makeLane() throws -> UploadLane {
      try UploadLane(
        settings: settings,
        root: try TreeRoot(path: FilePath(tree), symlinks: configuration.symlinks, in: fileSystem),
        store: counter, requests: counter.tally, resources: resources, uploadSettings: uploadSettings,
        journal: journal, watching: .on, wallClock: configuration.wallClock)
    }
    guard reportedWatch == nil else {
      lane = try makeLane()
      return
    }
    lane = try await InotifyInstances.retrying {
      let lane = try makeLane()
      // Another program may have been faster; these tests are about a lane that has one.
      guard lane.place.lacksWatch else { return lane }
      await lane.discard()
      return nil
    }
  }

  /// Watches, compares, and works off ticks and flushes from now on.
  func start() async throws {
    try await lane.enter()
    let lane = lane
    runner.withLock { $0 = Task { await lane.run() } }
  }

  /// Flushes until nothing waits: a file caught in the middle of a change takes another round.
  func settle() async throws {
    var failures: [MirrorError.Failure] = []
    for _ in 0..<50 {
      do {
        try await lane.flush()
        failures = []
      } catch let error as MirrorError where error.kind == .incomplete {
        failures = error.failures
        continue
      }
      if lane.status.waitingFiles == 0 { return }
    }
    Issue.record("something never settles: \(lane.schedule.backlog().paths), \(failures), \(lane.status)")
  }

  /// What the metadata of this lane's objects say of their writer: for objects whose answers, or whose deletes, were lost.
  var mark: [String: String] { [WriterMark.metadataName: lane.mark.text] }

  /// Returns when the condition holds. Until then the time moves on to whatever is due next.
  func passTime(until what: String, _ condition: () async throws -> Bool) async throws {
    do {
      try await eventually(what) {
        // The lane then knows of everything that the test did, and so what is due next.
        await lane.place.fence()
        let mayMove = clock?.isAwaited == true && (clockMoves == .duringPasses || isResting)
        if try await condition() { return true }
        if mayMove { clock?.advance() }
        return false
      }
    } catch var error as NeverHeld {
      error.what +=
        "; the lane \(isResting ? "rests" : "works"), dirty: \(lane.schedule.dirtyEntries), notices: \(notices.texts)"
      throw error
    }
  }

  private var isResting: Bool { lane.activity.occupation.isResting }

  /// Returns when the file has an object, of this text if it is given.
  func wait(for path: String, toBe text: String? = nil, in store: FakeObjectStore) async throws {
    try await passTime(until: "\(path) is on S3\(text.map { " as “\($0)”" } ?? "")") {
      let present = await store.text(prefix + path)
      return present != nil && (text == nil || present == text)
    }
  }

  /// Returns when the condition holds for everything that the observer heard.
  func wait(
    for what: String = "the observer heard what the test waits for",
    until condition: ([MirrorEvent]) -> Bool
  ) async throws {
    try await passTime(until: what) { condition(notices.heard) }
  }

  /// Returns when a notice contains this text.
  func wait(forNotice part: String) async throws {
    try await wait(for: "a notice said “\(part)”") { heard in
      heard.contains { $0.noticeText?.contains(part) == true }
    }
  }

  @discardableResult
  func finish(_ ending: UploadLane.Ending = .succeeded) async -> MirrorReport.Upload {
    lane.requestEnd()
    await runner.withLock { $0 }?.value
    let report = await lane.finish(ending)
    resources.stop()
    log.close()
    return report
  }

  // MARK: The watch

  /// Reports events of changes that the test made without the functions of this type.
  func report(_ events: [WatchEvent]) { reportedWatch?.report(events) }

  /// Acts as if the kernel had dropped the events that wait to be read.
  func injectOverflow() async {
    if let reportedWatch { return reportedWatch.lose {} }
    await kernelWatch.current?.injectOverflow()
  }

  /// Acts as if the kernel had dropped the events of this change.
  func injectOverflow(losing change: @Sendable () throws -> Void) async throws {
    if let reportedWatch { return try reportedWatch.lose(change) }
    try await kernelWatch.current?.injectOverflow(losing: change)
  }

  /// Makes a change while no event is read.
  func holdWatch(during change: @Sendable () throws -> Void) async throws {
    try await kernelWatch.current?.hold(during: change)
  }

  /// What the kernel's watch knows of a directory.
  func watchEntry(of directory: RelativePath) async -> WatchTable.Node? {
    await kernelWatch.current?.entry(of: directory)
  }

  // MARK: The end

  /// What the transfer log holds; after `finish`.
  func records() throws -> [TransferRecord] {
    var records: [TransferRecord] = []
    try TransferLogReader(directory: FilePath(logDirectory.path)).forEach { records.append($0) }
    return records
  }

  func removeDirectory() throws {
    if memory == nil { try FileManager.default.removeItem(atPath: directory) }
  }
}

/// The kernel's watch of a lane, which the lane makes anew for another root.
private final class KernelWatch: Sendable {
  private let watcher = Mutex<TreeWatcher?>(nil)

  var current: TreeWatcher? { watcher.withLock { $0 } }

  func make(
    _ root: TreeRoot, _ isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool, maxWatches: Int?,
    _ report: @escaping @Sendable ([WatchEvent]) -> Void
  ) throws -> TreeWatcher {
    var configuration = TreeWatcher.Configuration(isExcluded: isExcluded)
    configuration.maxWatches = maxWatches
    let made = try TreeWatcher(root: root.path, configuration: configuration, sink: report)
    watcher.withLock { $0 = made }
    return made
  }
}
