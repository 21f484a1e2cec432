import CLinux
import Glibc

/// The manager's side of sd_notify(3): a datagram socket that a service sends its notifications to.
package final class NotificationReceiver: Sendable {
  package struct Failure: Error {
    package var operation: String
    package var code: Int32
  }

  private let descriptor: CInt

  /// - Parameter address: a path, or a name in the abstract namespace with `@` first.
  package init(address: String) throws {
    descriptor = s3m_datagram_socket(0)
    guard descriptor >= 0 else { throw Failure(operation: "socket", code: errno) }
    guard s3m_bind_datagram(descriptor, address) == 0 else {
      let code = errno
      close(descriptor)
      throw Failure(operation: "bind", code: code)
    }
  }

  deinit { close(descriptor) }

  /// What has come and was not taken yet, a notification each.
  package func take() -> [[String]] {
    var messages: [[String]] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &bytes, bytes.count, CInt(MSG_DONTWAIT))
      guard count >= 0 else { return messages }
      messages.append(
        String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n").map(String.init))
    }
  }
}
