import Foundation
import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// What only the kernel can do to a watch: its limits, mounts and overlays, in namespaces of the test's own.
@Suite(
  .enabled(if: Program.bucket != nil && Cell.isPermitted, "needs a server, and leave to make namespaces"))
struct NamespaceTests {
  private func watch(_ program: Program, _ more: String...) -> [String] {
    ["watch", "tree", program.url("t"), "--interval", "0.2", "--delete", "--verbose"] + more
  }

  private func limit(_ name: String) throws -> String {
    try String(contentsOfFile: "/proc/sys/user/max_inotify_\(name)", encoding: .utf8)
  }

  /// The keys below `t/`, one a line.
  private func keys(_ program: Program) async throws -> [String] {
    try await program.run("ls", "-r", program.url("t")).output.split(separator: "\n").map {
      String($0.dropFirst(program.url("t/").count))
    }
  }

  private func proofs(_ program: Program, of path: String) async throws -> [String] {
    struct Line: Decodable {
      var path: String?
      var proof: String?
    }
    return try await program.run("log", "--json").output.split(separator: "\n").compactMap {
      let line = try JSONDecoder().decode(Line.self, from: Data($0.utf8))
      return line.path == path ? line.proof : nil
    }
  }

  // MARK: Limits

  @Test func `beyond the kernel's limit of watches the rest is compared, until it is raised`() async throws {
    let program = try Program()
    for index in 10..<30 { try program.directory.write("work/tree/d\(index)/before", "x") }
    let machine = try limit("watches")
    let cell = try Cell(program)
    let running = try cell.start(watch(program), after: "echo 8 > /proc/sys/user/max_inotify_watches")
    #expect(await running.says("raise user.max_inotify_watches, now 8: sysctl user.max_inotify_watches=21"))
    #expect(await running.says("and 12 more directories are compared with S3 at every tick"))
    for index in 10..<30 { try program.directory.write("work/tree/d\(index)/during", "x") }
    for index in 10..<30 { #expect(await running.says("watch: upload d\(index)/during")) }
    try cell.run("echo 1000 > /proc/sys/user/max_inotify_watches")
    #expect(await running.says("this is over, and changes are seen as they happen again"))
    try program.directory.write("work/tree/d29/after", "x")
    #expect(await running.says("watch: upload d29/after"))
    #expect(await cell.end(running).status == 0)
    #expect(try await program.run("verify", "tree", program.url("t")).status == 0)
    #expect(try limit("watches") == machine)
  }

  @Test func `without an inotify instance everything is compared, until one is free`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/before", "x")
    let machine = try limit("instances")
    let cell = try Cell(program)
    let running = try cell.start(watch(program), after: "echo 0 > /proc/sys/user/max_inotify_instances")
    #expect(
      await running.says("raise user.max_inotify_instances, now 0: sysctl user.max_inotify_instances=1"))
    try program.directory.write("work/tree/during", "x")
    #expect(await running.says("watch: upload during"))
    try cell.run("echo 10 > /proc/sys/user/max_inotify_instances")
    #expect(await running.says("this is over, and changes are seen as they happen again"))
    try program.directory.write("work/tree/after", "x")
    #expect(await running.says("watch: upload after"))
    #expect(await cell.end(running).status == 0)
    #expect(try await keys(program) == ["after", "before", "during"])
    #expect(try limit("instances") == machine)
  }

  // MARK: Mounts

  @Test func `an unmounted root deletes nothing, and goes on when it is mounted again`() async throws {
    let program = try Program()
    for name in ["tree", "disk"] { try program.directory.makeDirectory("work/" + name) }
    try program.directory.write("work/disk/a", "x")
    let cell = try Cell(program)
    let running = try cell.start(watch(program), after: "mount --bind disk tree")
    #expect(await running.says("watch: entry:"))
    try cell.run("umount --lazy tree")
    #expect(await running.says("another directory is at"))
    try cell.run("mount --bind disk tree")
    #expect(await running.says("is back, and all of it is compared with S3"))
    try program.directory.write("work/disk/b", "x")
    #expect(await running.says("watch: upload b"))
    #expect(try await keys(program) == ["a", "b"])
    // It is the root of entry, so what is deleted there is deleted on S3.
    try program.directory.remove("work/disk/a")
    #expect(await running.says(", 1 deleted"))
    #expect(await cell.end(running).status == 0)
    #expect(try await keys(program) == ["b"])
  }

  @Test(.promise("DEL-4"))
  func `what is unmounted below the root keeps its objects, and the exit status says so`() async throws {
    let program = try Program()
    for number in 10..<70 { try program.directory.write("work/tree/d/\(number)", "x") }
    try program.directory.makeDirectory("work/tree/m")
    let cell = try Cell(program)
    let running = try cell.start(
      watch(program),
      after: "mount -t tmpfs none tree/m && for i in $(seq 10 49); do echo x > tree/m/$i; done")
    #expect(await running.says("watch: entry:"))
    try cell.run("umount --lazy tree/m")
    #expect(
      await running.says("m is compared with S3 at this tick: a filesystem was mounted or unmounted there"))
    try program.directory.remove("work/tree/d/10")
    #expect(await running.says(", 1 deleted"))
    let ending = await cell.end(running)
    #expect(ending.status == 1)
    #expect(ending.messages.contains("40 deletes withheld: at m another filesystem is mounted"))
    #expect(ending.messages.contains("mount it again"))
    #expect(try await keys(program).count == 99)
  }

  // MARK: Overlays

  @Test(.promise("WATCH-11"), .enabled(if: Cell.hasOverlays, "overlays cannot be mounted here"))
  func `on overlayfs changes are seen, and every file is read twice before it goes`() async throws {
    let program = try Program()
    try program.directory.makeDirectory("work/tree")
    try program.directory.write("work/lower/below", "x")
    try program.directory.write("work/lower/d/deep", "x")
    let cell = try Cell(program)
    let running = try cell.start(
      watch(program, "--settle", "0.05"),
      after: """
        mount -t tmpfs none tree && mkdir tree/upper tree/work && cp -r lower tree/lower &&
        mount -t overlay overlay -o lowerdir=tree/lower,upperdir=tree/upper,workdir=tree/work tree
        cd .
        """)
    #expect(await running.says("watch: upload below"))
    // Copied up, over a directory that is below; new; renamed; whited out.
    try cell.run("echo more >> tree/d/deep; echo new > tree/d/new; mv tree/below tree/above")
    for name in ["d/deep", "d/new"] { #expect(await running.says("watch: upload \(name)")) }
    #expect(await running.says(", 1 deleted"))
    #expect(await cell.end(running).status == 0)
    #expect(try await keys(program) == ["above", "d/deep", "d/new"])
    for name in ["d/deep", "d/new"] {
      #expect(Set(try await proofs(program, of: name)) == ["reread"], "\(name)")
    }
  }
}
