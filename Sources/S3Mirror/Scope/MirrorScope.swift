// S3Mirror: the library. Scopes, sessions, one lane for each upload, reconciliation.
//
// Glossary (MirrorModel explains pass, tick, marker, drift and other words of the schedule)
//
// mirror          all downloads and uploads of one scope
// scope           a mirror from entry to exit
// session         the interface that the scope's body gets: paths, `flush`, `status`, further downloads and
//                 uploads
// spec            the caller's description of one download, upload or sync
// registration    a spec under its name, with its places resolved
// entry, exit     the work before the body begins, and the work after the body has ended
// lane            one upload from entry to exit: its watch, its schedule, its passes
// root            the local directory of a lane, held open from entry to exit
// reconciliation  the comparison of a tree with the listing of its prefix
// survey          one reading of both sides; it yields differences
// spool           differences that wait for the end of the listing, in memory and then on disk
// run             a sorted piece of an unordered listing, on disk
// waypoint        the path of one local file every few pages, from which a listing can be read ahead
// stretch         the part of a listing from one waypoint to the next
// extra           an object without a local file
// flight          a publication that has outlived the pass that began it
// polled part     a part of the tree whose events may be missing, so that it is compared at each tick
// marker gate     the last check before a commit marker is sent
// held version    the content of a marker as it was when the pass began
// place of a pass room for one publication under way; one task serves each place
// evidence        what earlier runs published, fetched or found equal, by the files' stamps: a cache on disk
// layer           evidence sorted by key, in a file of blocks; a newer layer hides entries of older ones
// evidence journal  evidence in the order in which it was noted, until the next run merges it into a layer
// ledger          the stamp and ETag of each path that this run published or found equal
// journal         writes a lane's actions to the transfer log, the observer and the program's log
// linked names    the names of a file that has several names (hard links)
// writer          a program that puts objects under the prefix; another writer is any program but this mirror
// outage          the time from the first failure of one cause until every path that failed has succeeded

import Logging
import LoopThread
import S3Client
import Synchronization
import SystemPackage
import TransferLog
import Transfers

