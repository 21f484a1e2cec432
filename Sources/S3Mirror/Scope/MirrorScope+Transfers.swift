import LocalTree
import MirrorModel
import Transfers

/// Makes the jobs and lanes of registrations.
extension MirrorScope {
  // MARK: Downloads

  func fetchAll(_ registrations: [Registration]) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for registration in registrations where registration.spec.direction != .upload {
        if let place = registration.place {
          group.addTask { try await self.fetch(registration, from: place) }
        }
      }
      try await group.waitForAll()
    }
  }

  private func fetch(_ registration: Registration, from place: ResolvedSpec) async throws {
    let location = place.location
    do {
      var job = try DownloadJob(
        registration.spec, resolved: place, name: registration.name, options: options,
        store: MeteredStore(place.bucket.store, meter: meter), resources: resources,
        journal: journal(bucket: location.bucket))
      if registration.spec.direction == .sync, registration.spec.delete { job.entryObjects = EntryObjects() }
      let outcome = try await job.run()
      // An object that another writer adds from now on does not count as one that was there at entry.
      state.withLock { [objects = job.entryObjects] in $0.entryObjects[registration.name] = objects }
      if outcome.deletedHere > 0 {
        tell(
          .notice(
            "\(registration.name): \(outcome.deletedHere) objects are not fetched, since an earlier run had their files here and they were deleted; s3mirror download fetches them"
          ))
      }
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

  func lane(for registration: Registration, at place: ResolvedSpec, watching: UploadLane.Watching) throws
    -> UploadLane
  {
    let spec = registration.spec
    let upload = try UploadPlacement(place, options: options)
    let journal = journal(bucket: place.location.bucket)
    let driver = try groupDriver(for: registration, of: upload.mapping, at: place, journal)
    let (store, requests) = (driver.store, driver.requests)
    if case .tree = upload.mapping { try createDirectories(upload.root) }
    var uploadSettings = options.uploadSettings(for: spec.properties)
    uploadSettings.checksums = place.bucket.checksums
    uploadSettings.deltaSupport = place.bucket.deltas
    var settings = UploadLane.Settings(
      name: registration.name, mapping: upload.mapping,
      policy: .init(
        interval: spec.interval, settle: options.settle, openFileGrace: options.openFileGrace,
        appendNames: try NamePatterns(options.appendNames),
        commitOrder: try options.commitOrder()),
      delete: spec.delete, filter: upload.filter, symlinks: upload.symlinks,
      comparison: options.comparison, bound: options.maxDelete.bound,
      deleteCondition: options.deleteCondition, width: options.filesUnderWay,
      questionWidth: options.questionsUnderWay)
    settings.onError = spec.onError ?? options.onError
    settings.renames = options.renames
    settings.exitTimeout = options.exitTimeout
    settings.auditInterval = options.auditInterval
    settings.emptyDirectories = upload.emptyDirectories
    if case .tree = upload.mapping, let policy = try options.retentionPolicy() {
      settings.retention = Retention(
        policy: policy, reader: try UnitReader(place, options: options, store: store, resources: resources),
        width: options.questionsUnderWay)
    }
    if case .tree = upload.mapping, options.receipts || driver.driver != nil {
      settings.receipts = try options.unitNames()
    }
    settings.entryObjects = state.withLock { $0.entryObjects.removeValue(forKey: registration.name) }
    settings.evidence = place.evidence
    settings.group = driver.driver
    settings.whenFenced = { [weak self] in self?.noteFenced() }
    let lane = try UploadLane(
      settings: settings, root: try TreeRoot(path: upload.root, symlinks: upload.symlinks),
      store: MeteredStore(store, meter: meter), requests: requests,
      resources: resources,
      uploadSettings: uploadSettings, journal: journal,
      watching: watching, wallClock: wallClockNanoseconds)
    remember(registration.local, for: registration.name)
    return lane
  }
}
