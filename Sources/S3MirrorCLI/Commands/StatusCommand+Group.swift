import ArgumentParser
import S3Mirror

/// How `status --group` reaches S3.
struct StatusConnectionOptions: ParsableArguments {
  @Option(help: "With --group: the AWS profile.")
  var profile: String?

  @Option(name: .customLong("endpoint-url"), help: "With --group: the S3 service's URL.")
  var endpointURL: String?

  @Option(help: "With --group: the bucket's region.")
  var region: String?

  @Flag(name: .customLong("no-sign-request"), help: "With --group: send requests without a signature.")
  var anonymous = false

  @Flag(help: "With --group: allow plain http to other hosts.")
  var allowInsecure = false

  var options: Options {
    var options = Options(showProgress: false)
    options.profile = profile
    options.endpointURL = endpointURL
    options.region = region
    options.anonymous = anonymous
    options.allowInsecure = allowInsecure
    return options
  }
}

extension StatusCommand {
  /// Prints the groups under a remote.
  ///
  /// - Returns: the exit status.
  func showGroups(under remote: String) async throws -> ExitStatus {
    let groups = try await groupStates(under: remote, options: connection.options)
    if groups.isEmpty {
      Console.error("no group of hosts mirrors to \(remote)")
      return .configuration
    }
    for group in groups {
      if json {
        Console.raw(JSONText.encode(group))
      } else {
        for line in GroupTable.lines(group) { Console.line(line) }
      }
    }
    return groups.allSatisfy(\.absentMembers.isEmpty) ? .success : .failure
  }
}

/// Formats a group for users: one line for each of its hosts.
enum GroupTable {
  private static let header = ["GROUP", "MEMBER", "STATE", "HOST", "PID", "GENERATION", "CONFIRMED"]

  static func lines(_ group: GroupState) -> [String] {
    let rows =
      [header]
      + group.slots.map { slot in
        [
          group.group, "\(slot.member) of \(group.members)", slot.state.rawValue, slot.host, "\(slot.pid)",
          "\(slot.generation)", slot.confirmed.map { "\(StatusTable.age($0)) ago" } ?? "nothing yet",
        ]
      }
    return StatusTable.aligned(rows)
      + group.absentMembers.map { "\(group.group): member \($0) of \(group.members) has not begun" }
  }
}
