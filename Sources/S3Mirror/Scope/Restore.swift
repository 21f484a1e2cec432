/// Fetches a checkpoint from S3: the newest that is complete, or the one that is named.
///
/// A checkpoint is complete if its receipt says so, or what its framework writes last, or a file that names it; the semantics page has
/// the rules. Readers of the local directory find a checkpoint when everything of it is there: a restore that is killed leaves none.
/// Files that name the checkpoint, such as `latest`, come last and only if they name this one.
///
/// - Parameters:
///   - remote: `s3://[profile@]bucket/key`, the directory that holds the checkpoints.
///   - local: where the remote's tree lies here; by default below ``Options/cacheRoot``. The checkpoint lies below it as it does below the
///     remote.
///   - unit: the checkpoint's path below the remote, as ``checkpoints(at:exclude:include:options:)`` names it, or the end of that path. It
///     may be one that nothing marks as complete, but none that is known to be incomplete.
///   - exclude: gitignore-style patterns of what does not count.
///   - include: if not empty, only what matches counts.
/// - Throws: ``MirrorError``: of kind `incomplete` with a reason for each of the newest checkpoints if none is complete.
public func restore(
  _ remote: String, local: String? = nil, unit: String? = nil, exclude: [String] = [], include: [String] = [],
  options: Options = Options()
) async throws -> RestoredCheckpoint {
  try await inScope(of: options) { scope in
    try await scope.restore(
      .download(remote, local: local, exclude: exclude, include: include), unit: unit, name: "restore")
  }
}

/// The checkpoints under a remote, the newest first, each with what shows that it is complete, or why it is not.
///
/// Newest is the highest step of a series of names, and of several series the one that was published last.
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
