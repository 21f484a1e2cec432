import ArgumentParser
import S3Mirror

/// Streams a directory until a signal ends it.
struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Stream a directory to S3 until SIGINT or SIGTERM, then compare everything once more.")

  @Argument(help: "The directory, or one file.")
  var local: String

  @Argument(help: "s3://[profile@]bucket/prefix")
  var remote: String

  @Option(help: "Seconds from tick to tick; 0 publishes each change as soon as it is closed and quiet.")
  var interval: Double = 300

  @Flag(help: "Remove objects whose file is gone.")
  var delete = false

  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  mutating func validate() throws {
    guard interval >= 0, interval.isFinite else { throw ValidationError("--interval cannot be negative.") }
  }

  func run() async throws {
    let narrator = mirror.narrator
    let scope = try MirrorScope(options: mirror.options(telling: narrator))
    let supervisor = Supervisor()
    let spec = MirrorSpec.upload(
      remote, local: local, interval: .seconds(interval), delete: delete, exclude: filter.exclude,
      include: filter.include)
    try await scope.enter(
      [(name: mirror.name == "mirror" ? "watch" : mirror.name, spec: spec)], under: supervisor)
    await supervisor.firstArrival()
    let report = await scope.exit(.returned)
    narrator.tell(report)
    if let signal = supervisor.secondSignal { throw ExitStatus.signal(signal) }
    throw ExitStatus(report)
  }
}
