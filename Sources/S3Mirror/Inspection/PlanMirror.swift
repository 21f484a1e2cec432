/// Plans what a mirror of these specs would do now, with reasons. The plan changes nothing: no file, no
/// directory, no log.
///
/// The specs are validated as in ``withMirror(_:options:isolation:_:)``. Downloads come first. An upload is
/// planned from its entry to its exit: first the publications, then the deletes. Actions are reported as they
/// are found: data before commit markers before deletes.
///
/// - Parameter each: receives every action. An error that `each` throws ends the plan.
/// - Throws: ``MirrorError`` if a spec is invalid, or if a tree or prefix cannot be read; and the errors of
///   `each`.
public func planMirror(
  _ specs: KeyValuePairs<String, MirrorSpec>, options: Options = Options(),
  isolation: isolated (any Actor)? = #isolation,
  _ each: (PlannedAction) throws -> Void
) async throws -> PlanSummary {
  try await plan(
    specs.map { (name: $0.key, spec: $0.value) }, of: .scope, in: try Inspection(options: options), each)
}

/// The same for a command, with any text as name.
package func planMirror(
  _ spec: MirrorSpec, name: String, of run: Inspection.PlannedRun, options: Options,
  isolation: isolated (any Actor)? = #isolation,
  _ each: (PlannedAction) throws -> Void
) async throws -> PlanSummary {
  try await plan([(name: name, spec: spec)], of: run, in: try Inspection(options: options), each)
}

/// The same with an existing inspection, which is closed at the end.
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
