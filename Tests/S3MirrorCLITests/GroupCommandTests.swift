import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// Hosts of one job, each with a `watch` of its own, against a real server.
@Suite(.enabled(if: Program.bucket != nil)) struct GroupCommandTests {
  private static let shards = ["step-1/__0_0.distcp", "step-1/__1_0.distcp"]

  /// Starts the mirror of a host, which has folders of its own.
  private func watch(
    _ program: Program, _ member: Int, tree: String? = nil, _ more: [String] = [],
    environment: [String: String] = [:]
  ) throws -> Running {
    let tree = tree ?? "host\(member)"
    for folder in ["run", "state", "cache"] { try program.directory.makeDirectory("\(folder)-\(tree)") }
    try program.directory.makeDirectory("work/\(tree)")
    var variables = environment
    variables["XDG_RUNTIME_DIR"] = program.directory["run-\(tree)"]
    variables["XDG_STATE_HOME"] = program.directory["state-\(tree)"]
    variables["XDG_CACHE_HOME"] = program.directory["cache-\(tree)"]
    return try program.start(
      ["watch", tree, program.url("t"), "--interval", "0.2", "--delete", "--verbose"] + more,
      environment: variables)
  }

  private func group(_ member: Int) -> [String] {
    ["--group", "job", "--member", "\(member)", "--members", "2"]
  }

  /// The published files.
  private func files(_ program: Program) async throws -> [String] {
    try await program.run("ls", "-r", program.url("t")).output.split(separator: "\n")
      .map { String($0.dropFirst(program.url("t/").count)) }.filter { !$0.hasPrefix(".s3mirror/") }
  }

  @Test(.promise("GRP-1"), .promise("GRP-3"), .promise("GRP-6"), .promise("RST-9"))
  func `two hosts publish one checkpoint, and their ends delete none of it`() async throws {
    let program = try Program()
    let slurm = ["SLURM_JOB_ID": "4711", "SLURM_NNODES": "2", "SLURM_LOCALID": "0"]
    let first = try watch(
      program, 0, ["--group", "auto"], environment: slurm.merging(["SLURM_NODEID": "0"]) { $1 })
    let second = try watch(
      program, 1, ["--group", "auto"], environment: slurm.merging(["SLURM_NODEID": "1"]) { $1 })
    for running in [first, second] { #expect(await running.says("watch: entry")) }
    try program.directory.write("work/host0/step-1/__0_0.distcp", "0")
    #expect(await first.says("watch: upload step-1/__0_0.distcp"))
    try program.directory.write("work/host1/step-1/__1_0.distcp", "1")
    // Written last, as torch does: a marker waits for what the members wrote before it.
    try program.directory.write("work/host0/step-1/.metadata", "both")
    #expect(await first.says("watch: upload step-1/.metadata"))
    #expect(try await files(program) == ["step-1/.metadata"] + Self.shards)
    let status = try await program.run("status", "--group", program.url("t"))
    #expect(status.status == 0)
    #expect(status.output.contains("0 of 2"))
    #expect(status.output.split(separator: "\n").count == 3)
    for running in [first, second] { running.send(SIGTERM) }
    for running in [first, second] {
      let ending = await running.ending()
      #expect(ending.status == 0, "\(ending.messages)")
    }
    #expect(try await files(program) == ["step-1/.metadata"] + Self.shards)
    let after = try await program.run("status", "--group", program.url("t"), "--json")
    #expect(after.output.contains(#""state":"ended""#))

    let whole = try await program.run("restore", program.url("t"), "whole")
    #expect(whole.output == program.directory["work/whole/step-1"] + "\n")
    #expect(try program.directory.text("work/whole/step-1/__1_0.distcp") == "1")
    // The job that goes on has another name. The launcher says which member this is.
    let again = slurm.merging(["SLURM_JOB_ID": "4712", "SLURM_NODEID": "1"]) { $1 }
    let part = try await program.run(
      "restore", "--member-only", program.url("t"), "part", environment: again)
    #expect(part.status == 0, "\(part.messages)")
    #expect(try program.directory.text("work/part/step-1/__1_0.distcp") == "1")
    #expect(!program.directory.exists("work/part/step-1/.metadata"))
    #expect(!program.directory.exists("work/part/step-1/__0_0.distcp"))
    let run = try await program.start(
      ["run", "--restore", "from=\(program.url("t")),local=first,member-only=true"] + group(0)
        + ["--", "ls", "-A", "{from}"]
    ).ending()
    #expect(run.output == ".metadata\n__0_0.distcp\n", "\(run.messages)")
  }

  @Test(.promise("RST-9"))
  func `a part of a checkpoint is that of a member`() async throws {
    let program = try Program()
    for (wrong, word) in [
      (["--member-only", "--list"], "--member-only"), (["--group", "job"], "--member-only"),
      (["--member-only", "--member", "1"], "--group NAME"),
    ] {
      let ending = try await program.start(["restore", program.url("t")] + wrong).ending()
      #expect(ending.status == 2)
      #expect(ending.messages.contains(word))
    }
    let alone = try await program.run(
      "restore", "--member-only", program.url("t"), environment: ["SLURM_JOB_ID": ""])
    #expect(alone.status == 3)
  }

  @Test(.promise("GRP-4"))
  func `a process that slept through its replacement publishes nothing and ends with 1`() async throws {
    let program = try Program()
    let takeover = ["--group-takeover", "2"]
    let zombie = try watch(program, 1, group(1) + takeover)
    #expect(await zombie.says("watch: entry"))
    try program.directory.write("work/host1/__1_0.distcp", "old")
    #expect(await zombie.says("watch: upload __1_0.distcp"))
    zombie.send(SIGSTOP)
    try program.directory.write("work/host1/__1_0.distcp", "old, and late")
    try program.directory.write("work/host1/late", "old")
    let successor = try watch(program, 1, tree: "new1", group(1) + takeover)
    #expect(await successor.says("takes over from an attempt"))
    try program.directory.write("work/new1/__1_0.distcp", "new")
    #expect(await successor.says("watch: upload __1_0.distcp"))
    zombie.send(SIGCONT)
    let ending = await zombie.ending()
    #expect(ending.status == 1)
    #expect(ending.messages.contains("another attempt has taken over as member 1 of the group job"))
    successor.send(SIGTERM)
    #expect(await successor.ending().status == 0)
    #expect(try await files(program) == ["__1_0.distcp"])
    let back = try await program.run("download", program.url("t"), "back")
    #expect(back.status == 0)
    #expect(try program.directory.text("work/back/__1_0.distcp") == "new")
  }

  @Test(.promise("GRP-6"))
  func `a member that never begins is named, and the status is 1`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/__0_0.distcp", "0")
    try program.directory.write("work/tree/.metadata", "both")
    let ending = try await program.run(
      "upload", "tree", program.url("t"), "--group", "job", "--member", "0", "--members", "2",
      "--group-timeout", "0.2")
    #expect(ending.status == 1)
    #expect(ending.messages.contains("member 1 of the group job, which has not begun"))
    #expect(try await files(program) == ["__0_0.distcp"])
    let status = try await program.run("status", "--group", program.url("t"))
    #expect(status.status == 1)
    #expect(status.output.contains("job: member 1 of 2 has not begun"))
    #expect(try await program.run("status", "--group", program.url("elsewhere")).status == 3)
  }

  @Test func `a launcher that is not there is status 3, and a part of a group without one is usage`()
    async throws
  {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    let auto = try await program.run(
      "watch", "tree", program.url("t"), "--group", "auto", environment: ["SLURM_JOB_ID": ""])
    #expect(auto.status == 3)
    #expect(auto.messages.contains("--group auto finds no launcher"))
    for wrong in [["--member", "1"], ["--members", "2"], ["--no-fencing"]] {
      let ending = try await program.start(["watch", "tree", program.url("t")] + wrong).ending()
      #expect(ending.status == 2)
      #expect(ending.messages.contains("--group NAME"))
    }
  }
}
