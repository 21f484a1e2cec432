/// Fetches a checkpoint from S3: the newest complete one, or the named one.
///
/// A checkpoint is complete if its receipt shows it, or if the last file that its framework writes exists, or
/// if another file names it; the semantics page has the rules. The local directory of a checkpoint appears
/// only when all of its files are there, so a killed restore leaves none. Files that name the checkpoint,
/// such as `latest`, are written last, and only if they name this checkpoint.
///
/// - Parameters:
///   - remote: `s3://[profile@]bucket/key`, the directory that holds the checkpoints.
///   - local: the local directory that corresponds to the remote; by default below ``Options/cacheRoot``. The
///     checkpoint has the same path below this directory as below the remote.
///   - unit: the checkpoint's path below the remote, as ``checkpoints(at:exclude:include:options:)`` returns
///     it, or the end of that path. The checkpoint may be one that nothing shows to be complete, but not one
///     that is known to be incomplete.
///   - exclude: gitignore-style patterns; matching objects are ignored.
///   - include: gitignore-style patterns; if not empty, all other objects are ignored.
///   - extent: with ``RestoreExtent/ownPart`` only what this member of ``Options/group`` wrote is fetched, of the
///     checkpoint that is chosen as without it.
/// - Throws: ``MirrorError``; of kind `incomplete`, with a reason for each of the newest checkpoints, if none
///   is complete.
public func restore(
  _ remote: String, local: String? = nil, unit: String? = nil, exclude: [String] = [], include: [String] = [],
  extent: RestoreExtent = .everything, options: Options = Options()
) async throws -> RestoredCheckpoint {
  try await inScope(of: options) { scope in
    try await scope.restore(
      .download(remote, local: local, exclude: exclude, include: include), unit: unit, name: "restore",
      extent: extent)
  }
}

/// The checkpoints under a remote, newest first, each with the reason why it is complete or not.
///
/// "Newest" means the highest step within one series of names, and the latest publication among several
/// series.
///
/// - Throws: ``MirrorError``.
public func checkpoints(
  at remote: String, exclude: [String] = [], include: [String] = [], options: Options = Options()
) async throws -> [Checkpoint] {
  try await inScope(of: options) { scope in
    try await scope.checkpoints(of: .download(remote, exclude: exclude, include: include), name: "restore")
  }
}

private func inScope<Result>(
  of options: Options, _ body: (MirrorScope) async throws -> Result
) async throws -> Result {
  let scope = try MirrorScope(options: options)
  do {
    let result = try await body(scope)
    await scope.close()
    return result
  } catch {
    await scope.close()
    throw error
  }
}
