import LocalTree
import MirrorModel
import S3Client
import SystemPackage

/// What must hold before the first byte moves.
extension MirrorScope {
  /// What a spec asks for, as far as it can be told without a look at the disk or at S3.
  ///
  /// - Throws: `MirrorError` that names the culprit.
  func registration(name: String, spec: MirrorSpec) throws -> Registration {
    do {
      _ = try filter(of: name, spec: spec)
      let location: S3Location
      switch try RemoteReference(parsing: spec.remote) {
      case .local(let path):
        try placement.check(local: spec.local, of: name)
        return Registration(name: name, spec: spec, remote: .passThrough, local: placement.absolute(path))
      case .s3(let named): location = named
      }
      if let interval = spec.interval, interval < .zero || interval > .seconds(Options.longestSeconds) {
        throw MirrorError(
          .invalid, "\(name): its interval is \(interval); it may be from nothing to ten years")
      }
      try spec.access?.check()
      try spec.properties.check(for: name)
      try placement.check(local: spec.local, of: name)
      let identity = try buckets.bucket(of: location, access: spec.access).identity
      return Registration(
        name: name, spec: spec, remote: .s3(location, identity: identity),
        local: try placement.path(for: location, local: spec.local),
        named: try placement.named(for: location, local: spec.local))
    } catch let error as S3LocationError {
      throw MirrorError(.invalid, "\(name): \(error)")
    }
  }

  /// Without the folders of transfer logs and of evidence, where those lie below the root: each pass writes there, so that it
  /// would never rest.
  func filter(of registration: Registration) throws -> PathFilter {
    var spec = registration.spec
    for folder in [logDirectory, cacheDirectory] {
      var below = folder
      if below != registration.local, below.removePrefix(registration.local) {
        spec.exclude.append("/" + GlobPattern.escaped(below.string) + "/")
      }
    }
    return try filter(of: registration.name, spec: spec)
  }

  func filter(of name: String, spec: MirrorSpec) throws -> PathFilter {
    do {
      return try PathFilter(exclude: spec.exclude, include: spec.include)
    } catch {
      throw MirrorError(.invalid, "\(name): \(error)")
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

  /// Keeps a second mirror on this host from the same remote.
  func lock(_ registrations: [Registration]) throws {
    for registration in registrations where registration.spec.direction != .download {
      guard case .s3(let location, let identity) = registration.remote else { continue }
      let lock = try HostLock(
        identity: identity + "/" + location.prefix, remote: location.url, environment: environment)
      state.withLock { $0.locks[registration.name] = lock }
    }
  }
}
