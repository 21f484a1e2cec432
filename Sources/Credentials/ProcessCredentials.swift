import FoundationEssentials
import LoopThread
import SigV4

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

  /// The AWS SDK for Go's default (`processcreds.DefaultTimeout`). A program that hangs, at a prompt that nobody sees or at a
  /// service that does not answer, is killed then with all that it started.
  static let deadline = Duration.seconds(60)

  func credentials() async throws -> AWSCredentials {
    // env(1) finds a bare name in PATH, and has sh(1) run a script that names no interpreter.
    let program = HelperProgram(
      "/usr/bin/env", arguments: ["env", "--"] + words, environment: ProcessInfo.processInfo.environment)
    let output: [UInt8]
    do {
      output = try await program.output(within: Self.deadline)
    } catch let cancellation as CancellationError {
      throw cancellation
    } catch {
      throw CredentialsError(
        source: source, cause: "the program failed: \(error)",
        remedy:
          "Run the command by hand to see what it says; it gets no input, and no terminal to ask for any.")
    }
    return try CredentialsDocument.credentials(from: output, source: source)
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
