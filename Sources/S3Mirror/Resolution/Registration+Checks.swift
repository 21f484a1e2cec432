import LocalTree
import S3Client
import SystemPackage

/// Checks before the first transfer, or before a plan.
extension Registration {
  /// Checks the local side before anything is transferred or created.
  ///
  /// - Throws: `MirrorError` with the cause and the remedy.
  func checkLocal() throws {
    do {
      try lookAtLocal()
    } catch {
      throw describe(error, of: name)
    }
  }

  private func lookAtLocal() throws {
    let found = try kind(at: local)
    if place == nil, spec.direction == .download, found == nil {
      throw MirrorError(.local, "\(name): \(local) does not exist; correct the path or write s3://…")
    }
    if found == .special {
      throw MirrorError(.local, "\(name): \(local) is neither a directory nor a file; name another path")
    }
    if found == .symbolicLink {
      throw MirrorError(
        .local, "\(name): \(local) is a symbolic link that leads nowhere; remove it or make what it leads to")
    }
    var above = local
    while try kind(at: above) == nil, above.removeLastComponent() {}
    if above != local, try kind(at: above) != .directory {
      throw MirrorError(.local, "\(name): \(local) cannot be made, since \(above) is no directory")
    }
  }

  /// Lists one key, to find out whether the bucket exists and may be listed. A HeadBucket answer would not
  /// include the reason of an error.
  func checkAccess() async throws {
    guard let place else { return }
    do {
      _ = try await place.bucket.store.send(ListObjectsV2(prefix: place.location.prefix, limit: 1))
    } catch  where !(error is CancellationError) {
      throw MirrorError(
        .configuration, "\(name) (\(place.location.url)): \(error)", fault: ServiceFault(error))
    }
  }
}
