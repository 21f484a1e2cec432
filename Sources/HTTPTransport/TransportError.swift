/// Why there is no complete response.
package struct TransportError: Error, Sendable, Hashable {
  package enum Kind: Sendable, Hashable {
    /// The name did not resolve or nothing accepted the connection.
    case connect
    /// The peer's certificate or the TLS handshake failed. Trying again does not help.
    case tls
    /// A reused connection died before the first byte of a response: always safe to send again.
    case staleConnection
    /// The connection was reset or ended early.
    case interrupted
    /// Nothing moved for too long, or no connection in time.
    case timeout
    /// The response ended before its announced length.
    case truncated
    /// What came is no HTTP response, or larger than any of S3's: a proxy's or a fault of the line.
    case garbled
    /// A URL, option or protocol that libcurl refuses: a fault of ours or of the configuration.
    case invalid
    /// The client was closed.
    case closed
  }

  package var kind: Kind
  /// libcurl's words, with the host.
  package var message: String
  /// Of `.tls`, where the certificate is the reason.
  package var certificate: CertificateFault?

  package init(_ kind: Kind, _ message: String, certificate: CertificateFault? = nil) {
    self.kind = kind
    self.message = message
    self.certificate = certificate
  }
}

extension TransportError: CustomStringConvertible {
  package var description: String { message }
}
