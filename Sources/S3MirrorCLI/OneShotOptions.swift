import ArgumentParser
import S3Mirror

/// The common options of commands that transfer once, in either direction.
struct OneShotOptions: ParsableArguments {
  @OptionGroup var events: EventOptions
  @OptionGroup var plan: DryRunOptions
  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  /// Carries out the spec, or only plans it if that is requested.
  ///
  /// - Parameters:
  ///   - command: the name if `--name` is not given.
  ///   - run: the kind of run, for a plan.
  ///   - group: the group of hosts that the upload belongs to.
  func carryOut(
    _ spec: MirrorSpec, as command: String, of run: Inspection.PlannedRun, group: GroupOptions? = nil,
    _ body: (_ scope: MirrorScope, _ label: String, _ narrator: Narrator) async throws -> Void
  ) async throws {
    let narrator = mirror.narrator(events.format)
    var options = mirror.options(for: command, telling: narrator)
    try group?.apply(to: &options)
    let label = mirror.name ?? command
    if plan.dryRun {
      try await plan.carryOut(spec, name: label, of: run, options: options, as: events.format)
    }
    try await body(try MirrorScope(options: options), label, narrator)
  }
}
