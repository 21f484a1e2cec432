import LocalTree
import Logging
import MirrorModel
import S3Client
import SystemPackage
import Transfers

/// Compares local sides with remotes and changes neither: plans and verifications. Takes no lock and writes no log.
package final class Inspection: Sendable {
  let options: Options
  private let connections: Connections
  private let placement: LocalPlacement
  private let resources: TransferResources
  private let cacheDirectory: FilePath

  /// - Throws: `MirrorError.invalid` for options that make no sense.
  package init(options: Options) throws {
    try options.check()
    let process = ProcessEnvironment(overriding: options.environment)
    self.options = options
    cacheDirectory = EvidencePlace.cache(
      environment: process.variables, home: FilePath(process.homeDirectory))
    placement = LocalPlacement(
      cacheRoot: options.cacheRoot, homeDirectory: process.homeDirectory,
      workingDirectory: process.workingDirectory)
    let resources = try TransferResources(
      workers: options.maxWorkers, priority: options.lowPriority ? .low : .normal)
    self.resources = resources
    connections = Connections(
      options: options, environment: process.variables, homeDirectory: process.homeDirectory,
      slots: resources.slots)
  }

  package func close() async {
    await connections.close()
    resources.stop()
  }

  // MARK: Plans

  nonisolated(nonsending) package func plan(
    _ spec: MirrorSpec, name: String,
    _ each: (PlannedAction) throws -> Void
  ) async throws {
    // Nothing is transferred where the remote is a local path.
    if RemoteReference.isPath(spec.remote) {
      try placement.check(local: spec.local, of: name)
      return
    }
    let place = try place(spec, name: name)
    do {
      if spec.direction != .upload {
        try await downloadJob(spec, at: place, name: name).plan(each)
      }
      if spec.direction != .download {
        try await uploadPlan(spec, at: place, name: name)?.plan(each)
      }
    } catch let error as S3Error {
      throw MirrorError(.configuration, "\(name) (\(place.location.url)): \(error)")
    } catch let error as TreeError {
      throw MirrorError(.local, "\(name): \(error)")
    }
  }

  private func downloadJob(_ spec: MirrorSpec, at place: Place, name: String) throws -> DownloadJob {
    DownloadJob(
      name: name, location: place.location, local: place.local,
      isIntoDirectory: try spec.local?.hasSuffix("/") ?? false || kind(at: place.local) == .directory,
      filter: place.filter, mode: spec.direction == .sync ? .resume : .mirror, delete: spec.delete,
      bound: options.maxDelete.bound, compare: options.compare.policy, width: options.filesUnderWay,
      store: place.store, resources: resources,
      journal: Journal(log: nil, logger: options.logger, observer: nil, bucket: place.location.bucket),
      wallClock: wallClockNanoseconds,
      evidence: spec.direction == .sync
        ? EvidencePlace(
          cache: cacheDirectory, bucket: place.bucket, prefix: place.location.prefix, local: place.local)
        : nil)
  }

  /// Nil when there is nothing local to publish yet: a sync that will download first.
  private func uploadPlan(_ spec: MirrorSpec, at place: Place, name: String) throws -> UploadPlanner? {
    guard try kind(at: place.local) != nil else {
      if spec.direction == .sync { return nil }
      throw MirrorError(.local, "\(name): \(place.local) does not exist; there is nothing to upload")
    }
    let (surveyor, content) = try surveyor(at: place, comparing: options.comparison)
    return UploadPlanner(
      name: name, surveyor: surveyor, content: content,
      commitOrder: try CommitOrder(commitLast: options.commitLast),
      width: options.filesUnderWay, delete: spec.delete, bound: options.maxDelete.bound,
      kind: spec.direction == .sync ? .afterDownload : .alone)
  }

  // MARK: Verification

  /// Compares a local tree or file with a remote, by size and then by content.
  ///
  /// - Parameter each: is given every difference.
  /// - Throws: `MirrorError`.
  nonisolated(nonsending) package func verify(
    _ local: String, against remote: String, exclude: [String], include: [String], reading: Verifier.Reading,
    _ each: (VerifiedDifference) throws -> Void
  ) async throws -> VerifySummary {
    if RemoteReference.isPath(remote) {
      throw MirrorError(.invalid, "\(remote) is a local path; name s3://bucket/key to verify against")
    }
    let spec = MirrorSpec.upload(remote, local: local, delete: false, exclude: exclude, include: include)
    let place = try place(spec, name: local)
    guard try kind(at: place.local) != nil else {
      throw MirrorError(.local, "\(place.local) does not exist; there is nothing to verify")
    }
    // Every file of equal size is a suspect to a verification.
    let (surveyor, _) = try surveyor(at: place, comparing: Comparison(policy: .checksum))
    let verifier = Verifier(
      surveyor: surveyor, readers: resources.readers, reading: reading, width: options.maxWorkers)
    do {
      return try await verifier.verify(each)
    } catch let error as S3Error {
      throw MirrorError(.configuration, "\(place.location.url): \(error)")
    } catch let error as TreeError {
      throw MirrorError(.local, "\(error)")
    }
  }

  // MARK: Places

  /// Where a spec leads.
  private struct Place {
    var location: S3Location
    var local: FilePath
    var filter: PathFilter
    var store: any ObjectStore
    /// The identity of endpoint and bucket.
    var bucket: String
  }

  private func place(_ spec: MirrorSpec, name: String) throws -> Place {
    do {
      guard case .s3(let location) = try RemoteReference(parsing: spec.remote) else {
        throw MirrorError(.invalid, "\(name): \(spec.remote) is a local path; name s3://bucket/key")
      }
      try spec.access?.check()
      try spec.properties.check(for: name)
      try placement.check(local: spec.local, of: name)
      let bucket = try connections.bucket(of: location, access: spec.access)
      return Place(
        location: location, local: try placement.path(for: location, local: spec.local),
        filter: try PathFilter(exclude: spec.exclude, include: spec.include),
        store: bucket.store, bucket: bucket.identity)
    } catch let error as MirrorError {
      throw error
    } catch {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
  }

  private func surveyor(
    at place: Place, comparing comparison: Comparison
  ) throws -> (Surveyor, ContentComparison) {
    let upload = try UploadPlacement(place.local, at: place.location) { place.filter }
    let root = try TreeRoot(path: upload.root, symlinks: options.symlinks.policy)
    let surveyor = Surveyor(
      root: root, mapping: upload.mapping, filter: upload.filter,
      symlinks: options.symlinks.policy, comparison: comparison,
      store: place.store, order: ListingOrder(), wallClock: wallClockNanoseconds,
      emptyDirectories: options.emptyDirectories)
    let content = ContentComparison(
      root: root, mapping: upload.mapping, store: place.store, readers: resources.readers,
      policy: comparison.policy, ledger: nil)
    return (surveyor, content)
  }
}
