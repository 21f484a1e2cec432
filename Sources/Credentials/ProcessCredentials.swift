import FoundationEssentials
import LoopThread
import SigV4

/// Credentials from a program's output: `credential_process` (SDKs and Tools Reference Guide, "Process
/// credential provider").
///
/// The program shares this process's standard error for its messages. Its output never appears in errors.
struct ProcessCredentials: Sendable {
  /// The program and its arguments. A program without a slash is searched in PATH.
  private let words: [String]
  private let source: String

  /// - Parameter command: split into words like a shell command, but without a shell.
  /// - Throws: `ConfigurationError` if a quote is not closed or there is no word.
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

  /// The default of the AWS SDK for Go (`processcreds.DefaultTimeout`). A program that hangs, at an invisible
  /// prompt or because a service does not answer, is then killed with everything that it has started.
  static let deadline = Duration.seconds(60)

  func credentials() async throws -> AWSCredentials {
    // env(1) searches PATH for the program, and runs a script without an interpreter line with sh(1).
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

/// Splits a command line into words with the quoting rules of sh(1); nil if a quote is not closed.
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
      // Within double quotes a backslash is ordinary text unless it precedes one of these characters.
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
