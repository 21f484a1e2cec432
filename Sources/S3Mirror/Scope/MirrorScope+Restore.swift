import MirrorModel
import S3Client
import SystemPackage

/// A checkpoint that a scope restores at entry.
package struct CheckpointRequest: Sendable {
  /// The name under which the scope stores the checkpoint's path.
  package var name: String
  package var spec: MirrorSpec
  /// Nil restores the newest complete checkpoint.
  package var unit: String?
  package var extent: RestoreExtent

  package init(
    name: String, spec: MirrorSpec, unit: String? = nil, extent: RestoreExtent = .everything
  ) {
    self.name = name
    self.spec = spec
    self.unit = unit
    self.extent = extent
  }
}

/// Restores checkpoints.
extension MirrorScope {
  /// Restores a checkpoint at entry.
  ///
  /// - Returns: its path; an empty path if the newest one is requested and none is complete, as before the
  ///   first run.
  /// - Throws: `MirrorError`.
  func restore(_ request: CheckpointRequest) async throws -> FilePath {
    let member = try MemberPart(request.extent, options.group)
    let restored = try await withRestoration(of: request.spec, name: request.name, writingLog: true) {
      whole -> RestoredCheckpoint? in
      var restoration = whole
      restoration.member = member
      let notice: (String) -> Void = { self.tell(.notice("\(request.name): \($0)")) }
      if let unit = request.unit { return try await restoration.run(unit: unit, tell: notice) }
      return try await restoration.runIfAny(tell: notice)
    }
    guard let restored else { return FilePath() }
    tellRestored(restored, name: request.name)
    return restored.path
  }

  private func tellRestored(_ restored: RestoredCheckpoint, name: String) {
    tell(
      .downloaded(name: name, files: restored.files, bytes: restored.bytes, unchanged: restored.unchanged))
  }

  /// Restores the checkpoint with the given name, or the newest complete one.
  ///
  /// - Parameters:
  ///   - spec: a download of the directory that holds the checkpoints.
  ///   - name: the name in messages and in the transfer log.
  /// - Throws: `MirrorError`.
  package func restore(
    _ spec: MirrorSpec, unit: String?, name: String, extent: RestoreExtent = .everything
  ) async throws -> RestoredCheckpoint {
    let member = try MemberPart(extent, options.group)
    return try await withRestoration(of: spec, name: name, writingLog: true) { whole in
      var restoration = whole
      restoration.member = member
      let restored = try await restoration.run(unit: unit) { tell(.notice("\(name): \($0)")) }
      tellRestored(restored, name: name)
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
    var place = place
    place.location = place.locationOfPrefix
    let store = MeteredStore(place.bucket.store, meter: meter)
    var job = try DownloadJob(
      registration.spec, resolved: place, name: registration.name, options: options, store: store,
      resources: resources, journal: journal(bucket: place.location.bucket))
    job.commitOrder = try CommitOrder(commitLast: options.restoreMarkers)
    let reader = try UnitReader(place, options: options, store: store, resources: resources)
    return Restoration(reader: reader, job: job, width: options.questionsUnderWay)
  }
}
