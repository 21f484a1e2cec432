import Glibc
import LoopThread
import Synchronization
import TLSServer

/// A server's key and certificate of 127.0.0.1. The certificate is in a file.
///
/// Unchecked: the pointer is created in init and freed in deinit, and OpenSSL's SSL_CTX may be used by many threads.
final class TLSIdentity: @unchecked Sendable {
  private let identity: OpaquePointer
  private let counts = Mutex((made: 0, resumed: 0))

  init(_ name: String, certificate path: String) throws {
    guard let identity = s3m_tls_identity_make(name, path) else {
      throw ThreadError(operation: "making a certificate", code: errno)
    }
    self.identity = identity
  }

  deinit { s3m_tls_identity_free(identity) }

  /// The name of the certificate in a directory of certificates.
  var nameInDirectory: String {
    let digits = String(s3m_tls_identity_hash(identity), radix: 16)
    return String(repeating: "0", count: 8 - digits.count) + digits + ".0"
  }

  /// How many sessions have begun, and how many of these resumed an earlier one.
  var sessions: (made: Int, resumed: Int) { counts.withLock { $0 } }

  /// Shakes hands on a socket, and runs `body` with a socket for the plain bytes.
  func serve(_ socket: Int32, _ body: @escaping @Sendable (Int32) -> Void) throws {
    var connection: UnsafeMutableRawPointer?
    let result = s3m_tls_accept(identity, socket, &connection)
    guard result > 0 else { return }
    counts.withLock { counts in
      counts.made += 1
      counts.resumed += result == 2 ? 1 : 0
    }
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      throw ThreadError(operation: "making a pair of sockets", code: errno)
    }
    let (ours, theirs) = (ends[0], ends[1])
    let thread = try NativeThread(name: "test-plain") {
      body(theirs)
      close(theirs)
    }
    s3m_tls_pump(connection, socket, ours)
    close(ours)
    thread.join()
  }
}
