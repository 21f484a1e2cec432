import S3Mirror

/// Publishes a directory once, after it has printed what would be done.
///
/// With `interval: nil` a scope publishes when it ends, so that a scope with nothing in it is one upload.
func uploadOnce(_ directory: String, to remote: String) async throws {
  let upload = MirrorSpec.upload(remote, local: directory, interval: nil, delete: false)
  let plan = try await planMirror(["results": upload]) { action in print(action) }
  print(plan)
  do {
    try await withMirror(["results": upload]) { _ in }
  } catch let error as MirrorError where error.kind == .incomplete {
    // Everything else has been published.
    for failure in error.failures { print("not published: \(failure)") }
    throw error
  }
}
