import ArgumentParser
import LocalSocket
import S3Mirror

/// Makes running mirrors publish now, and waits until they have.
struct FlushCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "flush", abstract: "Make this user's running mirrors publish now, and wait for that.",
    discussion: """
      When the command ends, everything that was closed before it began is published. If something could not be \
      published, the paths are printed and the exit status is 1; it is 3 if no mirror runs. With --deadline the \
      newest checkpoint that can be published in that time goes first, and is finished before another begins.
      """)

  @OptionGroup var choice: MirrorChoice

  @Option(
    help: ArgumentHelp(
      "This machine goes away in so many seconds: wait no longer.", valueName: "seconds"))
  var deadline: Seconds?

  @Flag(
    help:
      "Print one JSON line for each mirror: mirror, pid, and flushed (the uploads) or error (kind, message, failures)."
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
    let deadline = deadline?.duration
    let end = deadline.map { ContinuousClock.now + $0 }
    // All mirrors get their request before the first answer is awaited, so that they work in parallel.
    let questions = choices.map { choice in
      (
        choice,
        Result {
          try choice.mirror.ask(
            ControlRequest(.flush, upload: choice.upload, deadline: deadline.map { $0 / .seconds(1) }))
        }
      )
    }
    var hasFailed = hasSilent
    for (choice, question) in questions {
      let answer: ControlAnswer
      do {
        // Without a deadline there is no limit, because a checkpoint of a terabyte takes long.
        answer = try question.get().answer(within: end.map { max(.zero, $0 - .now) })
      } catch SocketError.timedOut {
        answer = ControlAnswer(
          error: .init(
            kind: .incomplete, message: "the deadline came before everything was published", failures: []))
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
