import ArgumentParser
import S3Mirror
import TransferLog

/// Fetches the newest complete checkpoint and prints its local path, or lists all checkpoints.
struct RestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Fetch the newest complete checkpoint, and print its local path.",
    discussion: """
      A checkpoint is complete if its receipt says so, or what its framework writes last, or a file that names it. Readers of the \
      local directory find a checkpoint when everything of it is there; a restore that is killed leaves none. Files that name the \
      checkpoint, such as latest, come last and only if they name this one.

      With --list every checkpoint is a line: complete, unproved or incomplete, when it was published, its size, its name, and \
      what shows that. With --list --json: name, state, reason, published, bytes, files, namedBy. Else with --json: event \
      (restored), name, local, files, bytes, unchanged, and the events of a download.

      Of a checkpoint that the hosts of a group wrote, everything is fetched. With --member-only each host fetches its own part.

      Exit status 1 if no checkpoint is complete.
      """)

  @Argument(help: "s3://[profile@]bucket/key: what holds the checkpoints.")
  var remote: String

  @Argument(help: "The local directory for what lies under the remote; by default below --cache-root.")
  var local: String?

  @Flag(help: "List all checkpoints, the newest first, and fetch nothing.")
  var list = false

  @Option(
    help: ArgumentHelp(
      "Fetch this checkpoint: its path below the remote, or the end of that path. It may be one that nothing marks as complete.",
      valueName: "name"))
  var unit: String?

  @Flag(
    help:
      "Fetch only what this member of a group wrote, of the same checkpoint as without it, and the files that name the checkpoint. Without --group the launcher's environment says which member this is."
  )
  var memberOnly = false

  @OptionGroup var member: MemberOptions
  @OptionGroup var events: EventOptions
  @OptionGroup var filter: FilterOptions
  @OptionGroup var mirror: MirrorOptions

  func validate() throws {
    if list, unit != nil { throw ValidationError("--list lists all checkpoints; leave out --unit") }
    if list, memberOnly { throw ValidationError("--list lists whole checkpoints; leave out --member-only") }
    if !memberOnly, member.group != nil {
      throw ValidationError("a restore fetches what all members wrote; --group is for --member-only")
    }
    if list, local != nil { throw ValidationError("--list fetches nothing; leave out the local path") }
  }

  private var spec: MirrorSpec {
    .download(remote, local: local, exclude: filter.exclude, include: filter.include)
  }

  func run() async throws {
    let narrator = mirror.narrator(events.format)
    var options = mirror.options(for: "restore", telling: narrator)
    if memberOnly { options.group = try member.choice() ?? Options.Group.found() }
    let extent: RestoreExtent = memberOnly ? .ownPart : .everything
    let scope = try MirrorScope(options: options)
    let label = mirror.name ?? "restore"
    if list { return try await printList(from: scope, label) }
    let supervisor = try Supervisor()
    let result = Outcome()
    try await scope.enter(under: supervisor, onFirst: .leave) { [spec, unit] in
      await result.set(try await scope.restore(spec, unit: unit, name: label, extent: extent))
    }
    _ = await scope.exit(.returned)
    guard let restored = await result.value else { return }
    switch events.format {
    case .text: Console.result(restored.path.string)
    case .json: Console.report(JSONText.encode(RestoredLine(restored)))
    }
  }

  private actor Outcome {
    var value: RestoredCheckpoint?

    func set(_ restored: RestoredCheckpoint) { value = restored }
  }

  private func printList(from scope: MirrorScope, _ label: String) async throws {
    let checkpoints: [Checkpoint]
    do {
      checkpoints = try await scope.checkpoints(of: spec, name: label)
    } catch {
      await scope.close()
      throw error
    }
    await scope.close()
    for checkpoint in checkpoints {
      if events.json {
        Console.raw(JSONText.encode(ListedLine(checkpoint)))
      } else {
        let time = UTCTime(milliseconds: checkpoint.published / 1_000_000).description
        Console.line(
          "\(checkpoint.state.rawValue) \(time) \(ByteCount(checkpoint.bytes)) \(checkpoint.name): \(checkpoint.reason)"
        )
      }
    }
    if !checkpoints.contains(where: { $0.state == .complete }) { throw ExitStatus.failure }
  }
}

/// One line of `--list --json`.
private struct ListedLine: Encodable {
  var name: String
  var state: String
  var reason: String
  var published: String
  var bytes: Int64
  var files: Int
  var namedBy: [String]

  init(_ checkpoint: Checkpoint) {
    name = checkpoint.name
    state = checkpoint.state.rawValue
    reason = checkpoint.reason
    published = UTCTime(milliseconds: checkpoint.published / 1_000_000).description
    bytes = checkpoint.bytes
    files = checkpoint.files
    namedBy = checkpoint.namedBy
  }
}

/// The last line of `--json`.
struct RestoredLine: Encodable {
  var event = "restored"
  var name: String
  var local: String
  var files: Int
  var bytes: Int64
  var unchanged: Int

  init(_ restored: RestoredCheckpoint) {
    name = restored.checkpoint.name
    local = restored.path.string
    files = restored.files
    bytes = restored.bytes
    unchanged = restored.unchanged
  }
}
