import ArgumentParser
import S3Mirror

/// What the commands that transfer once, there or back, have in common.
struct OneShotOptions: ParsableArguments {
  @OptionGroup var events: EventOptions
  @OptionGroup var plan: DryRunOptions
  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  /// Carries the spec out, or tells what that would do if only that is asked for.
  ///
  /// - Parameters:
  ///   - command: names it where `--name` does not.
  ///   - run: what `body` does, for a plan.
  func carryOut(
    _ spec: MirrorSpec, as command: String, of run: Inspection.PlannedRun,
    _ body: (_ scope: MirrorScope, _ label: String, _ narrator: Narrator) async throws -> Void
  ) async throws {
    let narrator = mirror.narrator(events.format)
    let options = mirror.options(for: command, telling: narrator)
    let label = mirror.name ?? command
    if plan.dryRun {
      try await plan.carryOut(spec, name: label, of: run, options: options, as: events.format)
    }
    try await body(try MirrorScope(options: options), label, narrator)
  }
}
