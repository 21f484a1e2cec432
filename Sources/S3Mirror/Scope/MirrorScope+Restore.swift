import MirrorModel
import S3Client
import SystemPackage

/// Restoring checkpoints.
extension MirrorScope {
  /// Restores a checkpoint: the one of that name, else the newest that is complete.
  ///
  /// - Parameters:
  ///   - spec: a download of what holds the checkpoints.
  ///   - name: names it in messages and in the transfer log.
  /// - Throws: `MirrorError`.
  package func restore(_ spec: MirrorSpec, unit: String?, name: String) async throws -> RestoredCheckpoint {
    try await withRestoration(of: spec, name: name, writingLog: true) { restoration in
      let restored = try await restoration.run(unit: unit) { tell(.notice("\(name): \($0)")) }
      tell(
        .downloaded(
          name: name, files: restored.files, bytes: restored.bytes, unchanged: restored.unchanged))
      return restored
    }
  }

  /// The checkpoints under a remote, the newest first.
  ///
  /// - Throws: `MirrorError`.
  package func checkpoints(of spec: MirrorSpec, name: String) async throws -> [Checkpoint] {
    try await withRestoration(of: spec, name: name, writingLog: false) { try await $0.list() }
  }

  private func withRestoration<Result>(
    of spec: MirrorSpec, name: String, writingLog: Bool, _ body: (Restoration) async throws -> Result
  ) async throws -> Result {
    let registration = try resolver.registration(name: name, spec: spec)
    guard let place = registration.place else {
      throw MirrorError(.invalid, "\(spec.remote) is a local path; restore takes s3://bucket/key")
    }
    try await registration.checkAccess()
    if writingLog { openLog() }
    do {
      return try await body(try restoration(registration, at: place))
    } catch {
      throw describe(error, of: "\(name) (\(place.location.url))")
    }
  }

  private func restoration(_ registration: Registration, at place: ResolvedSpec) throws -> Restoration {
    // What lies below the prefix is meant, whether the URL says so or not.
    var place = place
    place.location.key = place.location.prefix
    let store = MeteredStore(place.bucket.store, meter: meter)
    var job = try DownloadJob(
      registration.spec, resolved: place, name: registration.name, options: options, store: store,
      resources: resources, journal: journal(bucket: place.location.bucket))
    let markers = options.commitLast + DefaultNames.markers
    job.commitOrder = try CommitOrder(commitLast: markers)
    let reader = UnitReader(
      location: place.location, filter: place.filter,
      names: try UnitNames(
        markers: markers, marks: options.inProgressNames, temporaries: options.temporaryNames,
        appended: options.appendNames), store: store, resources: resources)
    return Restoration(reader: reader, job: job, width: options.maxWorkers)
  }
}
