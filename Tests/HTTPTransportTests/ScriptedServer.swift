import Glibc
import LoopThread
import Synchronization

/// An HTTP/1.1 server on 127.0.0.1 that does on each connection what a script says: answer, stall, break off.
final class ScriptedServer: Sendable {
  typealias Script = @Sendable (ServerConnection) throws -> Void

  private struct State {
    var connectionCount = 0
    var open: Set<Int32> = []
    var peak = 0
    var threads: [NativeThread] = []
    var isStopped = false
  }

  let port: UInt16
  private let listener: Int32
  private let script: Script
  private let identity: TLSIdentity?
  private let state = Mutex(State())

  /// - Parameter identity: for a server that speaks TLS.
  init(identity: TLSIdentity? = nil, _ script: @escaping Script) throws {
    self.script = script
    self.identity = identity
    (listener, port) = try Self.listen()
    let acceptor = try NativeThread(name: "test-accept") { self.accept() }
    state.withLock { $0.threads.append(acceptor) }
  }

  var url: String { "\(identity == nil ? "http" : "https")://127.0.0.1:\(port)" }
  /// Connections that were accepted so far.
  var connectionCount: Int { state.withLock { $0.connectionCount } }
  /// The most connections that were open at one time.
  var peakConnectionCount: Int { state.withLock { $0.peak } }

  /// Cuts every connection and joins every thread.
  func stop() {
    let threads = state.withLock { state in
      state.isStopped = true
      for connection in state.open { shutdown(connection, Int32(SHUT_RDWR)) }
      return state.threads
    }
    shutdown(listener, Int32(SHUT_RDWR))
    for thread in threads { thread.join() }
    close(listener)
  }

  private func accept() {
    while true {
      let socket = Glibc.accept(listener, nil, nil)
      guard socket >= 0 else { return }
      do {
        try state.withLock { state in
          state.connectionCount += 1
          state.open.insert(socket)
          state.peak = max(state.peak, state.open.count)
          if state.isStopped { shutdown(socket, Int32(SHUT_RDWR)) }
          let index = state.connectionCount
          let thread = try NativeThread(name: "test-serve") { self.serve(socket, index: index) }
          if !state.isStopped { state.threads.append(thread) }
        }
      } catch {
        finish(socket)
      }
    }
  }

  private func serve(_ socket: Int32, index: Int) {
    // A script ends with an error when the client has gone, which is often the point of the test.
    do {
      if let identity {
        try identity.serve(socket) { [script] plain in
          do { try script(ServerConnection(socket: plain, index: index)) } catch {}
        }
      } else {
        try script(ServerConnection(socket: socket, index: index))
      }
    } catch {}
    finish(socket)
  }

  private func finish(_ socket: Int32) {
    state.withLock { state in
      state.open.remove(socket)
      close(socket)
    }
  }

  /// A port of 127.0.0.1 that nothing listens on.
  static func unusedPort() throws -> UInt16 {
    let (socket, port) = try listen()
    close(socket)
    return port
  }

  private static func listen() throws -> (Int32, UInt16) {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutableBytes(of: &address) { bytes in
      let address = bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self)
      return bind(socket, address, length) + Glibc.listen(socket, 1024)
        + getsockname(socket, address, &length)
    }
    guard socket >= 0, code == 0 else { throw ThreadError(operation: "listening", code: errno) }
    return (socket, UInt16(bigEndian: address.sin_port))
  }
}

/// The server's end of a connection, with what scripts do to it.
final class ServerConnection {
  struct Ended: Error {}

  struct Head {
    var requestLine = ""
    var fields: [String] = []

    var target: String { requestLine.split(separator: " ").dropFirst().first.map(String.init) ?? "" }

    func value(_ name: String) -> String? {
      let prefix = name.lowercased() + ":"
      guard let field = fields.first(where: { $0.lowercased().hasPrefix(prefix) }) else { return nil }
      return String(field.dropFirst(prefix.count).drop { $0 == " " })
    }

    var contentLength: Int { value("Content-Length").flatMap { Int($0) } ?? 0 }
  }

  /// 1 for the server's first connection.
  let index: Int
  private let socket: Int32
  private var buffer: [UInt8] = []
  private var chunk = [UInt8](repeating: 0, count: 256 << 10)

  init(socket: Int32, index: Int) {
    self.socket = socket
    self.index = index
  }

  /// The next request's head; nil when the client has closed.
  func readHead() throws -> Head? {
    while true {
      if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
        let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        buffer.removeFirst(end.upperBound)
        return Head(
          requestLine: lines.first.map(String.init) ?? "", fields: lines.dropFirst().map(String.init))
      }
      guard try fill() else { return nil }
    }
  }

  /// Leaves as little as possible in the kernel: what the client sends stays in the client's queue until it is read.
  func receiveLittle() {
    var bytes: Int32 = 128 << 10
    setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    chunk = [UInt8](repeating: 0, count: 32 << 10)
  }

  /// Passes the next `count` bytes on, in pieces.
  func readBody(_ count: Int, _ receive: ([UInt8]) -> Void = { _ in }) throws {
    var rest = count
    while rest > 0 {
      if buffer.isEmpty, try !fill() { throw Ended() }
      let piece = Array(buffer.prefix(rest))
      buffer.removeFirst(piece.count)
      rest -= piece.count
      receive(piece)
    }
  }

  /// The bytes that came together with what was read.
  var bufferedCount: Int { buffer.count }

  /// Returns when the client has closed its end, or cut it.
  func awaitEnd() {
    do { while try fill() { buffer = [] } } catch {}
  }

  func write(_ text: String) throws {
    try write(Array(text.utf8))
  }

  func write(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Ended() }
      sent += count
    }
  }

  func respond(_ status: String = "200 OK", fields: [String] = [], body: String = "") throws {
    let head = ["HTTP/1.1 \(status)", "Content-Length: \(body.utf8.count)"] + fields
    try write(head.joined(separator: "\r\n") + "\r\n\r\n" + body)
  }

  /// Makes the close that follows send RST instead of FIN (socket(7), SO_LINGER with 0).
  func reset() {
    var linger = linger(l_onoff: 1, l_linger: 0)
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
  }

  private func fill() throws -> Bool {
    let count = recv(socket, &chunk, chunk.count, 0)
    guard count >= 0 else { throw Ended() }
    buffer.append(contentsOf: chunk[..<count])
    return count > 0
  }
}
