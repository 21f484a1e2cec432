import ArgumentParser
import FoundationEssentials
import S3Mirror

/// Runs any program inside a scope.
struct RunCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a program inside a mirror.",
    usage:
      "s3mirror run [--download SPEC] [--upload SPEC] [--sync SPEC] [--restore SPEC] [options] -- COMMAND [ARGUMENT ...]",
    discussion: """
      SPEC is name=remote[,local=PATH][,interval=SECONDS|none][,delete=true|false][,exclude=PATTERN]\
      [,include=PATTERN]. A comma begins the next key; write \\, for a comma that is part of a name.

      The SPEC of --restore is name=remote[,local=PATH][,unit=NAME][,member-only=true|false][,exclude=PATTERN]\
      [,include=PATTERN]. The newest complete checkpoint, or the one that unit= names, is fetched before anything else; with \
      member-only=true only what this member of --group wrote. If there is none, as in a first run, the program starts with an \
      empty path.

      The program gets each local path as S3MIRROR_<NAME> (upper case, other characters _) and as {name} in its \
      arguments. Signals are passed on to the program, and its exit status is the command's. If the program fails, \
      nothing is deleted on S3.
      """)

  @Option(
    help: ArgumentHelp("Fetch before the program starts.", valueName: "spec"),
    transform: { try SpecArgument(parsing: $0) })
  var download: [SpecArgument] = []

  @Option(
    help: ArgumentHelp("Publish while the program runs and when it ends.", valueName: "spec"),
    transform: { try SpecArgument(parsing: $0) })
  var upload: [SpecArgument] = []

  @Option(
    help: ArgumentHelp("Fetch, then publish from the same path: resume a run.", valueName: "spec"),
    transform: { try SpecArgument(parsing: $0) })
  var sync: [SpecArgument] = []

  @Option(
    help: ArgumentHelp(
      "Fetch the newest complete checkpoint before the program starts; the program gets the checkpoint's path.",
      valueName: "spec"),
    transform: { try SpecArgument(parsing: $0, for: .restore) })
  var restore: [SpecArgument] = []

  @OptionGroup var properties: PropertyOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var group: GroupOptions
  @OptionGroup var mirror: MirrorOptions

  @Argument(parsing: .postTerminator, help: "The program and its arguments.")
  var command: [String] = []

  private var names: [String] { (download + upload + sync + restore).map(\.name) }

  mutating func validate() throws {
    guard !command.isEmpty else { throw ValidationError("there is no program to run; write -- COMMAND") }
    guard !names.isEmpty else {
      throw ValidationError("there is nothing to mirror; give --download, --upload, --sync or --restore")
    }
    var taken: [String: String] = [:]
    for name in names {
      let variable = Self.variable(for: name)
      if let other = taken[variable], other != name {
        throw ValidationError("the names \"\(other)\" and \"\(name)\" both become \(variable); rename one")
      }
      taken[variable] = name
    }
    let mirrored = Set((download + upload + sync).map(\.name))
    var restored: Set<String> = []
    for spec in restore where mirrored.contains(spec.name) || !restored.insert(spec.name).inserted {
      throw ValidationError(
        "the name \"\(spec.name)\" is given twice; the restored checkpoint has a path of its own, so give --restore another name"
      )
    }
    for spec in download { _ = try spec.download() }
  }

  func run() async throws {
    let environment = ProcessInfo.processInfo.environment
    let executable: String
    do {
      executable = try ChildProcess.locate(command[0], path: environment["PATH"])
    } catch let status as ExitStatus {
      Console.error(
        "\(command[0]): \(status == .notFound ? "command not found" : "it is not executable")")
      throw status
    }
    let narrator = mirror.narrator
    var options = mirror.options(for: "run", telling: narrator)
    options.controlSocket = control.controlSocket
    try group.apply(to: &options)
    let scope = try MirrorScope(options: options)
    let supervisor = try Supervisor()
    let published = try properties.properties()
    let specs =
      try download.map { (name: $0.name, spec: try $0.download()) }
      + upload.map { (name: $0.name, spec: $0.upload(published)) }
      + sync.map { (name: $0.name, spec: $0.sync(published)) }
    let requests = restore.map {
      CheckpointRequest(
        name: $0.name,
        spec: .download($0.remote, local: $0.local, exclude: $0.exclude, include: $0.include), unit: $0.unit,
        extent: $0.extent)
    }
    try await scope.enter(under: supervisor, onFirst: .leave) {
      try await scope.enter(specs, restoring: requests)
    }

    let ending: ChildProcess.Ending
    do {
      ending = try await runChild(executable, in: environment, scope: scope, supervisor: supervisor)
    } catch {
      _ = await scope.exit(.threw)
      throw error
    }
    let report = await scope.exit(ending.status == 0 ? .returned : .threw)
    narrator.tell(report)
    if let signal = supervisor.secondSignal { throw ExitStatus.signal(signal) }
    throw ending.status == 0 ? ExitStatus(report) : ExitStatus(code: ending.status)
  }

  private func runChild(
    _ executable: String, in environment: [String: String], scope: MirrorScope, supervisor: Supervisor
  ) async throws -> ChildProcess.Ending {
    var environment = environment
    var arguments = command
    for name in names {
      let path = try scope.path(of: name).string
      environment[Self.variable(for: name)] = path
      arguments = arguments.map { $0.replacing("{\(name)}", with: path) }
    }
    let child = try ChildProcess(executable: executable, arguments: arguments, environment: environment)
    // A Ctrl-C at the terminal has already reached the child, because child and mirror are in the terminal's
    // foreground group.
    supervisor.react { arrival in
      if !arrival.isFromTerminal { child.send(arrival.number) }
    }
    supervisor.reactToSecond { arrival in
      if !arrival.isFromTerminal { child.send(arrival.number) }
      scope.abandon()
    }
    scope.pauseProgress()
    defer { scope.resumeProgress() }
    let ending = await child.wait()
    // From now on another process may have the child's number.
    supervisor.react { _ in }
    supervisor.reactToSecond { _ in scope.abandon() }
    return ending
  }

  /// `S3MIRROR_<NAME>`: upper case, with `_` for characters that a variable's name cannot have.
  static func variable(for name: String) -> String {
    let letters = name.uppercased().map { character in
      character.isASCII && (character.isLetter || character.isNumber) ? character : "_"
    }
    return "S3MIRROR_" + String(letters)
  }
}