/// A mirror from entry to exit. `withMirror` and the commands run it.
///
/// The lanes run in unstructured tasks, because the end of the scope must publish even if the surrounding
/// task was cancelled. `exit` awaits every task.
package final class MirrorScope: Sendable {
  struct State {
    var table = RegistrationTable()
    var paths: [String: FilePath] = [:]
    /// Registrations made while the scope runs, until they are ready.
    var beginnings: [String: Task<Void, any Error>] = [:]
    var lanes: [UploadLane] = []
    /// Lanes whose entry is running. They have a status, and a flush waits until they have entered.
    var entering: [UploadLane] = []
    var isEntered = false
    var runs: [Task<Void, Never>] = []
    var locks: [String: HostLock] = [:]
    var log: OpenLog?
    var control: ControlSocket?
    var progress: Task<Void, Never>?
    var isEnding = false
    /// Set once all work is cut short: what happens to unfinished multipart uploads, including later ones.
    var cut: UnfinishedUploads?
    var ending: Task<[MirrorReport.Upload], Never>?
    /// A one-shot upload.
    var once: Task<MirrorReport.Upload, any Error>?
    var withheldLocalDeletes = 0
    /// The objects under the prefix of each sync when its download began, until the sync's upload takes them.
    var entryObjects: [String: EntryObjects] = [:]
    var isEnded = false
    /// Another attempt has taken over the group's member of an upload.
    var isFenced = false
    var fenceReaction: (@Sendable () -> Void)?

    mutating func noteEntryEnded(of lanes: [UploadLane]) {
      entering.removeAll { lane in lanes.contains { $0 === lane } }
    }
  }

  struct OpenLog {
    var writer: TransferLogWriter
    var task: Task<Void, Never>
  }

  let options: Options
  let resolver: SpecResolver
  let environment: [String: String]
  let controlPlaces: ControlPlaces
  let resources: TransferResources
  let meter: TransferMeter
  /// Nil if no progress is shown.
  let progress: Progress?
  /// Receives every event and passes it to the meter and to the user's observer.
  private let observer: @Sendable (MirrorEvent) -> Void
  /// Shared by all uploads and downloads, because an outage affects all of them.
  private let failures = FailureReporter()
  let state = Mutex(State())

  /// - Throws: `MirrorError.invalid` for invalid options.
  package convenience init(options: Options) throws {
    try self.init(options: options, open: Connections.init)
  }

  /// - Parameter open: makes the source of buckets after the options are checked.
  init(options: Options, open: (Options, ProcessEnvironment, TransferResources) -> any BucketSource) throws {
    try options.check()
    let process = ProcessEnvironment(overriding: options.environment)
    self.options = options
    environment = process.variables
    controlPlaces = ControlPlaces(environment: process.variables, home: FilePath(process.homeDirectory))
    let meter = TransferMeter()
    self.meter = meter
    progress = options.showProgress ? Progress(meter: meter, line: .standardError) : nil
    observer = { event in
      meter.note(event)
      options.observer?(event)
    }
    resources = try options.transferResources()
    resolver = SpecResolver(
      options: options, process: process, buckets: open(options, process, resources))
  }

  // MARK: Entry

  /// Validates everything, then downloads, then watches and compares the uploads.
  ///
  /// - Parameter requests: checkpoints to restore before all other transfers.
  package func enter(
    _ specs: [(name: String, spec: MirrorSpec)], restoring requests: [CheckpointRequest] = []
  ) async throws {
    try await enter(specs, restoring: requests, naming: .members)
  }

  /// The same with names that may be any text, because they appear in messages and logs only.
  package func enter(labelled specs: [(name: String, spec: MirrorSpec)]) async throws {
    try await enter(specs, naming: .labels)
  }

  private func enter(
    _ specs: [(name: String, spec: MirrorSpec)], restoring requests: [CheckpointRequest] = [],
    naming: RegistrationTable.Naming
  ) async throws {
    let registrations = try specs.map { try resolver.registration(name: $0.name, spec: $0.spec) }
    let new = try state.withLock { try $0.table.add(all: registrations, naming: naming) }
    if !requests.isEmpty {
      // Errors in an upload are reported before a checkpoint of many GB is fetched.
      for registration in new { try registration.checkLocal() }
      for registration in new { try await registration.checkAccess() }
      for request in requests { remember(try await restore(request), for: request.name) }
    }
    try await begin(new)
    state.withLock { $0.isEntered = true }
  }

  /// Adds a registration to the running scope. If the same registration exists, no second one is made; if it
  /// is not ready yet, the caller waits for it.
  package func add(_ spec: MirrorSpec, name: String) async throws -> FilePath {
    let registration = try resolver.registration(name: name, spec: spec)
    let beginning: Task<Void, any Error>? = try state.withLock { state in
      guard !state.isEnding else {
        throw MirrorError(.interrupted, "this mirror is ending, so \"\(name)\" cannot be added")
      }
      if case .known(let known) = try state.table.add(registration) { return state.beginnings[known.name] }
      let task = Task(executorPreference: TaskThreads.current) { try await self.begin([registration]) }
      state.beginnings[name] = task
      return task
    }
    if let beginning {
      try await withTaskCancellationHandler {
        try await beginning.value
      } onCancel: {
        beginning.cancel()
      }
    }
    return try path(of: name)
  }

  /// Starts registrations. If the start fails, the registrations are removed again.
  private func begin(_ registrations: [Registration]) async throws {
    do {
      try await carryOut(registrations)
      state.withLock { state in
        for registration in registrations { state.beginnings[registration.name] = nil }
      }
    } catch {
      let locks = state.withLock { state in
        registrations.compactMap { registration in
          state.table.remove(registration.name)
          state.beginnings[registration.name] = nil
          state.paths[registration.name] = nil
          return state.locks.removeValue(forKey: registration.name)
        }
      }
      for lock in locks { lock.release() }
      throw error
    }
  }

  private func carryOut(_ registrations: [Registration]) async throws {
    for registration in registrations { try registration.checkLocal() }
    for registration in registrations { try await registration.checkAccess() }
    try lock(registrations)
    openLog()
    openControl()
    for registration in registrations where registration.place == nil {
      if registration.spec.direction != .download, try kind(at: registration.local) == nil {
        try createDirectories(registration.local)
      }
      remember(registration.local, for: registration.name)
    }
    try await fetchAll(registrations)
    let lanes = try registrations.compactMap { registration in
      guard registration.spec.direction != .download, let place = registration.place else {
        return nil as UploadLane?
      }
      return try lane(for: registration, at: place, watching: .on)
    }
    state.withLock { $0.entering += lanes }
    defer { state.withLock { $0.noteEntryEnded(of: lanes) } }
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in lanes { group.addTask { try await lane.enter() } }
        try await group.waitForAll()
      }
      // An interrupted lane leaves the rest of its work for later. Here nothing comes later.
      try Task.checkCancellation()
    } catch {
      for lane in lanes { await lane.discard() }
      throw describe(error)
    }
    state.withLock { state in
      state.noteEntryEnded(of: lanes)
      state.lanes += lanes
      state.runs += lanes.map { lane in Task(executorPreference: TaskThreads.current) { await lane.run() } }
    }
  }

  func remember(_ path: FilePath, for name: String) {
    state.withLock { $0.paths[name] = path }
  }

  // MARK: Reports

  /// Opens the transfer log and begins to show progress, once. This happens after validation, so invalid
  /// input leaves no trace.
  func openLog() {
    let (directory, options, tell) = (resolver.folders.log, options, observer)
    state.withLock { state in
      guard state.log == nil else { return }
      let writer = TransferLogWriter(
        directory: directory, mirror: options.name, keepDays: options.logKeepDays,
        clock: TaskThreads.Clock(),
        onFailure: { message in
          options.logger.warning("\(visible(message))")
          tell(.notice(message))
        })
      state.log = OpenLog(
        writer: writer, task: Task(executorPreference: TaskThreads.current) { await writer.run() })
      if let progress {
        state.progress = Task(executorPreference: TaskThreads.current) { await progress.run() }
      }
    }
  }

  func journal(bucket: String) -> Journal {
    Journal(
      log: state.withLock { $0.log?.writer }, logger: options.logger, observer: observer,
      bucket: bucket, failures: failures)
  }

  func tell(_ event: MirrorEvent) { observer(event) }

  /// Prevents a second mirror on this host with the same remote.
  func lock(_ registrations: [Registration]) throws {
    for registration in registrations where registration.spec.direction != .download {
      guard let place = registration.place else { continue }
      // Members of a group share a remote, also on one host.
      let slot = options.group.flatMap { $0.isShared ? "\n" + $0.place.path(of: $0.member).string : nil }
      let lock = try HostLock(
        identity: place.bucket.identity + "/" + place.location.prefix + (slot ?? ""),
        remote: place.location.url, environment: environment)
      state.withLock { $0.locks[registration.name] = lock }
    }
  }
}
