import Foundation
import Glibc
import TestSupport
import Testing

/// Status 3, and one line, for what is found before any transfer: credentials, profile, region, endpoint, access.
@Suite struct ConfigurationStatusTests {
  struct Fault: Sendable, CustomTestStringConvertible {
    var name: String
    var variables: [String: String]
    /// Must be in the line.
    var part: String

    var testDescription: String { name }
  }

  /// Nothing of the machine's own: no keys, no metadata service, and nobody listens at the endpoint.
  private static let bare = [
    "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3": "", "AWS_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "",
    "AWS_SHARED_CREDENTIALS_FILE": "",
  ]
  private static let keys = ["AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"]

  static let faults: [Fault] = [
    Fault(name: "no credentials", variables: [:], part: "credentials"),
    Fault(
      name: "a source that does not answer",
      variables: [
        "AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1",
      ],
      part: "IMDSv2"),
    Fault(
      name: "a container without an answer",
      variables: ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"],
      part: "container endpoint"),
    Fault(name: "a program that fails", variables: ["AWS_PROFILE": "failing"], part: "credential_process"),
    Fault(name: "an unknown profile", variables: ["AWS_PROFILE": "nosuch"], part: "nosuch"),
    Fault(
      name: "a region that is none", variables: keys.merging(["AWS_REGION": "evil.com/#"]) { $1 },
      part: "AWS_REGION"),
    Fault(
      name: "an endpoint that is none", variables: keys.merging(["AWS_ENDPOINT_URL": "ftp://x"]) { $1 },
      part: "https://"),
    Fault(name: "an endpoint without a server", variables: keys, part: "127.0.0.1"),
    Fault(
      name: "a directory bucket",
      variables: keys.merging(["AWS_ENDPOINT_URL": "", "BUCKET": "b--usw2-az1--x-s3"]) { $1 },
      part: "directory bucket"),
  ]

  static let commands: [[String]] = [
    ["ls", "REMOTE"], ["ls", "-r", "REMOTE"], ["verify", "tree", "REMOTE"], ["upload", "tree", "REMOTE"],
    ["upload", "tree", "REMOTE", "--dry-run"], ["download", "REMOTE", "back"],
    ["download", "REMOTE", "back", "--dry-run"],
    ["watch", "tree", "REMOTE"], ["run", "--upload", "out=REMOTE,local=tree", "--", "true"],
  ]

  @Test(arguments: faults)
  func `what keeps every command from its remote is status 3 and one line`(fault: Fault) async throws {
    let program = try Program()
    try program.directory.write("work/tree/file", "x")
    try program.directory.write("home/.aws/config", "[profile failing]\ncredential_process = false\n")
    let remote = "s3://\(fault.variables["BUCKET"] ?? "bucket")/x"
    for command in Self.commands {
      var arguments = command.map { $0.replacingOccurrences(of: "REMOTE", with: remote) }
      arguments.insert(contentsOf: ["--max-attempts", "1"], at: 1)
      let ending = try await program.start(
        arguments, environment: Self.bare.merging(fault.variables) { $1 }
      ).ending()
      #expect(ending.status == 3, "\(command): \(ending.messages)")
      #expect(ending.lines.count == 1, "\(command): \(ending.messages)")
      #expect(ending.messages.contains(fault.part), "\(command): \(ending.messages)")
      #expect(ending.output.isEmpty)
    }
  }

  /// A proxy that nobody listens as: whatever asks it fails, and says so.
  private static let proxy = [
    "http_proxy": "http://127.0.0.1:2", "https_proxy": "http://127.0.0.1:2",
    "all_proxy": "http://127.0.0.1:2",
    "no_proxy": "", "NO_PROXY": "",
  ]

  @Test(arguments: [
    keys, ["AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"],
    ["AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/x"],
  ])
  func `the environment's proxy is not asked for what stays on this machine`(variables: [String: String])
    async throws
  {
    let program = try Program()
    let environment = Self.bare.merging(Self.proxy) { $1 }.merging(variables) { $1 }
    let ending = try await program.run("ls", "--max-attempts", "1", "s3://bucket/x", environment: environment)
    #expect(ending.status == 3)
    #expect(ending.messages.contains("127.0.0.1 port 1 "), "\(ending.messages)")
    #expect(!ending.messages.contains("port 2"), "\(ending.messages)")
  }

  @Test func `the environment's proxy is asked for other hosts, but for those of no_proxy`() async throws {
    let program = try Program()
    let far = Self.keys.merging(["AWS_ENDPOINT_URL": "https://s3.invalid"]) { $1 }
    let environment = Self.bare.merging(Self.proxy) { $1 }.merging(far) { $1 }
    let ending = try await program.run("ls", "--max-attempts", "1", "s3://bucket/x", environment: environment)
    #expect(ending.messages.contains("port 2"), "\(ending.messages)")
    let excepted = environment.merging(["no_proxy": ".invalid"]) { $1 }
    let direct = try await program.run("ls", "--max-attempts", "1", "s3://bucket/x", environment: excepted)
    #expect(!direct.messages.contains("port 2"), "\(direct.messages)")
  }

  // MARK: A program that hangs

  /// Starts a command whose credential_process hangs, and waits until that does.
  private func startHanging(_ program: Program, _ arguments: [String]) async throws -> Running {
    try program.directory.write("work/tree/file", "x")
    try program.directory.write(
      "home/.aws/config", "[profile slow]\ncredential_process = sh -c 'echo it hangs >&2; exec sleep 600'\n")
    let running = try program.start(arguments, environment: Self.bare.merging(["AWS_PROFILE": "slow"]) { $1 })
    #expect(await running.says("it hangs"))
    return running
  }

  @Test(.promise("CRED-2"), arguments: [SIGTERM, SIGINT])
  func `a signal ends a run that waits for a program of credentials that hangs`(signal: Int32) async throws {
    let program = try Program()
    let running = try await startHanging(
      program, ["run", "--upload", "out=s3://bucket/x,local=tree", "--", "true"])
    running.send(signal)
    let ending = await running.ending()
    #expect(ending.status == 128 + signal, "\(ending.messages)")
  }

  @Test(arguments: [["watch", "tree", "s3://bucket/x"], ["upload", "tree", "s3://bucket/x"]])
  func `a second signal ends the others, and the program with them`(command: [String]) async throws {
    let program = try Program()
    let running = try await startHanging(program, command)
    running.send(SIGTERM)
    running.send(SIGINT)
    // The program's standard error is ours: that this ends means that both have ended.
    let ending = await running.ending()
    #expect(ending.status == 128 + SIGINT, "\(ending.messages)")
  }
}
