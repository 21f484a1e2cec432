import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LocalSocket

/// Datagrams to a service manager, as sd_notify(3) has them.
@Suite struct NotifySocketTests {
  private let place: TemporaryDirectory

  init() throws {
    place = try TemporaryDirectory()
  }

  @Test func `each message is one datagram at the path`() throws {
    let receiver = try NotificationReceiver(address: place["notify"])
    let socket = try NotifySocket(address: place["notify"])
    try socket.send(["READY=1", "STATUS=waiting"])
    try socket.send(["WATCHDOG=1"])
    #expect(receiver.take() == [["READY=1", "STATUS=waiting"], ["WATCHDOG=1"]])
  }

  @Test func `a name in the abstract namespace begins with an at sign`() throws {
    let name = "@s3mirror-test-\(UInt64.random(in: 0 ... .max))"
    let receiver = try NotificationReceiver(address: name)
    try NotifySocket(address: name).send(["STOPPING=1"])
    #expect(receiver.take() == [["STOPPING=1"]])
  }

  @Test func `a manager that begins to listen again is found`() throws {
    var receiver: NotificationReceiver? = try NotificationReceiver(address: place["notify"])
    let socket = try NotifySocket(address: place["notify"])
    try socket.send(["READY=1"])
    #expect(receiver?.take().count == 1)
    receiver = nil
    unlink(place["notify"])
    let next = try NotificationReceiver(address: place["notify"])
    try socket.send(["WATCHDOG=1"])
    #expect(next.take() == [["WATCHDOG=1"]])
  }

  @Test func `where nobody listens the error names the socket`() throws {
    let socket = try NotifySocket(address: place["nobody"])
    #expect(
      throws: SocketError.system(
        "sending to the notification socket \(place["nobody"])", .noSuchFileOrDirectory)
    ) { try socket.send(["READY=1"]) }
  }

  @Test(arguments: ["vsock:2:9999", "relative", "@", "/" + String(repeating: "n", count: 200)])
  func `an address that no notification can have is an error`(_ address: String) {
    #expect(throws: SocketError.self) { try NotifySocket(address: address).send(["READY=1"]) }
  }
}
