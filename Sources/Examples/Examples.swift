import Glibc

/// Programs to copy from. Each function stands alone in its file and needs nothing but `import S3Mirror`.
///
///     swift run Examples training-loop s3://bucket/data s3://bucket/outputs
@main
enum Examples {
  static func main() async {
    do {
      try await run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      print("\(error)")
      exit(1)
    }
  }

  private static func run(_ arguments: [String]) async throws {
    switch (arguments.first, arguments.count) {
    case ("training-loop", 3): try await trainWithMirror(inputs: arguments[1], outputs: arguments[2])
    case ("upload-once", 3): try await uploadOnce(arguments[1], to: arguments[2])
    case ("download-and-verify", 3): try await downloadAndVerify(arguments[1], to: arguments[2])
    default:
      print(
        """
        usage: Examples training-loop INPUTS OUTPUTS       (both s3://bucket/prefix)
               Examples upload-once DIRECTORY REMOTE
               Examples download-and-verify REMOTE DIRECTORY
        """)
    }
  }
}
