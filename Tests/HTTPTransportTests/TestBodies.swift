import CZlib
import Dispatch
import HTTPTransport
import Synchronization

/// Runs `body` with a server and a client, and ends both.
func withServer(
  _ configuration: CurlClient.Configuration = .init(), identity: TLSIdentity? = nil,
  script: @escaping ScriptedServer.Script,
  body: (ScriptedServer, CurlClient) async throws -> Void
) async throws {
  let server = try ScriptedServer(identity: identity, script)
  let client = try CurlClient(configuration)
  let result: Result<Void, any Error>
  do { result = .success(try await body(server, client)) } catch { result = .failure(error) }
  await client.close()
  server.stop()
  try result.get()
}

/// Answers every request of a connection, after its body, with 200 and what `answer` makes of the head.
func answering(_ answer: @escaping @Sendable (ServerConnection.Head) -> String) -> ScriptedServer.Script {
  { connection in
    while let head = try connection.readHead() {
      try connection.readBody(head.contentLength)
      let body = answer(head)
      if head.requestLine.hasPrefix("HEAD") {
        try connection.write("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n")
      } else {
        try connection.respond(body: body)
      }
    }
  }
}

/// Awaits a semaphore without blocking a thread of the cooperative pool.
func wait(for semaphore: DispatchSemaphore) async {
  await withCheckedContinuation { continuation in
    DispatchQueue(label: "wait").async {
      semaphore.wait()
      continuation.resume()
    }
  }
}

/// A megabyte that repeats, so that a large body costs no memory.
struct PatternBody: RequestBody {
  static let pattern = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
  var byteCount: Int64

  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let start = Int(offset % Int64(Self.pattern.count))
    let rest = Int(min(Int64(buffer.count), byteCount - offset))
    let piece = Self.pattern[start...].prefix(rest)
    buffer.copyBytes(from: piece)
    return piece.count
  }

  static func checksum(_ byteCount: Int) -> UInt {
    (0..<(byteCount / pattern.count)).reduce(0) { sum, _ in crc(sum, pattern) }
  }
}

func crc(_ sum: UInt, _ bytes: [UInt8]) -> UInt {
  bytes.withUnsafeBytes { crc(sum, $0) }
}

func crc(_ sum: UInt, _ bytes: UnsafeRawBufferPointer) -> UInt {
  crc32_z(sum, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
}

struct TestFailure: Error, Equatable {
  var name: String
}

/// Lies at one place in memory, for ever.
struct StableBody: RequestBody {
  // SAFETY: allocated once and never freed or changed.
  private static nonisolated(unsafe) let memory: UnsafeMutableRawBufferPointer = {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: PatternBody.pattern.count, alignment: 1)
    memory.copyBytes(from: PatternBody.pattern)
    return memory
  }()

  let byteCount: Int64

  init(byteCount: Int) {
    self.byteCount = Int64(byteCount)
  }

  var stableBytes: UnsafeRawBufferPointer? {
    UnsafeRawBufferPointer(rebasing: Self.memory[..<Int(byteCount)])
  }

  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    PatternBody(byteCount: byteCount).copyBytes(from: offset, into: buffer)
  }

  var checksum: UInt { crc(0, Array(PatternBody.pattern[..<Int(byteCount)])) }
}

struct FailingBody: RequestBody {
  var byteCount: Int64 { 1000 }

  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    throw TestFailure(name: "body")
  }
}

struct ShortBody: RequestBody {
  var byteCount: Int64 { 1000 }

  func copyBytes(from offset: Int64, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard offset == 0 else { return 0 }
    buffer.copyBytes(from: Array("short".utf8))
    return 5
  }
}

/// Sums what it receives, and throws where told to.
final class ChecksumSink: ResponseSink {
  enum Fault { case none, begin, receive }

  private struct State {
    var heads: [HTTPResponse] = []
    var byteCount = 0
    var sum: UInt = 0
  }

  private let fault: Fault
  private let state = Mutex(State())

  init(fault: Fault = .none) {
    self.fault = fault
  }

  var heads: [HTTPResponse] { state.withLock { $0.heads } }
  var byteCount: Int { state.withLock { $0.byteCount } }
  var sum: UInt { state.withLock { $0.sum } }

  func begin(_ head: HTTPResponse) throws {
    if fault == .begin { throw TestFailure(name: "begin") }
    state.withLock { $0.heads.append(head) }
  }

  func receive(_ bytes: UnsafeRawBufferPointer) throws {
    if fault == .receive { throw TestFailure(name: "receive") }
    state.withLock { state in
      state.byteCount += bytes.count
      state.sum = crc(state.sum, bytes)
    }
  }
}

extension HTTPResponse {
  var text: String { String(decoding: body, as: UTF8.self) }
}
