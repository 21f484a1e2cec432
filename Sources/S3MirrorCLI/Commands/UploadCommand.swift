import ArgumentParser
import S3Mirror

/// Publishes a tree or a file once.
struct UploadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "upload", abstract: "Publish a directory or a file once.",
    discussion: EventOptions.schema)

  @Argument(help: "The directory or file.")
  var local: String

  @Argument(help: "s3://[profile@]bucket/key; a file is published below a key that ends in a slash.")
  var remote: String

  @Flag(help: "Delete objects that have no file here.")
  var delete = false

  @OptionGroup var properties: PropertyOptions
  @OptionGroup var group: GroupOptions
  @OptionGroup var oneShot: OneShotOptions

  func run() async throws {
    let filter = oneShot.filter
    let spec = MirrorSpec.upload(
      remote, local: local, interval: nil, delete: delete, exclude: filter.exclude, include: filter.include,
      properties: try properties.properties())
    try await oneShot.carryOut(spec, as: "upload", of: .uploadOnce, group: group) { scope, label, narrator in
      let supervisor = try Supervisor()
      // The first signal changes nothing, because only the upload itself is left to finish. A message shows
      // that the signal has arrived.
      supervisor.react { _ in narrator.tellOfFirstSignal(label) }
      supervisor.reactToSecond { _ in scope.abandon() }
      let report: MirrorReport
      do {
        report = try await scope.uploadOnce(spec, name: label)
      } catch {
        await scope.close()
        if let signal = supervisor.secondSignal { throw ExitStatus.signal(signal) }
        throw error
      }
      await scope.close()
      narrator.tell(report)
      if let signal = supervisor.secondSignal { throw ExitStatus.signal(signal) }
      throw ExitStatus(report)
    }
  }
}
