import ArgumentParser
import S3Mirror

/// Which member of which group of hosts this host is.
struct MemberOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The group of hosts that mirror their parts of the same checkpoints under one prefix, or auto: what Slurm, torchrun or Kubernetes call the job. A commit marker is published after the data of all hosts, and no host deletes another host's objects.",
      valueName: "name"))
  var group: String?

  @Option(
    help: ArgumentHelp(
      "With --group: the number of this host, from 0; by default the launcher's.", valueName: "number"))
  var member: Int?

  @Option(
    help: ArgumentHelp(
      "With --group: the number of hosts; by default the launcher's.", valueName: "number"))
  var members: Int?

  func validate() throws {
    guard group == nil else { return }
    if let given = [("--member", member), ("--members", members)].first(where: { $0.1 != nil })?.0 {
      throw ValidationError("\(given) is a part of a group; write --group NAME, or --group auto, too")
    }
  }

  /// - Parameter environment: what the launcher has set.
  /// - Returns: nil if no group is named.
  /// - Throws: `MirrorError` that names what is missing, and the remedy.
  func choice(in environment: [String: String]? = nil) throws -> Options.Group? {
    guard let group else { return nil }
    return try Options.Group.found(
      name: group == "auto" ? nil : group, member: member, members: members, in: environment)
  }
}

/// The group of hosts that the mirror belongs to.
struct GroupOptions: ParsableArguments {
  @OptionGroup var member: MemberOptions

  @Option(
    help: ArgumentHelp(
      "With --group: how long the end waits for silent hosts before it gives a commit marker up.",
      valueName: "seconds"))
  var groupTimeout = Seconds(600)

  @Option(
    help: ArgumentHelp(
      "With --group: how long a process waits that takes a host's part over from one that did not end, before it publishes anything. So long S3 may accept requests of the earlier process.",
      valueName: "seconds"))
  var groupTakeover = Seconds(970)

  @Flag(
    name: .customLong("no-fencing"),
    help:
      "With --group: do without conditional writes, where the server does not know them. The launcher must make sure that no host has two processes."
  )
  var isUnfenced = false

  func validate() throws {
    guard member.group == nil else { return }
    if isUnfenced { throw ValidationError("--no-fencing concerns groups; write --group NAME too") }
  }

  /// - Parameter environment: what the launcher has set.
  /// - Throws: `MirrorError` that names what is missing, and the remedy.
  func apply(to options: inout Options, in environment: [String: String]? = nil) throws {
    guard var group = try member.choice(in: environment) else { return }
    group.timeout = groupTimeout.duration
    group.takeover = groupTakeover.duration
    group.fencing = isUnfenced ? .none : .conditionalWrites
    options.group = group
  }
}
