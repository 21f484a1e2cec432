import ArgumentParser
import S3Mirror

/// Whether `status` and `flush` can reach a mirror while it runs.
struct ControlOptions: ParsableArguments {
  @Flag(
    inversion: .prefixedNo,
    help: "Let status and flush of the same user find this mirror, by a socket in the runtime directory.")
  var controlSocket = true
}

/// Selects the running mirrors for a command.
struct MirrorChoice: ParsableArguments {
  @Argument(help: "The upload, or the mirror's --name; all by default.")
  var name: String?

  @Option(help: ArgumentHelp("The mirror's process.", valueName: "number"))
  var pid: Int32?

  /// A mirror, its state, and the selected upload.
  struct Choice {
    var mirror: RunningMirror
    var state: MirrorState
    /// Nil selects all uploads.
    var upload: String?
  }

  /// - Returns: the selected mirrors, and whether other mirrors gave no answer.
  /// - Throws: `ExitStatus.configuration` if there is none.
  func resolve() throws -> (choices: [Choice], hasSilent: Bool) {
    var choices: [Choice] = []
    var others: [String] = []
    var hasSilent = false
    for mirror in try RunningMirror.all(complaint: { Console.error($0) }) {
      do {
        let state = try mirror.state()
        if let choice = choice(mirror, state) {
          choices.append(choice)
        } else {
          let names = state.uploads.map(\.name).joined(separator: ", ")
          others.append("\(state.mirror) (process \(mirror.pid): \(names))")
        }
      } catch {
        guard pid == nil || pid == mirror.pid else { continue }
        Console.error("process \(mirror.pid): \(error)")
        hasSilent = true
      }
    }
    if choices.isEmpty, !hasSilent {
      Console.error(
        others.isEmpty
          ? "no mirror of this user runs here"
          : "no such mirror runs; there is \(others.joined(separator: ", "))")
      throw ExitStatus.configuration
    }
    return (choices, hasSilent)
  }

  private func choice(_ mirror: RunningMirror, _ state: MirrorState) -> Choice? {
    guard pid == nil || pid == mirror.pid else { return nil }
    guard let name, name != state.mirror else { return Choice(mirror: mirror, state: state) }
    guard state.uploads.contains(where: { $0.name == name }) else { return nil }
    return Choice(mirror: mirror, state: state, upload: name)
  }
}
