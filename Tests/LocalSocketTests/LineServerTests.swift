import Dispatch
import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LocalSocket

/// A control socket, mode 0600: no peer can make it grow or wait.
@Suite struct LineServerTests {
  private let place: TemporaryDirectory
  private let directory: SocketDirectory

  init() throws {
    place = try TemporaryDirectory()
    directory = try SocketDirectory(path: FilePath(place["sockets"]), absence: .isMade)
  }

  private static let echo: LineServer.Answer = { Array("you said ".utf8) + $0 }

  private func ask(_ text: String, of name: String = "a", in directory: SocketDirectory? = nil) async throws
    -> String
  {
    let directory = directory ?? self.directory
    return try await blocking {
      let client = try LineClient(name: name, in: directory)
      try client.send(Array(text.utf8))
      return String(decoding: try client.receive(patience: nil), as: UTF8.self)
    }
  }

  @Test func `a line is answered with a line`() async throws {
    let server = try LineServer(name: "a", in: directory, answer: Self.echo)
    #expect(try await ask("one") == "you said one")
    #expect(try await ask("two") == "you said two")
    await server.stop()
  }

  @Test func `an answer larger than the socket's buffer arrives whole`() async throws {
    let long = [UInt8](repeating: UInt8(ascii: "x"), count: 3 << 20)
    let server = try LineServer(name: "a", in: directory) { _ in long }
    #expect(try await ask("").utf8.count == long.count)
    await server.stop()
  }

  @Test(.promise("END-5"))
  func `only this user can enter the directory and connect to the socket`() async throws {
    let server = try LineServer(name: "a", in: directory, answer: Self.echo)
    #expect(mode(of: "sockets") == 0o700)
    #expect(mode(of: "sockets/a") == 0o600)
    await server.stop()
  }

