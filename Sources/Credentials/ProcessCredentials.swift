import FoundationEssentials
import LoopThread
import SigV4
import SystemPackage

/// Credentials that a program prints: `credential_process` (SDKs and Tools Reference Guide, "Process credential
/// provider").
///
/// Its standard error is ours, so that it can say what it wants, and nothing that it prints reaches our errors.
struct ProcessCredentials: Sendable {
  /// The program, looked up in PATH when it is a bare name, and its arguments.
  private let words: [String]
  private let source: String

  /// - Parameter command: split into words as a shell does; no shell runs it.
  /// - Throws: `ConfigurationError` when a quote does not end or there is no word.
  init(command: String, profile: String) throws {
    guard let words = shellWords(command), !words.isEmpty else {
      throw ConfigurationError(
        subject: "credential_process of profile \(profile)",
        cause: "is empty or has a quote that does not end",
        remedy: "Quote words that hold spaces with \" or '.")
    }
    self.words = words
    source = "credential_process of profile \(profile)"
  }

  func credentials() async throws -> AWSCredentials {
    // Reading and waiting block: not on a thread that tasks run on.
    let thread = try WorkerThreads(count: 1, name: "s3m-credentials")
    defer { thread.stop() }
    let output = try await thread.run { try run() }
    return try CredentialsDocument.credentials(from: output, source: source)
  }

  private func run() throws -> [UInt8] {
    let output: [UInt8]
    let ending: SpawnedProcess.Ending
    do {
      let (reader, writer) = try FileDescriptor.privatePipe()
      (output, ending) = try reader.closeAfter {
        // A second writer here would keep the pipe's end from coming.
        let process = try writer.closeAfter {
          // env(1) finds a bare name in PATH, and has sh(1) run a script that names no interpreter.
          try SpawnedProcess(
            "/usr/bin/env", arguments: ["env", "--"] + words,
            environment: ProcessInfo.processInfo.environment, output: writer)
        }
        let output = Result { try reader.contents() }
        let ending = process.wait()
        return (try output.get(), ending)
      }
    } catch {
      throw fault("the program cannot be run (\(error))")
    }
    guard ending == .status(0) else { throw fault("the program ended with \(ending)") }
    return output
  }

  private func fault(_ cause: String) -> CredentialsError {
    CredentialsError(source: source, cause: cause, remedy: "Run the command by hand to see what it says.")
  }
}

/// A command line's words, as sh(1) quotes them; nil when a quote does not end.
func shellWords(_ command: String) -> [String]? {
  var words: [String] = []
  var word: String?
  var quote: Character?
  var characters = command.makeIterator()
  while let character = characters.next() {
    switch (quote, character) {
    case ("'", "'"), ("\"", "\""): quote = nil
    case (nil, "'"), (nil, "\""):
      quote = character
      word = word ?? ""
    case ("\"", "\\"):
      guard let next = characters.next() else { return nil }
      // Within double quotes a backslash is itself unless it protects one of these.
      word = (word ?? "") + (next == "\"" || next == "\\" ? "" : "\\") + String(next)
    case (nil, "\\"):
      guard let next = characters.next() else { return nil }
      word = (word ?? "") + String(next)
    case (nil, _) where character.isWhitespace:
      if let complete = word { words.append(complete) }
      word = nil
    default: word = (word ?? "") + String(character)
    }
  }
  if quote != nil { return nil }
  if let word { words.append(word) }
  return words
}
