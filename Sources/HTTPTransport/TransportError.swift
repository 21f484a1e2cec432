/// Why there is no complete response.
package struct TransportError: Error, Sendable, Hashable {
  package enum Kind: Sendable, Hashable {
    /// The name could not be resolved, or no server accepted the connection.
    case connect
    /// The peer's certificate or the TLS handshake failed. A retry does not help.
    case tls
    /// A reused connection was closed before the first byte of a response. A retry is always safe.
    case staleConnection
    /// The connection was reset or ended early.
    case interrupted
    /// The transfer was silent for too long, or there was no connection in time.
    case timeout
    /// The response ended before its announced length.
    case truncated
    /// The received bytes are no HTTP response, or larger than any of S3: a proxy's answer, or a transmission
    /// fault.
    case garbled
    /// libcurl rejects a URL, option or protocol: a fault of this program or of the configuration.
    case invalid
    /// The client was closed.
    case closed
  }

  package var kind: Kind
  /// libcurl's message, with the host.
  package var message: String
  /// For `.tls`: the fault of the certificate, if it is the reason.
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
