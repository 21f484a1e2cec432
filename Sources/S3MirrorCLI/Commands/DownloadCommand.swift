import ArgumentParser
import S3Mirror

/// Fetches a remote once and prints where it lies.
struct DownloadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "download", abstract: "Fetch an object or a prefix once, and print the local path.",
    discussion: EventOptions.schema)

  @Argument(help: "s3://[profile@]bucket/key: the object if it exists, else the prefix.")
  var remote: String

  @Argument(help: "Where it goes; by default below --cache-root.")
  var local: String?

  @Flag(help: "Remove local files that are not on S3.")
  var delete = false

  @OptionGroup var events: EventOptions
  @OptionGroup var plan: DryRunOptions
  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  func run() async throws {
    let narrator = mirror.narrator(events.format)
    let options = mirror.options(for: "download", telling: narrator)
    let label = mirror.name ?? "download"
    let spec = MirrorSpec.download(
      remote, local: local, delete: delete, exclude: filter.exclude, include: filter.include)
    if plan.dryRun { try await plan.carryOut(spec, name: label, options: options, as: events.format) }
    let scope = try MirrorScope(options: options)
    let supervisor = Supervisor()
    try await scope.enter(under: supervisor, onFirst: .leave) { try await scope.enter(spec, label: label) }
    let path = try scope.path(of: label)
    let withheld = scope.withheldLocalDeletes
    _ = await scope.exit(.returned)
    narrator.tell(download: label, isAt: path.string)
    throw withheld == 0 ? ExitStatus.success : ExitStatus.failure
  }
}
