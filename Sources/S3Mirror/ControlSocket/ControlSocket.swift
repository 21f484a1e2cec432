import FoundationEssentials
import Glibc
import LocalSocket
import Synchronization

/// Lets other processes of this user read a scope's status and flush it. `s3mirror status` and `s3mirror
/// flush` use this socket.
final class ControlSocket: Sendable {
  private let server: LineServer

  /// Numbers the scopes of this process, because each has its own socket.
  private static let opened = Atomic<Int>(0)

  /// - Parameter answering: answers one line of the protocol, valid or not.
  /// - Throws: `SocketError`, `ThreadError`. A mirror also works without a control socket.
  init(places: ControlPlaces, answering: @escaping @Sendable ([UInt8]) async -> ControlAnswer) throws {
    let directory = try SocketDirectory(path: places.preferred, absence: .isMade)
    let number = Self.opened.add(1, ordering: .relaxed).newValue
    server = try LineServer(
      name: try ControlPlaces.socketName(pid: getpid(), number: number), in: directory
    ) { line in encodedLine(await answering(line)) }
  }

  func close() async {
    await server.stop()
  }
}

/// JSON on one line. It holds no newline, because JSON escapes newlines in strings.
func encodedLine(_ value: some Encodable) -> [UInt8] {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  do {
    return Array(try encoder.encode(value))
  } catch {
    preconditionFailure("these values are strings and finite numbers, which JSON can always hold: \(error)")
  }
}

extension ControlAnswer {
  static let interrupted = ControlAnswer(
    error: .init(kind: .interrupted, message: "this mirror has ended", failures: []))
}
