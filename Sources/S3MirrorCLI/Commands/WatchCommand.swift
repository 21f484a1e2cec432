import ArgumentParser
import S3Mirror

/// Streams a directory until a signal ends it.
struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Stream a directory to S3 until SIGINT or SIGTERM, then compare everything once more.",
    discussion: EventOptions.schema)

  @Argument(help: "The directory, or one file.")
  var local: String

  @Argument(help: "s3://[profile@]bucket/prefix")
  var remote: String

  @Option(
    help: ArgumentHelp(
      "The time from tick to tick; 0 publishes each change as soon as it is closed and quiet.",
      valueName: "seconds"))
  var interval = Seconds(300)

  @Flag(help: "Remove objects whose file is gone.")
  var delete = false

  @OptionGroup var events: EventOptions
  @OptionGroup var filter: FilterOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var mirror: MirrorOptions

  func run() async throws {
    let narrator = mirror.narrator(events.format)
    var options = mirror.options(for: "watch", telling: narrator)
    options.controlSocket = control.controlSocket
    let scope = try MirrorScope(options: options)
    let supervisor = Supervisor()
    let spec = MirrorSpec.upload(
      remote, local: local, interval: interval.duration, delete: delete, exclude: filter.exclude,
      include: filter.include)
    let label = mirror.name ?? "watch"
    try await scope.enter(under: supervisor, onFirst: .finish) { try await scope.enter(spec, label: label) }
    await supervisor.firstArrival()
    let report = await scope.exit(.returned)
    narrator.tell(report)
    if let signal = supervisor.secondSignal { throw ExitStatus.signal(signal) }
    throw ExitStatus(report)
  }
}
