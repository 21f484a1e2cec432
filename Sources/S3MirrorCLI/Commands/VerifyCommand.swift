import ArgumentParser
import S3Mirror

/// Compares a local tree or file with a remote. Changes neither.
struct VerifyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Compare a directory or file with a remote, without downloading.",
    discussion: """
      Prints one line for each difference: missing (not on S3), extra (not here), size, content, or unproved (equal \
      size, and S3 keeps no checksum to compare with; --read reads such objects). Exit status 1 if there is any.
      """)

  @Argument(help: "The directory or file.")
  var local: String

  @Argument(help: "s3://[profile@]bucket/key")
  var remote: String

  @Flag(help: "Read the objects of which S3 keeps no checksum, and compare their bytes; nothing is stored.")
  var read = false

  @Flag(help: "Print JSON lines: difference, path.")
  var json = false

  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  private struct Line: Encodable {
    var difference: String
    var path: String
  }

  func run() async throws {
    let inspection = try Inspection(options: mirror.options(for: "verify", telling: mirror.narrator))
    let summary: VerifySummary
    do {
      summary = try await inspection.verify(
        local, against: remote, exclude: filter.exclude, include: filter.include,
        reading: read ? .whereNeeded : .never
      ) { difference in
        let kind = difference.kind.rawValue
        if json {
          Console.raw(JSONText.encode(Line(difference: kind, path: difference.path)))
        } else {
          Console.line("\(kind) \(difference.path)")
        }
      }
    } catch {
      await inspection.close()
      throw error
    }
    await inspection.close()
    Narrator.list(summary.failures) { Console.error("not compared: \($0)") }
    if !mirror.quiet {
      Console.note("\(summary.files) files compared, \(summary.differences) differences")
    }
    throw summary.isEqual ? ExitStatus.success : ExitStatus.failure
  }
}
