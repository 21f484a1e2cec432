/// Runs `body` inside a mirror: downloads are there when it starts, uploads are published while it runs and when it ends.
///
/// Everything is validated before the first byte moves. On entry all downloads run, and every upload is watched and
/// then compared; entry never deletes. When the body returns, what is left is published, everything is compared once
/// more, and superfluous objects are removed. When it throws, uploads still run (``Options/onError``) but delete
/// nothing. Nothing is left running afterwards. Cancelling the surrounding task does not cut the final publication
/// short; ``Options/exitTimeout`` bounds it.
///
/// - Parameters:
///   - specs: each name with its download, upload or sync; the names are the session's members.
///   - body: is given the session, which ends with it.
/// - Returns: what `body` returns.
/// - Throws: the body's own error; or ``MirrorError`` for what was wrong at entry, or, when the body succeeded, for
///   what could not be published.
public func withMirror<Result>(
  _ specs: KeyValuePairs<String, MirrorSpec>, options: Options = Options(),
  isolation: isolated (any Actor)? = #isolation,
  _ body: (MirrorSession) async throws -> Result
) async throws -> Result {
  try await withMirror(
    specs, in: try MirrorScope(options: options), options: options, isolation: isolation, body)
}

/// The same in a scope that was made before.
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
