import LocalTree
import MirrorModel
import S3Client
import SystemPackage
import TransferLog

/// Resolves specs: which bucket, which local path, and what counts below it.
///
/// This is the only way from a spec to its places. Nothing is asked of S3 and nothing is made; the network is opened as far as
/// credentials and endpoints go.
struct SpecResolver: Sendable {
  /// What a spec comes to.
  enum Resolution: Sendable {
    /// The remote is a local path, absolute and without `.` and `..`: it is used as it is, and nothing is transferred.
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

  /// - Throws: `MirrorError` that names the culprit and the cure.
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

  /// What is wrong with a spec wherever its remote is.
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

  /// - Parameter root: leaves out the tool's own folders below it. A run writes there, so a mirror that counted them would never
  ///   rest.
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

  /// What is done once, to a local side that must be there.
  enum OneShot: String, Sendable {
    case upload
    case verify
  }

  /// Resolves the spec of a one-shot command, and looks at its local side.
  ///
  /// - Throws: `MirrorError` where the remote is a local path, or nothing lies at the local one.
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
