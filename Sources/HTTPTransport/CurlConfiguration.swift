import Glibc
import LoopThread

extension CurlClient {
  package struct Configuration: Sendable {
    /// For name resolution, connection and TLS handshake together.
    package var connectTimeoutSeconds = 10
    /// A transfer that is silent for this time ends with `.timeout`. There is no other deadline, because a
    /// rate limit or a crowded link is no fault.
    package var silenceSeconds = 60
    /// The largest number of connections, and so of transfers, to all hosts together. Further transfers wait.
    package var maxConnections = 64
    /// A PEM file of trusted certificates in place of the system's (`TrustedCertificates`).
    package var caBundlePath: String?
    /// A proxy's URL. "" means no proxy. Nil takes `https_proxy`, `http_proxy` and `no_proxy`, as AWS tools
    /// do. Requests to this machine and to services on its link use no proxy (`DirectHost`).
    package var proxy: String?
    /// Rate limits for the bodies of all requests and of all responses together. Several clients may share a
    /// limit.
    package var uploadLimit: RateLimit?
    package var downloadLimit: RateLimit?
    /// Called a few times a second at most, while a transfer moves that began more than ten seconds ago.
    package var onLateMovement: (@Sendable () -> Void)?
    /// Shared by all clients of one configuration.
    let trust = ConnectionTrust()
    /// Likewise. A test puts another directory in its place.
    var certificateDirectory = CertificateDirectory(
      path: TrustedCertificates.directory, file: TrustedCertificates.file)
    /// The priority of the loop's thread.
    package var priority = ThreadPriority.normal
    /// Sent unless the request has its own user agent.
    package var userAgent = "s3mirror"

    package init() {}

    func validate() throws {
      guard maxConnections > 0 else {
        throw TransportError(.invalid, "maxConnections is \(maxConnections); it must be at least 1")
      }
      // libcurl would notice this only at the first handshake and report it as the peer's fault.
      if let caBundlePath, access(caBundlePath, R_OK) != 0 {
        let cause = String(cString: strerror(errno))
        throw TransportError(.invalid, "reading the CA bundle \(caBundlePath): \(cause)")
      }
    }
  }

  /// Counts transfers when they end, successfully or not.
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
