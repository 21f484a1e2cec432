import LocalTree
import MirrorModel
import Transfers

/// What carries registrations out: jobs that fetch, lanes that publish.
extension MirrorScope {
  // MARK: Downloads

  func fetchAll(_ registrations: [Registration]) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for registration in registrations { group.addTask { try await self.fetch(registration) } }
      try await group.waitForAll()
    }
  }

  /// Where the evidence of an upload is; nil for a single file, of which there is none.
  private func evidence(of registration: Registration) throws -> EvidencePlace? {
    guard case .s3(let location, let identity) = registration.remote,
      try kind(at: registration.local) != .file
    else { return nil }
    return EvidencePlace(
      cache: cacheDirectory, bucket: identity, prefix: location.prefix, local: registration.local)
  }

  private func fetch(_ registration: Registration) async throws {
    guard let location = registration.location else { return }
    let spec = registration.spec
    let bucket = try buckets.bucket(of: location, access: spec.access)
    let job = DownloadJob(
      name: registration.name, location: location, local: registration.local,
      isIntoDirectory: try spec.local?.hasSuffix("/") ?? false || kind(at: registration.local) == .directory,
      filter: try filter(of: registration),
      mode: spec.direction == .sync ? .resume : .mirror,
      delete: spec.delete, bound: options.maxDelete.bound, compare: options.compare.policy,
      width: options.filesUnderWay, store: MeteredStore(bucket.store, meter: meter), resources: resources,
      journal: journal(bucket: location.bucket), wallClock: wallClockNanoseconds,
      evidence: spec.direction == .sync ? try evidence(of: registration) : nil)
    do {
      let outcome = try await job.run()
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

  func lane(for registration: Registration, watching: UploadLane.Watching) throws -> UploadLane {
    guard let location = registration.location else {
      preconditionFailure("a local remote has no lane")
    }
    let spec = registration.spec
    let bucket = try buckets.bucket(of: location, access: spec.access)
    let (store, requests) = bucket.counted()
    // As it was named: where a link on the way leads elsewhere one day, that is another root.
    let place = try UploadPlacement(registration.named ?? registration.local, at: location) {
      try filter(of: registration)
    }
    if case .tree = place.mapping { try createDirectories(place.root) }
    var uploadSettings = options.uploadSettings(for: spec.properties)
    uploadSettings.checksums = bucket.checksums
    var settings = UploadLane.Settings(
      name: registration.name, mapping: place.mapping,
      policy: .init(
        interval: spec.interval, settle: options.settle, openFileGrace: options.openFileGrace,
        appendNames: try NamePatterns(options.appendNames),
        commitOrder: try CommitOrder(commitLast: options.commitLast)),
      delete: spec.delete, filter: place.filter, symlinks: options.symlinks.policy,
      comparison: options.comparison, bound: options.maxDelete.bound,
      deleteCondition: options.deleteCondition, width: options.filesUnderWay)
    settings.renames = options.renames
    settings.auditInterval = options.auditInterval
    // The key of one file is no directory's.
    if case .tree = place.mapping {
      settings.emptyDirectories = options.emptyDirectories
      if case .on = watching { settings.evidence = try evidence(of: registration) }
    }
    let lane = try UploadLane(
      settings: settings, root: try TreeRoot(path: place.root, symlinks: options.symlinks.policy),
      store: MeteredStore(store, meter: meter), requests: requests,
      resources: resources,
      uploadSettings: uploadSettings, journal: journal(bucket: location.bucket),
      watching: watching, wallClock: wallClockNanoseconds)
    remember(registration.local, for: registration.name)
    return lane
  }
}
