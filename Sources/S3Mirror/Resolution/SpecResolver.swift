import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TransferLog

/// Resolves specs to a bucket, a local path and a filter.
///
/// Every command resolves its specs here. The resolver sends nothing to S3 and creates nothing; it only loads
/// credentials and endpoints.
struct SpecResolver: Sendable {
  /// The result of resolving a spec.
  enum Resolution: Sendable {
    /// The remote is a local path, absolute and without `.` and `..`. It is used unchanged, and nothing is
    /// transferred.
    case passThrough(FilePath)
    case s3(ResolvedSpec)
  }

  let placement: LocalPlacement
  let buckets: any BucketSource
  let folders: OwnFolders

  init(options: Options, process: ProcessEnvironment, buckets: any BucketSource) {
    placement = LocalPlacement(
      cacheRoot: options.cacheRoot, homeDirectory: process.homeDirectory,
      workingDirectory: process.workingDirectory)
    self.buckets = buckets
    folders = OwnFolders(options: options, process: process, placement: placement)
  }

  /// - Throws: `MirrorError` with the cause and the remedy.
  func resolve(_ spec: MirrorSpec, name: String) throws -> Resolution {
    try check(spec, name: name)
    let location: S3Location
    do {
      switch try RemoteReference(parsing: spec.remote) {
      case .local(let path): return .passThrough(placement.absolute(path))
      case .s3(let named): location = named
      }
    } catch {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
    let bucket = try buckets.bucket(of: location, access: spec.access)
    let local = try placement.path(for: location, local: spec.local)
    return .s3(
      ResolvedSpec(
        location: location, bucket: bucket, local: local,
        named: try placement.named(for: location, local: spec.local),
        filter: try filter(of: spec, name: name, below: local),
        isNamedAsDirectory: spec.local?.utf8.last == UInt8(ascii: "/"),
        cacheDirectory: folders.cache))
  }

  /// Checks the parts of a spec that do not depend on its remote.
  private func check(_ spec: MirrorSpec, name: String) throws {
    _ = try filter(of: spec, name: name, below: nil)
    if let interval = spec.interval, interval < .zero || interval > .seconds(Options.longestSeconds) {
      throw MirrorError(
        .invalid, "\(name): its interval is \(interval); it may be from nothing to ten years")
    }
    try spec.access?.check()
    try spec.properties.check(for: name)
    try placement.check(local: spec.local, of: name)
  }

  /// - Parameter root: the tool's own folders below it are excluded. A run writes to these folders, so a
  ///   mirror that included them would never come to rest.
  private func filter(of spec: MirrorSpec, name: String, below root: FilePath?) throws -> PathFilter {
    var exclude = spec.exclude
    if let root { exclude += folders.below(root).map { "/" + GlobPattern.escaped($0.string) + "/" } }
    do {
      return try PathFilter(exclude: exclude, include: spec.include)
    } catch {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
  }
}

extension SpecResolver {
  func registration(name: String, spec: MirrorSpec) throws -> Registration {
    Registration(name: name, spec: spec, resolution: try resolve(spec, name: name))
  }

  /// A one-shot task, which needs an existing local side.
  enum OneShot: String, Sendable {
    case upload
    case verify
  }

  /// Resolves the spec of a one-shot command and checks its local side.
  ///
  /// - Throws: `MirrorError` if the remote is a local path, or if the local path does not exist.
  func registration(once task: OneShot, name: String, spec: MirrorSpec) throws -> (Registration, ResolvedSpec)
  {
    let registration = try registration(name: name, spec: spec)
    guard case .s3(let place) = registration.resolution else {
      let cure =
        task == .upload ? "an upload goes to s3://bucket/key" : "name s3://bucket/key to verify against"
      throw MirrorError(.invalid, "\(spec.remote) is a local path; \(cure)")
    }
    try registration.checkLocal()
    guard try kind(at: place.local) != nil else {
      throw MirrorError(.local, "\(place.local) does not exist; there is nothing to \(task.rawValue)")
    }
    return (registration, place)
  }
}