  @Test func `the name goes with the server`() async throws {
    let server = try LineServer(name: "a", in: directory, answer: Self.echo)
    #expect(try directory.names() == ["a"])
    await server.stop()
    #expect(try directory.names().isEmpty)
    #expect(throws: SocketError.absent(FilePath(place["sockets/a"]))) {
      try LineClient(name: "a", in: directory)
    }
  }

  @Test func `a path longer than a socket's address holds is no obstacle`() async throws {
    let path = FilePath(place[String(repeating: "d", count: 200)]).appending("deeper")
    let directory = try SocketDirectory(path: path, absence: .isMade)
    let server = try LineServer(name: "a", in: directory, answer: Self.echo)
    #expect(try await ask("one", in: directory) == "you said one")
    await server.stop()
  }

  @Test func `a name without a process is stale`() async throws {
    let left = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
    // A name that is bound and whose socket is closed, as a killed process leaves it.
    #expect(try call(Glibc.bind, left, at: "left"))
    close(left)
    #expect(throws: SocketError.stale("left")) { try LineClient(name: "left", in: directory) }
  }

  @Test func `a directory in which others may write is not trusted`() throws {
    try place.makeDirectory("open")
    #expect(chmod(place["open"], 0o770) == 0)
    let path = FilePath(place["open"])
    #expect(throws: SocketError.notOurs(path)) { try SocketDirectory(path: path, absence: .isAnError) }
  }

  @Test func `a symbolic link is no directory for sockets`() throws {
    try place.link("link", to: "sockets")
    #expect(throws: SocketError.self) {
      try SocketDirectory(path: FilePath(place["link"]), absence: .isAnError)
    }
  }

  @Test func `who comes while the queue of connections is full waits for a place`() async throws {
    let listener = try ListeningSocket(name: "a", in: directory)
    var waiting: [CInt] = []
    while true {
      let peer = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
      waiting.append(peer)
      if try !call(Glibc.connect, peer, at: "a") { break }
    }
    #expect(errno == EAGAIN)
    let (begun, begin) = AsyncStream<Void>.makeStream()
    let directory = directory
    async let late = blocking {
      begin.yield()
      return try LineClient(name: "a", in: directory)
    }
    for await _ in begun { break }
    var accepted = 0
    while accepted < waiting.count, case .connection(let connection) = listener.accept() {
      close(connection)
      accepted += 1
    }
    _ = try await late
    for peer in waiting { close(peer) }
  }

  // MARK: Peers that misbehave

  @Test func `a request without an end is cut at its bound`() async throws {
    var limits = LineServer.Limits()
    limits.requestBytes = 64
    let server = try LineServer(name: "a", in: directory, limits: limits, answer: Self.echo)
    await #expect(throws: SocketError.ended("a")) { try await ask(String(repeating: "x", count: 1000)) }
    #expect(try await ask("one") == "you said one")
    await server.stop()
  }

  @Test(.promise("END-5"))
  func `a peer that says nothing is cut off when patience ends`() async throws {
    var limits = LineServer.Limits()
    limits.patience = .milliseconds(20)
    let server = try LineServer(name: "a", in: directory, limits: limits, answer: Self.echo)
    let client = try LineClient(name: "a", in: directory)
    await #expect(throws: SocketError.ended("a")) { try await answer(to: client) }
    await server.stop()
  }

  @Test(.promise("END-5"))
  func `no more than so many are served at once, and the next is after them`() async throws {
    var limits = LineServer.Limits()
    limits.clients = 2
    limits.patience = .seconds(3600)
    let server = try LineServer(name: "a", in: directory, limits: limits, answer: Self.echo)
    let first = try LineClient(name: "a", in: directory)
    let second = try LineClient(name: "a", in: directory)
    await #expect(throws: SocketError.ended("a")) { try await ask("three") }
    try first.send([])
    _ = try await answer(to: first)
    #expect(try await ask("four") == "you said four")
    try second.send(Array("two".utf8))
    #expect(try await answer(to: second) == "you said two")
    await server.stop()
  }

  @Test func `a peer that leaves before its answer disturbs nobody`() async throws {
    let gate = Gate()
    let server = try LineServer(name: "a", in: directory) { line in
      if line == Array("slow".utf8) { await gate.wait() }
      return line
    }
    var client: LineClient? = try LineClient(name: "a", in: directory)
    try client?.send(Array("slow".utf8))
    await gate.arrival()
    client = nil
    #expect(try await ask("one") == "one")
    gate.open()
    #expect(try await ask("two") == "two")
    await server.stop()
  }

  @Test func `what was asked before the end is answered`() async throws {
    let gate = Gate()
    let server = try LineServer(name: "a", in: directory) { line in
      await gate.wait()
      return line
    }
    let client = try LineClient(name: "a", in: directory)
    try client.send(Array("late".utf8))
    await gate.arrival()
    async let stopped: Void = server.stop()
    gate.open()
    await stopped
    #expect(try await answer(to: client) == "late")
  }

  // MARK: Parts

  private func answer(to client: LineClient) async throws -> String {
    try await blocking { String(decoding: try client.receive(patience: nil), as: UTF8.self) }
  }

  private func mode(of name: String) -> mode_t {
    var facts = stat()
    lstat(place[name], &facts)
    return facts.st_mode & 0o777
  }

  /// Calls bind(2) or connect(2) with the address of a name.
  private func call(
    _ function: (CInt, UnsafePointer<sockaddr>, socklen_t) -> CInt, _ descriptor: CInt, at name: String
  ) throws -> Bool {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let path = directory.address(of: name)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { function(descriptor, $0, size) == 0 }
    }
  }
}

/// Calls that block stay out of the pool that the server's answers need.
private func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    DispatchQueue.global().async { continuation.resume(with: Result(catching: body)) }
  }
}

/// Holds up who waits, and tells when somebody does.
private final class Gate: Sendable {
  private let (arrivals, arrive) = AsyncStream<Void>.makeStream()
  private let (openings, opener) = AsyncStream<Void>.makeStream()

  func wait() async {
    arrive.yield()
    for await _ in openings {}
  }

  func arrival() async {
    for await _ in arrivals { return }
  }

  func open() { opener.finish() }
}
