import LocalTree
import Logging
import MirrorModel
import S3Client
import SystemPackage
import Transfers

/// Compares local trees with remotes without changing either: plans and verifications. Takes no lock and
/// writes no log.
package final class Inspection: Sendable {
  let options: Options
  private let resolver: SpecResolver
  private let resources: TransferResources

  /// - Throws: `MirrorError.invalid` for invalid options.
  package convenience init(options: Options) throws {
    try self.init(options: options, open: Connections.init)
  }

  /// - Parameter open: makes the source of buckets after the options are checked.
  init(options: Options, open: (Options, ProcessEnvironment, TransferResources) -> any BucketSource) throws {
    try options.check()
    self.options = options
    let process = ProcessEnvironment(overriding: options.environment)
    resources = try options.transferResources()
    resolver = SpecResolver(
      options: options, process: process, buckets: open(options, process, resources))
  }

  package func close() async {
    await resolver.buckets.close()
    resources.stop()
  }

  // MARK: Plans

  /// The kind of run that is planned.
  package enum PlannedRun: Sendable {
    /// A scope from its entry to its exit. The names are members of its session.
    case scope
    /// The same with names that may be any text.
    case labelledScope
    /// An upload without a watch.
    case uploadOnce
  }

  /// Validates everything as the run would, then plans the downloads, then the uploads.
  ///
  /// - Throws: `MirrorError`, and the errors of `each`.
  nonisolated(nonsending) package func plan(
    _ specs: [(name: String, spec: MirrorSpec)], of run: PlannedRun, _ each: (PlannedAction) throws -> Void
  ) async throws {
    let registrations = try registrations(specs, of: run)
    for registration in registrations { try await registration.checkAccess() }
    var forecasts: [String: DownloadJob.Forecast] = [:]
    for registration in registrations where registration.spec.direction != .upload {
      guard let place = registration.place else { continue }
      forecasts[registration.name] = try await described(registration) {
        try await downloadJob(registration, at: place).plan(each)
      }
    }
    for registration in registrations where registration.spec.direction != .download {
      guard let place = registration.place else { continue }
      // A scope ends if its downloads are incomplete.
      guard forecasts.values.allSatisfy(\.isComplete) else {
        try each(
          PlannedAction(
            name: registration.name, kind: .refuse, path: ".", bytes: nil,
            reason: "nothing is uploaded, since not everything can be downloaded"))
        continue
      }
      try await described(registration) {
        try await planUpload(registration, at: place, of: run, after: forecasts[registration.name], each)
      }
    }
  }

  private func registrations(_ specs: [(name: String, spec: MirrorSpec)], of run: PlannedRun) throws
    -> [Registration]
  {
    switch run {
    case .uploadOnce:
      return try specs.map { try resolver.registration(once: .upload, name: $0.name, spec: $0.spec).0 }
    case .scope, .labelledScope:
      var table = RegistrationTable()
      let new = try table.add(
        all: try specs.map { try resolver.registration(name: $0.name, spec: $0.spec) },
        naming: run == .scope ? .members : .labels)
      for registration in new { try registration.checkLocal() }
      return new
    }
  }

  private func downloadJob(_ registration: Registration, at place: ResolvedSpec) throws -> DownloadJob {
    try DownloadJob(
      registration.spec, resolved: place, name: registration.name, options: options,
      store: place.bucket.store, resources: resources,
      journal: Journal(log: nil, logger: options.logger, observer: nil, bucket: place.location.bucket))
  }

  nonisolated(nonsending) private func planUpload(
    _ registration: Registration, at place: ResolvedSpec, of run: PlannedRun,
    after download: DownloadJob.Forecast?, _ each: (PlannedAction) throws -> Void
  ) async throws {
    let (name, spec) = (registration.name, registration.spec)
    // At its end a group's member deletes only what its run has published, and a plan publishes nothing.
    let deletes = spec.delete && options.group?.isShared != true
    guard try kind(at: place.local) != nil else {
      // The download of a sync would come first, so the tree would then equal the remote.
      guard download == nil else { return }
      guard deletes else { return }
      return try await AbsentTreePlanner(
        name: name, prefix: place.location.prefix,
        filter: try UploadPlacement(place, options: options).filter, store: place.bucket.store,
        bound: options.maxDelete.bound
      ).plan(each)
    }
    var (surveyor, content) = try surveyor(at: place, comparing: options.comparison)
    surveyor.evidence = EvidenceStore(place.evidence, root: surveyor.root.identity, for: .reading)
    var planner = UploadPlanner(
      name: name, surveyor: surveyor, content: content,
      commitOrder: try options.commitOrder(),
      width: options.questionsUnderWay, delete: deletes, bound: options.maxDelete.bound)
    if let download {
      planner.context = .afterDownload(download)
    } else if run != .uploadOnce {
      planner.context = .scope
    }
    if case .tree = surveyor.mapping, let policy = try options.retentionPolicy() {
      let inventory = try await Retention(
        policy: policy,
        reader: try UnitReader(place, options: options, store: place.bucket.store, resources: resources),
        width: options.questionsUnderWay
      ).inventory(.all)
      let named = try await resources.readers.run { [surveyor] in surveyor.pointerTargets() }
      let plan = RetentionPlan(inventory.candidates, policy: policy, keeping: named)
      planner.retention = (plan, inventory)
      planner.surveyor.retired.note(inventory.candidates, policy: policy)
    }
    try await planner.plan(each)
  }

  // MARK: Verification

  /// Compares a local tree or file with a remote, by size and then by content.
  ///
  /// - Parameter each: receives every difference.
  /// - Throws: `MirrorError`.
  nonisolated(nonsending) package func verify(
    _ local: String, against remote: String, exclude: [String], include: [String], reading: Verifier.Reading,
    _ each: (VerifiedDifference) throws -> Void
  ) async throws -> VerifySummary {
    let spec = MirrorSpec.upload(remote, local: local, delete: false, exclude: exclude, include: include)
    let (registration, place) = try resolver.registration(once: .verify, name: local, spec: spec)
    try await registration.checkAccess()
    return try await described(registration) {
      // A verification compares the contents of all files of equal size.
      let (surveyor, _) = try surveyor(at: place, comparing: Comparison(policy: .checksum))
      let verifier = Verifier(
        surveyor: surveyor, readers: resources.readers, reading: reading, width: options.questionsUnderWay)
      return try await verifier.verify(each)
    }
  }

  // MARK: Parts

  private func surveyor(
    at place: ResolvedSpec, comparing comparison: Comparison
  ) throws -> (Surveyor, ContentComparison) {
    let upload = try UploadPlacement(place, options: options)
    let root = try TreeRoot(path: upload.root, symlinks: upload.symlinks)
    let surveyor = Surveyor(
      root: root, mapping: upload.mapping, filter: upload.filter,
      symlinks: upload.symlinks, comparison: comparison,
      store: place.bucket.store, order: ListingOrder(), wallClock: wallClockNanoseconds,
      emptyDirectories: upload.emptyDirectories)
    let content = ContentComparison(
      root: root, mapping: upload.mapping, store: place.bucket.store, readers: resources.readers,
      policy: comparison.policy, ledger: nil)
    return (surveyor, content)
  }

  /// Adds the kind and the subject to errors of S3 and of the tree. Errors of the caller's closure pass
  /// unchanged.
  nonisolated(nonsending) private func described<Result>(
    _ registration: Registration, _ body: () async throws -> Result
  ) async throws -> Result {
    do {
      return try await body()
    } catch  where error is S3Error || error is TreeError {
      throw describe(error, of: registration.place.map { "\(registration.name) (\($0.location.url))" })
    }
  }
}
