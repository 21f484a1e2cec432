/// Tells what a mirror of these specs would do now, and why, and touches nothing: no byte, no directory, no log.
///
/// An upload is planned as a whole, from its entry to its exit: what would be published, and then what would be
/// deleted. Actions come as they are found, data before commit markers before deletes.
///
/// - Parameter each: is given every action; throwing ends the plan.
/// - Throws: ``MirrorError`` for what is wrong with a spec, or where a tree or prefix cannot be read; what `each` throws.
public func planMirror(
  _ specs: KeyValuePairs<String, MirrorSpec>, options: Options = Options(),
  isolation: isolated (any Actor)? = #isolation,
  _ each: (PlannedAction) throws -> Void
) async throws -> PlanSummary {
  let inspection = try Inspection(options: options)
  do {
    var summary = PlanSummary()
    for (name, spec) in specs {
      try await inspection.plan(spec, name: name) { action in
        summary.note(action)
        try each(action)
      }
    }
    await inspection.close()
    return summary
  } catch {
    await inspection.close()
    throw error
  }
}
