import TestSupport
import Testing

/// The programs of `Sources/Examples`, which users copy, against a real server.
@Suite(.enabled(if: Program.bucket != nil)) struct ExamplesTests {
  /// They are built into one directory with `s3mirror`.
  private static let examples = ["sh", "-c", #"exec "${0%s3mirror}Examples" "$@""#]

  private let program: Program

  init() throws { program = try Program() }

  private func run(_ arguments: String...) async throws -> Program.Ending {
    try await program.start(arguments, under: Self.examples).ending()
  }

  @Test func `a directory is uploaded once, trained on and downloaded again`() async throws {
    for name in ["a", "b"] { try program.directory.write("work/in/" + name, name) }
    let upload = try await run("upload-once", "in", program.url("in"))
    #expect(upload.status == 0, "\(upload.output) \(upload.messages)")
    #expect(upload.output.contains("2 uploads"))
    let training = try await run("training-loop", program.url("in"), program.url("out"))
    #expect(training.status == 0, "\(training.output) \(training.messages)")
    let download = try await run("download-and-verify", program.url("out"), "got")
    #expect(download.status == 0, "\(download.output) \(download.messages)")
    #expect(try program.directory.text("work/got/latest") == "step-3.txt")
    #expect(try program.directory.text("work/got/step-3.txt") == "trained on 2 files\n")
  }

  @Test func `what cannot be done is an error with its cause`() async throws {
    let download = try await run("download-and-verify", program.url("nothing"), "got")
    #expect(download.status == 1)
    #expect(download.output.contains("neither an object nor a prefix"))
  }
}
