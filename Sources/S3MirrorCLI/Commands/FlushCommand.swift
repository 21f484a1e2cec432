import ArgumentParser
import S3Mirror

/// Has running mirrors publish now, and waits for it.
struct FlushCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flush", abstract: "Have this user's running mirrors publish now, and wait for it.",
    discussion: """
      When it returns, everything that was closed before the call is published. Exit status 1 if something could \
      not be, and the paths are printed; 3 if no mirror runs.
      """)

  @OptionGroup var choice: MirrorChoice

  @Flag(
    help:
      "Print a JSON line a mirror: mirror, pid, and flushed (the uploads) or error (kind, message, failures)."
  )
  var json = false

  private struct Line: Encodable {
    var mirror: String
    var pid: Int32
    var flushed: [String]?
    var error: ControlAnswer.Fault?
  }

  func run() async throws {
    let (choices, hasSilent) = try choice.resolve()
    // All are asked before one is waited for: they work side by side.
    let questions = choices.map { choice in
      (choice, Result { try choice.mirror.ask(ControlRequest(.flush, upload: choice.upload)) })
    }
    var hasFailed = hasSilent
    for (choice, question) in questions {
      let answer: ControlAnswer
      do {
        // As long as it takes: a checkpoint of a terabyte is no silence.
        answer = try question.get().answer(within: nil)
      } catch {
        answer = ControlAnswer(error: .init(kind: .interrupted, message: "\(error)", failures: []))
      }
      tell(answer, of: choice)
      if answer.flushed == nil { hasFailed = true }
    }
    throw hasFailed ? ExitStatus.failure : ExitStatus.success
  }

  private func tell(_ answer: ControlAnswer, of choice: MirrorChoice.Choice) {
    if json {
      Console.raw(
        JSONText.encode(
          Line(
            mirror: choice.state.mirror, pid: choice.mirror.pid, flushed: answer.flushed, error: answer.error)
        ))
    } else if let error = answer.error {
      for failure in error.failures { Console.line("\(failure.path): \(failure.reason)") }
    }
    if let error = answer.error { Console.error("\(choice.state.mirror): \(error.message)") }
  }
}
