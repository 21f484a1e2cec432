/// Runs `body` inside a mirror. Downloads are complete when `body` starts. Uploads are published while `body`
/// runs and when it ends.
///
/// Everything is validated before the first transfer. At entry all downloads run; every upload is watched and
/// then compared; nothing is deleted. When the body returns, the remaining changes are published, everything
/// is compared once more, and superfluous objects are removed. When the body throws, uploads still run
/// (``Options/onError``) but delete nothing. All tasks end with the call. A cancellation of the surrounding
/// task does not interrupt the final publication; ``Options/exitTimeout`` limits it.
///
/// - Parameters:
///   - specs: the downloads, uploads and syncs by name. The names are members of the session.
///   - body: receives the session, which ends with the body.
/// - Returns: the result of `body`.
/// - Throws: the body's error; or ``MirrorError`` for an error at entry or, if the body succeeded, for files
///   that could not be published.
public func withMirror<Result>(
  _ specs: KeyValuePairs<String, MirrorSpec>, options: Options = Options(),
  isolation: isolated (any Actor)? = #isolation,
  _ body: (MirrorSession) async throws -> Result
) async throws -> Result {
  try await withMirror(
    specs, in: try MirrorScope(options: options), options: options, isolation: isolation, body)
}

/// The same in an existing scope.
func withMirror<Result>(
  _ specs: KeyValuePairs<String, MirrorSpec>, in scope: MirrorScope, options: Options,
  isolation: isolated (any Actor)? = #isolation,
  _ body: (MirrorSession) async throws -> Result
) async throws -> Result {
  do {
    try await scope.enter(specs.map { (name: $0.key, spec: $0.value) })
  } catch {
    _ = await scope.exit(.threw)
    throw error
  }
  let result: Result
  do {
    result = try await body(MirrorSession(scope: scope))
  } catch {
    let report = await scope.exit(.threw)
    options.observer?(.ended(report))
    throw error
  }
  let report = await scope.exit(.returned)
  options.observer?(.ended(report))
  if let error = report.error { throw error }
  return result
}
