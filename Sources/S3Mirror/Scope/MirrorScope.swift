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
  private struct State {
    var table = RegistrationTable()
    var paths: [String: FilePath] = [:]
    var lanes: [UploadLane] = []
    var runs: [Task<Void, Never>] = []
    var locks: [HostLock] = []
    var ending: Task<[MirrorReport.Upload], Never>?
    /// A one-shot upload.
    var once: Task<MirrorReport.Upload, any Error>?
    var withheldLocalDeletes = 0
    var isEnded = false
  }

  let options: Options
  let connections: Connections
  private let environment: [String: String]
  private let placement: LocalPlacement
  private let resources: TransferResources
  private let log: TransferLogWriter
  private let logTask: Task<Void, Never>
  private let state = Mutex(State())

  /// - Throws: `MirrorError.invalid` for options that make no sense.
  package init(options: Options) throws {
    guard options.maxWorkers > 0 else {
      throw MirrorError(.invalid, "maxWorkers is \(options.maxWorkers); at least one is needed")
    }
    guard options.partBytes >= UploadPlan.Limit.smallestPart,
      options.partBytes <= UploadPlan.Limit.largestPart
    else {
      throw MirrorError(
        .invalid, "partBytes is \(options.partBytes); S3 takes parts from 5 MiB to 5 GiB")
    }
    for rate in [options.maxUploadBytesPerSecond, options.maxDownloadBytesPerSecond] {
      if let rate, rate <= 0 {
        throw MirrorError(.invalid, "a limit of \(rate) bytes a second lets nothing through; nil means none")
      }
    }
    let process = ProcessEnvironment(overriding: options.environment)
    self.options = options
    environment = process.variables
    placement = LocalPlacement(
      cacheRoot: options.cacheRoot, homeDirectory: process.homeDirectory,
      workingDirectory: process.workingDirectory)
    resources = try TransferResources(
      workers: options.maxWorkers, priority: options.lowPriority ? .low : .normal)
    connections = Connections(
      options: options, environment: process.variables, homeDirectory: process.homeDirectory,
      slots: resources.slots)
    let logger = options.logger
    let observer = options.observer
    let log = TransferLogWriter(
      directory: options.logDirectory.map { FilePath($0) }
        ?? defaultLogDirectory(environment: process.variables, home: FilePath(process.homeDirectory)),
      mirror: options.name, keepDays: options.logKeepDays,
      onFailure: { message in
        logger.warning("\(message)")
        observer?(.notice(message))
      })
    self.log = log
    logTask = Task { await log.run() }
  }

  // MARK: Entry

  /// Validates everything, then downloads, then watches and compares the uploads.
  package func enter(_ specs: [(name: String, spec: MirrorSpec)]) async throws {
    let registrations = try specs.map { try registration(name: $0.name, spec: $0.spec) }
    let new = try state.withLock { state in
      try registrations.filter { try state.table.add($0) == .new }
    }
    try await begin(new)
  }

  /// Registers one more while the scope runs; the same registration twice is one.
  func add(_ spec: MirrorSpec, name: String) async throws -> FilePath {
    let registration = try registration(name: name, spec: spec)
    let addition = try state.withLock { try $0.table.add(registration) }
    if case .known(let known) = addition { return try path(of: known.name) }
    try await begin([registration])
    return try path(of: registration.name)
  }

  private func registration(name: String, spec: MirrorSpec) throws -> Registration {
    if spec.remote.utf8.starts(with: "s3:".utf8), !S3Location.hasScheme(spec.remote) {
      throw MirrorError(.invalid, "\(name): \"\(spec.remote)\" lacks a slash; write s3://bucket/key")
    }
    guard S3Location.hasScheme(spec.remote) else {
      guard !spec.remote.isEmpty else { throw MirrorError(.invalid, "\(name): its remote is empty") }
      return Registration(
        name: name, spec: spec, remote: .passThrough, local: placement.absolute(spec.remote))
    }
    do {
      let location = try S3Location(parsing: spec.remote)
      let identity = try connections.bucket(of: location).identity
      return Registration(
        name: name, spec: spec, remote: .s3(location, identity: identity),
        local: try placement.path(for: location, local: spec.local))
    } catch let error as S3LocationError {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
  }

  private func begin(_ registrations: [Registration]) async throws {
    for registration in registrations { try checkPassThrough(registration) }
    try await checkAccess(to: registrations)
    try lock(registrations)
    for registration in registrations where registration.remote == .passThrough {
      if registration.spec.direction != .download { try createDirectories(registration.local) }
      remember(registration.local, for: registration.name)
    }
    try await fetchAll(registrations.filter { $0.location != nil && $0.spec.direction != .upload })
    let uploads = registrations.filter { $0.location != nil && $0.spec.direction != .download }
    let lanes = try uploads.map { try lane(for: $0, watching: .on) }
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for lane in lanes { group.addTask { try await lane.enter() } }
        try await group.waitForAll()
      }
    } catch {
      for lane in lanes { await lane.discard() }
      throw describe(error)
    }
    state.withLock { state in
      state.lanes += lanes
      state.runs += lanes.map { lane in Task { await lane.run() } }
    }
  }

  private func checkPassThrough(_ registration: Registration) throws {
    guard registration.remote == .passThrough, registration.spec.direction == .download else { return }
    guard try kind(at: registration.local) != nil else {
      throw MirrorError(
        .local, "\(registration.name): \(registration.local) does not exist; correct the path or write s3://…"
      )
    }
  }

  /// One listing of one key tells whether the bucket is there and may be listed: HeadBucket would not say why not.
  private func checkAccess(to registrations: [Registration]) async throws {
    for registration in registrations {
      guard let location = registration.location else { continue }
      let store = try connections.bucket(of: location).store
      do {
        _ = try await store.send(ListObjectsV2(prefix: location.prefix, limit: 1))
      } catch  where !(error is CancellationError) {
        throw MirrorError(.configuration, "\(registration.name) (\(location.url)): \(error)")
      }
    }
  }

  private func lock(_ registrations: [Registration]) throws {
    for registration in registrations where registration.spec.direction != .download {
      guard case .s3(let location, let identity) = registration.remote else { continue }
      let lock = try HostLock(
        identity: identity + "/" + location.prefix, remote: location.url, environment: environment)
      state.withLock { $0.locks.append(lock) }
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
    let bucket = try connections.bucket(of: location)
    let job = DownloadJob(
      name: registration.name, location: location, local: registration.local,
      isIntoDirectory: try spec.local?.hasSuffix("/") ?? false || kind(at: registration.local) == .directory,
      filter: try filter(of: registration), mode: spec.direction == .sync ? .resume : .mirror,
      delete: spec.delete, bound: options.maxDelete.bound, compare: options.compare.policy,
      width: options.maxWorkers * 2, store: bucket.store, resources: resources,
      journal: journal(bucket: location.bucket), wallClock: wallClockNanoseconds)
    do {
      let outcome = try await job.run()
      guard outcome.failures.isEmpty else {
        throw MirrorError(
          .incomplete,
          "\(registration.name): \(outcome.failures.count) of the files under \(location.url) could not be fetched",
          failures: outcome.failures)
      }
      state.withLock { $0.withheldLocalDeletes += outcome.withheld.count }
      for (path, reason) in outcome.withheld.sorted(by: { $0.key < $1.key }).prefix(1) {
        options.observer?(
          .notice(
            "\(registration.name): \(outcome.withheld.count) local deletes withheld, the first \(path): \(reason)"
          ))
      }
      remember(outcome.local, for: registration.name)
      options.observer?(
        .downloaded(
          name: registration.name, files: outcome.files, bytes: outcome.bytes, unchanged: outcome.unchanged))
    } catch {
      throw describe(error, of: "\(registration.name) (\(location.url))")
    }
  }

  // MARK: Uploads

  private func lane(for registration: Registration, watching: UploadLane.Watching) throws -> UploadLane {
    guard let location = registration.location else {
      preconditionFailure("a local remote has no lane")
    }
    let spec = registration.spec
    let bucket = try connections.bucket(of: location)
    let (store, requests) = bucket.counted()
    let (rootPath, mapping, filter) = try place(registration, at: location)
    var uploadSettings = UploadSettings()
    uploadSettings.singleThreshold = options.multipartThreshold
    uploadSettings.partBytes = options.partBytes
    uploadSettings.settle = options.settle
    uploadSettings.staleUploadAge = options.staleUploadAge
    uploadSettings.checksums = bucket.checksums
    let markers = try options.commitLast.map { try GlobPattern($0) }
    let settings = UploadLane.Settings(
      name: registration.name, mapping: mapping,
      policy: .init(interval: spec.interval, settle: options.settle, openFileGrace: options.openFileGrace),
      delete: spec.delete, filter: filter, symlinks: options.symlinks == .follow ? .follow : .skip,
      commitOrder: CommitOrder { path in markers.contains { $0.matches(path) } },
      compare: options.compare.policy, bound: options.maxDelete.bound, width: options.maxWorkers * 2)
    let lane = try UploadLane(
      settings: settings, root: try TreeRoot(path: rootPath), store: store, requests: requests,
      resources: resources,
      uploadSettings: uploadSettings, journal: journal(bucket: location.bucket),
      watching: watching, wallClock: wallClockNanoseconds)
    remember(registration.local, for: registration.name)
    return lane
  }

  /// A directory goes under the prefix; a file under the key, or into a prefix that is written with a slash.
  private func place(_ registration: Registration, at location: S3Location) throws -> (
    FilePath, KeyMapping, PathFilter
  ) {
    let local = registration.local
    guard try kind(at: local) == .file, let name = local.lastComponent?.string else {
      try createDirectories(local)
      return (local, .tree(prefix: location.prefix), try filter(of: registration))
    }
    let key = location.isExplicitPrefix ? location.prefix + name : location.key
    // Everything beside the file is excluded, so that only its own events are seen.
    let only = try PathFilter(exclude: [], include: ["/" + GlobPattern.escaped(name)])
    return (local.removingLastComponent(), .file(name: RelativePath(name), key: key), only)
  }

  private func filter(of registration: Registration) throws -> PathFilter {
    do {
      return try PathFilter(exclude: registration.spec.exclude, include: registration.spec.include)
    } catch {
      throw MirrorError(.invalid, "\(registration.name): \(error)")
    }
  }

  private func journal(bucket: String) -> Journal {
    Journal(log: log, logger: options.logger, observer: options.observer, bucket: bucket)
  }

  // MARK: One shot

  /// Publishes a tree or a file once, without a watch.
  ///
  /// - Returns: nil where nothing was transferred because the remote is a local path.
  package func uploadOnce(_ spec: MirrorSpec, name: String) async throws -> MirrorReport {
    let registration = try registration(name: name, spec: spec)
    guard registration.location != nil else {
      throw MirrorError(.invalid, "\(spec.remote) is a local path; an upload goes to s3://bucket/key")
    }
    guard try kind(at: registration.local) != nil else {
      throw MirrorError(.local, "\(registration.local) does not exist; there is nothing to upload")
    }
    try await checkAccess(to: [registration])
    try lock([registration])
    let lane = try lane(for: registration, watching: .off)
    state.withLock { $0.lanes.append(lane) }
    let work = Task { try await lane.publishOnce() }
    state.withLock { $0.once = work }
    return MirrorReport(uploads: [try await work.value])
  }

  // MARK: While it runs

  /// The local path of a name.
  package func path(of name: String) throws -> FilePath {
    let (path, known) = state.withLock { state in (state.paths[name], state.table.all.map(\.name)) }
    if let path { return path }
    let names = known.sorted().joined(separator: ", ")
    throw MirrorError(.invalid, "this mirror has no \"\(name)\"; it has \(names.isEmpty ? "nothing" : names)")
  }

  func flush(_ name: String?) async throws {
    let lanes = state.withLock { $0.lanes }
    let chosen = lanes.filter { name == nil || $0.settings.name == name }
    if let name, chosen.isEmpty {
      _ = try path(of: name)
      throw MirrorError(.invalid, "\"\(name)\" is no upload, so there is nothing to flush")
    }
    for lane in chosen { try await lane.flush() }
  }

  /// Lists a remote, line by line.
  package func list(
    _ remote: String, depth: MirrorSession.Depth, _ each: (RemoteLine) -> Void
  ) async throws {
    do {
      try await listRemote(remote, depth: depth, connections: connections, each)
    } catch let error as S3Error {
      throw MirrorError(.configuration, "\(remote): \(error)")
    }
  }

  /// Local files that a download with `delete` would have removed.
  package var withheldLocalDeletes: Int { state.withLock { $0.withheldLocalDeletes } }

  var status: [UploadStatus] { state.withLock { $0.lanes }.map(\.status) }

  // MARK: Exit

  /// How the body ended.
  package enum BodyEnd: Sendable {
    case returned
    case threw
  }

  /// Publishes what is left, and ends everything that was started. Cancelling the caller does not cut it short.
  package func exit(_ end: BodyEnd) async -> MirrorReport {
    let (lanes, runs) = state.withLock { ($0.lanes, $0.runs) }
    let ending: UploadLane.Ending =
      end == .returned ? .succeeded : options.onError == .upload ? .failed : .skipped
    for lane in lanes { lane.requestEnd() }
    let work = Task {
      for run in runs { await run.value }
      return await concurrentEach(lanes, width: lanes.count) { await $0.finish(ending) }
    }
    state.withLock { $0.ending = work }
    let timer = options.exitTimeout.map { timeout in
      Task {
        do {
          try await Task.sleep(for: timeout)
          stopWork(unfinished: .leave)
        } catch {
          // The work was done in time.
        }
      }
    }
    let uploads = await work.value
    timer?.cancel()
    await close()
    return MirrorReport(uploads: uploads.sorted { $0.name < $1.name })
  }

  /// Cuts everything short: multipart uploads under way are aborted. `exit` returns soon after.
  package func abandon() {
    stopWork(unfinished: .abort)
  }

  private func stopWork(unfinished: UnfinishedUploads) {
    let (lanes, runs, ending, once) = state.withLock { ($0.lanes, $0.runs, $0.ending, $0.once) }
    for lane in lanes { lane.cancelled(leaving: unfinished) }
    for run in runs { run.cancel() }
    ending?.cancel()
    once?.cancel()
  }

  /// Ends what a failed entry started.
  package func close() async {
    let (isFirst, locks) = state.withLock { state in
      defer {
        state.isEnded = true
        state.locks = []
      }
      return (!state.isEnded, state.locks)
    }
    guard isFirst else { return }
    await connections.close()
    resources.stop()
    for lock in locks { lock.release() }
    logTask.cancel()
    await logTask.value
    log.close()
  }

  private func describe(_ error: any Error, of subject: String? = nil) -> any Error {
    if error is CancellationError || error is MirrorError { return error }
    let text = subject.map { "\($0): \(error)" } ?? "\(error)"
    return MirrorError(error is S3Error ? .incomplete : .local, text)
  }
}
