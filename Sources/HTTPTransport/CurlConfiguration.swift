import Glibc
import LoopThread

extension CurlClient {
  package struct Configuration: Sendable {
    /// For name, connection and TLS handshake together.
    package var connectTimeoutSeconds = 10
    /// A transfer in which nothing moves for so long ends with `.timeout`; there is no deadline besides: a paced upload or a crowded
    /// link is no fault.
    package var silenceSeconds = 60
    /// Connections, and so transfers, at one time to all hosts; later ones wait their turn.
    package var maxConnections = 64
    /// A PEM file of trusted certificates instead of the system's (`TrustedCertificates`).
    package var caBundlePath: String?
    /// A proxy's URL; "" means none; nil leaves it to `https_proxy`, `http_proxy` and `no_proxy`, as AWS tools do. Requests to
    /// this machine and to services of its link go directly (`DirectHost`).
    package var proxy: String?
    /// What the bodies of requests and responses keep to, all together; clients may share one.
    package var uploadLimit: RateLimit?
    package var downloadLimit: RateLimit?
    /// Called, a few times a second at the most, while something moves in a transfer that was begun over ten seconds ago.
    package var onLateMovement: (@Sendable () -> Void)?
    /// Shared by the clients that are made of one configuration.
    let trust = ConnectionTrust()
    /// Of the loop's thread.
    package var priority = ThreadPriority.normal
    /// Sent unless the request has its own.
    package var userAgent = "s3mirror"

    package init() {}

    func validate() throws {
      guard maxConnections > 0 else {
        throw TransportError(.invalid, "maxConnections is \(maxConnections); it must be at least 1")
      }
      // libcurl would find out at the first handshake, and take it for the peer's fault.
      if let caBundlePath, access(caBundlePath, R_OK) != 0 {
        let cause = String(cString: strerror(errno))
        throw TransportError(.invalid, "reading the CA bundle \(caBundlePath): \(cause)")
      }
    }
  }

  /// Counted when a transfer ends, well or not.
  package struct Statistics: Sendable, Hashable {
    package var requestsSent = 0
    package var connectionsOpened = 0
    /// Heads and bodies, before encryption.
    package var bytesSent: Int64 = 0
    package var bytesReceived: Int64 = 0

    mutating func add(_ easy: EasyHandle) {
      connectionsOpened += easy.connectionsOpened
      bytesSent += easy.bytesSent
      bytesReceived += easy.bytesReceived
    }
  }
}
