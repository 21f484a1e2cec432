import Glibc
import TestSupport
import Testing

@testable import S3MirrorCLI

/// A watch under a service manager, as sd_notify(3) has it.
@Suite struct ServiceNotifierTests {
  @Test func `the watchdog's time is this process's own`() {
    #expect(ServiceNotifier.watchdog(["WATCHDOG_USEC": "30000000"], 7) == .seconds(30))
    #expect(ServiceNotifier.watchdog(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"], 7) == .seconds(30))
    #expect(ServiceNotifier.watchdog(["WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"], 7) == nil)
    #expect(ServiceNotifier.watchdog([:], 7) == nil)
    for text in ["0", "-1", "soon", ""] {
      #expect(ServiceNotifier.watchdog(["WATCHDOG_USEC": text], 7) == nil)
    }
  }

  @Test func `without a service manager there is nobody to notify`() {
    #expect(ServiceNotifier(environment: [:]) == nil)
    #expect(ServiceNotifier(environment: ["NOTIFY_SOCKET": ""]) == nil)
    #expect(ServiceNotifier(environment: ["NOTIFY_SOCKET": "vsock:2:1"]) == nil)
  }

  @Test(.enabled(if: Program.bucket != nil), .promise("SVC-1", "SVC-2"))
  func `a watch is ready when it has compared, beats while it runs, and says that it stops`() async throws {
    let program = try Program()
    try program.directory.write("work/tree/a", "a")
    let address = program.directory["run/notify"]
    let manager = try NotificationReceiver(address: address)
    let running = try program.start(
      ["watch", "tree", program.url("t"), "--interval", "0", "--settle", "0.01"],
      environment: ["NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"])
    var said: [[String]] = []
    func hears(_ what: String, _ isMet: ([[String]]) -> Bool) async throws {
      try await eventually("the manager hears \(what)") {
        said += manager.take()
        return isMet(said)
      }
    }
    try await hears("READY=1") { $0.contains { $0.first == "READY=1" } }
    #expect(try await program.run("ls", program.url("t")).output == program.url("t/a") + "\n")
    #expect(said.first?.contains("EXTEND_TIMEOUT_USEC=30000000") == true)
    let ready = said.count
    try await hears("three beats") { $0.dropFirst(ready).count { $0 == ["WATCHDOG=1"] } >= 3 }
    try program.directory.write("work/tree/b", "b")
    try await hears("of the tick") {
      $0.contains { $0.first?.hasPrefix("STATUS=watch: tick 1: 1 file") == true }
    }
    running.send(SIGTERM)
    #expect(await running.ending().status == 0)
    try await hears("STOPPING=1") { $0.contains { $0.first == "STOPPING=1" } }
    #expect(said.count { $0.contains("READY=1") } == 1)
  }

  @Test(.enabled(if: Program.bucket != nil), .promise("SVC-3")) func `a manager that is gone ends no watch`()
    async throws
  {
    let program = try Program()
    try program.directory.write("work/tree/a", "a")
    let running = try program.start(
      ["watch", "tree", program.url("t")],
      environment: ["NOTIFY_SOCKET": program.directory["run/nobody"]])
    #expect(await running.says("watch: entry:"))
    running.send(SIGTERM)
    let ending = await running.ending()
    #expect(ending.status == 0)
    #expect(ending.lines.count { $0.contains("the service manager cannot be notified") } == 1)
  }
}
