/// Plans what a mirror of these specs would do now, and why, and touches nothing: no byte, no directory, no log.
///
/// The specs are validated as ``withMirror(_:options:isolation:_:)`` validates them. Downloads come first. An upload is planned
/// as a whole, from its entry to its exit: what would be published, and then what would be deleted. Actions come as they are
/// found, data before commit markers before deletes.
///
/// - Parameter each: is given every action; throwing ends the plan.
/// - Throws: ``MirrorError`` for what is wrong with a spec, or where a tree or prefix cannot be read; what `each` throws.
public func planMirror(
  _ specs: KeyValuePairs<String, MirrorSpec>, options: Options = Options(),
  isolation: isolated (any Actor)? = #isolation,
  _ each: (PlannedAction) throws -> Void
) async throws -> PlanSummary {
  try await plan(
    specs.map { (name: $0.key, spec: $0.value) }, of: .scope, in: try Inspection(options: options), each)
}

/// The same for a command, which names its specs as it likes.
package func planMirror(
  _ spec: MirrorSpec, name: String, of run: Inspection.PlannedRun, options: Options,
  isolation: isolated (any Actor)? = #isolation,
  _ each: (PlannedAction) throws -> Void
) async throws -> PlanSummary {
  try await plan([(name: name, spec: spec)], of: run, in: try Inspection(options: options), each)
}

/// The same by an inspection that was made before, which ends with it.
func plan(
  _ specs: [(name: String, spec: MirrorSpec)], of run: Inspection.PlannedRun, in inspection: Inspection,
  isolation: isolated (any Actor)? = #isolation,
  _ each: (PlannedAction) throws -> Void
) async throws -> PlanSummary {
  do {
    var summary = PlanSummary()
    try await inspection.plan(specs, of: run) { action in
      summary.note(action)
      try each(action)
    }
    await inspection.close()
    return summary
  } catch {
    await inspection.close()
    throw error
  }
}
