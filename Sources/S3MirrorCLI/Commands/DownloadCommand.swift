import ArgumentParser
import S3Mirror

/// Fetches a remote once and prints its local path.
struct DownloadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "download", abstract: "Fetch an object or a prefix once, and print the local path.",
    discussion: EventOptions.schema)

  @Argument(help: "s3://[profile@]bucket/key: the object if it exists, else the prefix.")
  var remote: String

  @Argument(help: "The local path; by default below --cache-root.")
  var local: String?

  @Flag(help: "Delete local files that are not on S3.")
  var delete = false

  @OptionGroup var oneShot: OneShotOptions

  func run() async throws {
    let filter = oneShot.filter
    let spec = MirrorSpec.download(
      remote, local: local, delete: delete, exclude: filter.exclude, include: filter.include)
    try await oneShot.carryOut(spec, as: "download", of: .labelledScope) { scope, label, narrator in
      let supervisor = try Supervisor()
      try await scope.enter(under: supervisor, onFirst: .leave) {
        try await scope.enter(labelled: [(name: label, spec: spec)])
      }
      let path = try scope.path(of: label)
      let withheld = scope.withheldLocalDeletes
      _ = await scope.exit(.returned)
      narrator.tell(download: label, isAt: path.string)
      throw withheld == 0 ? ExitStatus.success : ExitStatus.failure
    }
  }
}
