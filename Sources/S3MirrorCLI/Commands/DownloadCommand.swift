import ArgumentParser
import S3Mirror

/// Fetches a remote once and prints where it lies.
struct DownloadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "download", abstract: "Fetch an object or a prefix once, and print the local path.")

  @Argument(help: "s3://[profile@]bucket/key: the object if it exists, else the prefix.")
  var remote: String

  @Argument(help: "Where it goes; by default below --cache-root.")
  var local: String?

  @Flag(help: "Remove local files that are not on S3.")
  var delete = false

  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  func run() async throws {
    let scope = try MirrorScope(options: mirror.options(telling: mirror.narrator))
    let supervisor = Supervisor()
    let name = "download"
    let spec = MirrorSpec.download(
      remote, local: local, delete: delete, exclude: filter.exclude, include: filter.include)
    // The session's own method names are reserved for members; here the name is only for messages.
    let label = name + " " + remote
    try await scope.enter([(name: label, spec: spec)], under: supervisor)
    let path = try scope.path(of: label)
    let withheld = scope.withheldLocalDeletes
    _ = await scope.exit(.returned)
    Console.data(path.string)
    throw withheld == 0 ? ExitStatus.success : ExitStatus.failure
  }
}
