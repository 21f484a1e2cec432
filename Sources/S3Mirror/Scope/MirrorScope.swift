import Logging
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import SystemPackage
import TransferLog
import Transfers

/// A mirror from entry to exit: what `withMirror` and the commands run.
///
/// The lanes run in tasks of their own, because the end of the scope must publish even when the surrounding task was
/// cancelled; `exit` awaits every one of them.
package final class MirrorScope: Sendable {
  struct State {
    var table = RegistrationTable()
    var paths: [String: FilePath] = [:]
    /// Registrations that were made while the scope runs, until they are ready.
    var beginnings: [String: Task<Void, any Error>] = [:]
    var lanes: [UploadLane] = []
    /// Lanes whose entry is under way: they can be asked, and flushed when they have entered.
    var entering: [UploadLane] = []
    var isEntered = false
    var runs: [Task<Void, Never>] = []
    var locks: [String: HostLock] = [:]
    var log: OpenLog?
    var control: ControlSocket?
    var progress: Task<Void, Never>?
    var isEnding = false
    /// What becomes of uploads under way, once everything is to be cut short; it holds for what begins later too.
    var cut: UnfinishedUploads?
    var ending: Task<[MirrorReport.Upload], Never>?
    /// A one-shot upload.
    var once: Task<MirrorReport.Upload, any Error>?
    var withheldLocalDeletes = 0
    var isEnded = false

    mutating func noteEntryEnded(of lanes: [UploadLane]) {
      entering.removeAll { lane in lanes.contains { $0 === lane } }
    }
  }

  struct OpenLog {
    var writer: TransferLogWriter
    var task: Task<Void, Never>
  }

  let options: Options
  let buckets: any BucketSource
  private let environment: [String: String]
  let controlPlaces: ControlPlaces
  private let placement: LocalPlacement
  private let logDirectory: FilePath
  let resources: TransferResources
  private let meter: TransferMeter
  /// Nil where none is to be shown.
  let progress: Progress?
  /// Told of everything, and tells the user's own.
  private let observer: @Sendable (MirrorEvent) -> Void
  let state = Mutex(State())

  /// - Throws: `MirrorError.invalid` for options that make no sense.
  package convenience init(options: Options) throws {
    try self.init(options: options) { options, process, resources in
      Connections(
        options: options, environment: process.variables, homeDirectory: process.homeDirectory,
        slots: resources.slots)
    }
  }

  /// - Parameter open: makes the source of buckets once the options are known to make sense.
  init(options: Options, open: (Options, ProcessEnvironment, TransferResources) -> any BucketSource) throws {
    try options.check()
    let process = ProcessEnvironment(overriding: options.environment)
    self.options = options
    environment = process.variables
    controlPlaces = ControlPlaces(environment: process.variables, home: FilePath(process.homeDirectory))
    let placement = LocalPlacement(
      cacheRoot: options.cacheRoot, homeDirectory: process.homeDirectory,
      workingDirectory: process.workingDirectory)
    self.placement = placement
    let meter = TransferMeter()
    self.meter = meter
    progress = options.showProgress ? Progress(meter: meter, line: .standardError) : nil
    observer = { event in
      meter.note(event)
      options.observer?(event)
    }
    resources = try TransferResources(
      workers: options.maxWorkers, priority: options.lowPriority ? .low : .normal)
    buckets = open(options, process, resources)
    logDirectory =
      options.logDirectory.map { placement.absolute($0) }
      ?? defaultLogDirectory(environment: process.variables, home: FilePath(process.homeDirectory))
  }

  // MARK: Entry

  /// Validates everything, then downloads, then watches and compares the uploads.
  package func enter(_ specs: [(name: String, spec: MirrorSpec)]) async throws {
    try await enter(specs, naming: .members)
  }

  /// The same with names that may be any text: they are only said in messages and logs.
  package func enter(labelled specs: [(name: String, spec: MirrorSpec)]) async throws {
    try await enter(specs, naming: .labels)
  }

  private func enter(
    _ specs: [(name: String, spec: MirrorSpec)], naming: RegistrationTable.Naming
  ) async throws {
    let registrations = try specs.map { try registration(name: $0.name, spec: $0.spec) }
    let new = try state.withLock { try $0.table.add(all: registrations, naming: naming) }
    try await begin(new)
    state.withLock { $0.isEntered = true }
  }

  /// Registers one more while the scope runs; the same registration twice is one, and who asks for it while the
  /// first is still on its way waits for that.
  func add(_ spec: MirrorSpec, name: String) async throws -> FilePath {
    let registration = try registration(name: name, spec: spec)
    let beginning: Task<Void, any Error>? = try state.withLock { state in
      guard !state.isEnding else {
        throw MirrorError(.interrupted, "this mirror is ending, so \"\(name)\" cannot be added")
      }
      if case .known(let known) = try state.table.add(registration) { return state.beginnings[known.name] }
      let task = Task { try await self.begin([registration]) }
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

  func registration(name: String, spec: MirrorSpec) throws -> Registration {
    if spec.remote.utf8.starts(with: "s3:".utf8), !S3Location.hasScheme(spec.remote) {
      throw MirrorError(.invalid, "\(name): \"\(spec.remote)\" lacks a slash; write s3://bucket/key")
    }
    guard S3Location.hasScheme(spec.remote) else {
      guard !spec.remote.isEmpty else { throw MirrorError(.invalid, "\(name): its remote is empty") }
      _ = try filter(of: name, spec: spec)
      return Registration(
        name: name, spec: spec, remote: .passThrough, local: placement.absolute(spec.remote))
    }
    do {
      let location = try S3Location(parsing: spec.remote)
      _ = try filter(of: name, spec: spec)
      if let interval = spec.interval, interval < .zero || interval > .seconds(Options.longestSeconds) {
        throw MirrorError(
          .invalid, "\(name): its interval is \(interval); it may be from nothing to ten years")
      }
      try spec.access?.check()
      try spec.properties.check(for: name)
      let identity = try buckets.bucket(of: location, access: spec.access).identity
      return Registration(
        name: name, spec: spec, remote: .s3(location, identity: identity),
        local: try placement.path(for: location, local: spec.local))
    } catch let error as S3LocationError {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
  }

  /// Begins what was registered; what fails is as if it had never been registered.
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
    for registration in registrations { try checkLocal(registration) }
    try await checkAccess(to: registrations)
    try lock(registrations)
    openLog()
    openControl()
    for registration in registrations where registration.remote == .passThrough {
      if registration.spec.direction != .download, try kind(at: registration.local) == nil {
        try createDirectories(registration.local)
      }
      remember(registration.local, for: registration.name)
    }
    try await fetchAll(registrations.filter { $0.location != nil && $0.spec.direction != .upload })
    let uploads = registrations.filter { $0.location != nil && $0.spec.direction != .download }
    let lanes = try uploads.map { try lane(for: $0, watching: .on) }
    state.withLock { $0.entering += lanes }
    defer { state.withLock { $0.noteEntryEnded(of: lanes) } }
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in lanes { group.addTask { try await lane.enter() } }
        try await group.waitForAll()
      }
      // A lane that was cut short only has more to do later; here there is no later.
      try Task.checkCancellation()
    } catch {
      for lane in lanes { await lane.discard() }
      throw describe(error)
    }
    state.withLock { state in
      state.noteEntryEnded(of: lanes)
      state.lanes += lanes
      state.runs += lanes.map { lane in Task { await lane.run() } }
    }
  }

  /// Looks at the local side before anything is transferred or made.
  func checkLocal(_ registration: Registration) throws {
    let (name, local) = (registration.name, registration.local)
    let found = try kind(at: local)
    if registration.remote == .passThrough, registration.spec.direction == .download, found == nil {
      throw MirrorError(.local, "\(name): \(local) does not exist; correct the path or write s3://…")
    }
    if found == .special {
      throw MirrorError(.local, "\(name): \(local) is neither a directory nor a file; name another path")
    }
    var above = local
    while try kind(at: above) == nil, above.removeLastComponent() {}
    if above != local, try kind(at: above) != .directory {
      throw MirrorError(.local, "\(name): \(local) cannot be made, since \(above) is no directory")
    }
  }

  /// One listing of one key tells whether the bucket is there and may be listed: HeadBucket would not say why not.
  func checkAccess(to registrations: [Registration]) async throws {
    for registration in registrations {
      guard let location = registration.location else { continue }
      let store = try buckets.bucket(of: location, access: registration.spec.access).store
      do {
        _ = try await store.send(ListObjectsV2(prefix: location.prefix, limit: 1))
      } catch  where !(error is CancellationError) {
        throw MirrorError(.configuration, "\(registration.name) (\(location.url)): \(error)")
      }
    }
  }

  func lock(_ registrations: [Registration]) throws {
    for registration in registrations where registration.spec.direction != .download {
      guard case .s3(let location, let identity) = registration.remote else { continue }
      let lock = try HostLock(
        identity: identity + "/" + location.prefix, remote: location.url, environment: environment)
      state.withLock { $0.locks[registration.name] = lock }
    }
  }

  private func remember(_ path: FilePath, for name: String) {
    state.withLock { $0.paths[name] = path }
  }

  // MARK: Downloads

  private func fetchAll(_ registrations: [Registration]) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for registration in registrations { group.addTask { try await self.fetch(registration) } }
      try await group.waitForAll()
    }
  }

  private func fetch(_ registration: Registration) async throws {
    guard let location = registration.location else { return }
    let spec = registration.spec
    let bucket = try buckets.bucket(of: location, access: spec.access)
    let job = DownloadJob(
      name: registration.name, location: location, local: registration.local,
      isIntoDirectory: try spec.local?.hasSuffix("/") ?? false || kind(at: registration.local) == .directory,
      filter: try filter(of: registration.name, spec: spec),
      mode: spec.direction == .sync ? .resume : .mirror,
      delete: spec.delete, bound: options.maxDelete.bound, compare: options.compare.policy,
      width: options.maxWorkers * 2, store: MeteredStore(bucket.store, meter: meter), resources: resources,
      journal: journal(bucket: location.bucket), wallClock: wallClockNanoseconds)
    do {
      let outcome = try await job.run()
      guard outcome.failures.isEmpty else {
        throw MirrorError(
          .incomplete,
          "\(registration.name): \(outcome.failures.count) of the files under \(location.url) could not be fetched",
          failures: outcome.failures)
      }
      state.withLock { $0.withheldLocalDeletes += outcome.withheldDeletes }
      for (path, reason) in outcome.withheld.sorted(by: { $0.key < $1.key }).prefix(1) {
        tell(
          .notice(
            "\(registration.name): \(outcome.withheldDeletes) local deletes withheld, the first \(path): \(reason)"
          ))
      }
      remember(outcome.local, for: registration.name)
      tell(
        .downloaded(
          name: registration.name, files: outcome.files, bytes: outcome.bytes, unchanged: outcome.unchanged))
    } catch {
      throw describe(error, of: "\(registration.name) (\(location.url))")
    }
  }

  // MARK: Uploads

  func lane(for registration: Registration, watching: UploadLane.Watching) throws -> UploadLane {
    guard let location = registration.location else {
      preconditionFailure("a local remote has no lane")
    }
    let spec = registration.spec
    let bucket = try buckets.bucket(of: location, access: spec.access)
    let (store, requests) = bucket.counted()
    let place = try UploadPlacement(registration.local, at: location) {
      try filter(of: registration.name, spec: spec)
    }
    if case .tree = place.mapping { try createDirectories(place.root) }
    var uploadSettings = options.uploadSettings(for: spec.properties)
    uploadSettings.checksums = bucket.checksums
    let markers = try options.commitLast.map { try GlobPattern($0) }
    var settings = UploadLane.Settings(
      name: registration.name, mapping: place.mapping,
      policy: .init(interval: spec.interval, settle: options.settle, openFileGrace: options.openFileGrace),
      delete: spec.delete, filter: place.filter, symlinks: options.symlinks.policy,
      commitOrder: CommitOrder { path in markers.contains { $0.matches(path) } },
      comparison: options.comparison, bound: options.maxDelete.bound,
      deleteCondition: options.deleteCondition, width: options.maxWorkers * 2)
    settings.auditInterval = options.auditInterval
    // The key of one file is no directory's.
    if case .tree = place.mapping { settings.emptyDirectories = options.emptyDirectories }
    let lane = try UploadLane(
      settings: settings, root: try TreeRoot(path: place.root, symlinks: options.symlinks.policy),
      store: MeteredStore(store, meter: meter), requests: requests,
      resources: resources,
      uploadSettings: uploadSettings, journal: journal(bucket: location.bucket),
      watching: watching, wallClock: wallClockNanoseconds)
    remember(registration.local, for: registration.name)
    return lane
  }

  private func filter(of name: String, spec: MirrorSpec) throws -> PathFilter {
    do {
      return try PathFilter(exclude: spec.exclude, include: spec.include)
    } catch {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
  }

  /// Opens the transfer log and begins to show progress, once: not before everything is validated, so that bad input leaves no trace.
  func openLog() {
    let (directory, options, tell) = (logDirectory, options, observer)
    state.withLock { state in
      guard state.log == nil else { return }
      let writer = TransferLogWriter(
        directory: directory, mirror: options.name, keepDays: options.logKeepDays,
        onFailure: { message in
          options.logger.warning("\(message)")
          tell(.notice(message))
        })
      state.log = OpenLog(writer: writer, task: Task { await writer.run() })
      if let progress { state.progress = Task { await progress.run() } }
    }
  }

  private func journal(bucket: String) -> Journal {
    Journal(
      log: state.withLock { $0.log?.writer }, logger: options.logger, observer: observer,
      bucket: bucket)
  }

  func tell(_ event: MirrorEvent) { observer(event) }

  private func describe(_ error: any Error, of subject: String? = nil) -> any Error {
    if error is CancellationError || error is MirrorError { return error }
    let text = subject.map { "\($0): \(error)" } ?? "\(error)"
    return MirrorError(error is S3Error ? .incomplete : .local, text)
  }
}
