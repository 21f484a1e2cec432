import MirrorModel
import S3Client

/// One line of a listing.
package struct RemoteLine: Sendable {
  /// `s3://bucket/key`. The URL of a directory ends in a slash.
  package var url: String
  /// Nil for directories.
  package var byteCount: Int64?
  /// Nanoseconds since 1970-01-01 UTC.
  package var lastModified: Int64?
}

/// Lists a remote: the objects under the prefix, or the object of that name. If both exist, one level gives
/// the object and the prefix as two lines, as a listing one level further up would.
///
/// - Throws: `MirrorError`; `S3Error`.
func listRemote(
  _ remote: String, depth: MirrorSession.Depth, buckets: any BucketSource, _ each: (RemoteLine) -> Void
) async throws {
  let location: S3Location
  do {
    location = try S3Location(parsing: remote)
  } catch {
    throw MirrorError(.invalid, "\(error)")
  }
  let store = try buckets.bucket(of: location).store
  let base = "s3://\(location.bucket)/"
  var found = false
  var isObjectToo = false
  if case .object(let object, _) = try await RemoteKind.find(location, in: store) {
    found = true
    isObjectToo = true
    each(
      RemoteLine(
        url: base + location.key, byteCount: object.byteCount, lastModified: object.lastModified))
  }
  if isObjectToo, depth == .level {
    let below = try await store.send(ListObjectsV2(prefix: location.prefix, limit: 1))
    if !below.objects.isEmpty {
      each(RemoteLine(url: base + location.prefix, byteCount: nil, lastModified: nil))
    }
    return
  }
  for try await page in store.listing(prefix: location.prefix, delimiter: depth == .level ? "/" : nil) {
    for object in page.objects {
      found = true
      each(
        RemoteLine(url: base + object.key, byteCount: object.byteCount, lastModified: object.lastModified))
    }
    for prefix in page.commonPrefixes {
      found = true
      each(RemoteLine(url: base + prefix, byteCount: nil, lastModified: nil))
    }
  }
  if !found, !location.isExplicitPrefix {
    throw MirrorError(.local, "there is nothing at \(location.url): neither an object nor a prefix")
  }
}
