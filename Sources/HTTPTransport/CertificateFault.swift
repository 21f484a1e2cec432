/// A fault of a server's certificate. Each fault has its own remedy. The raw value is the code in errors.
package enum CertificateFault: String, Sendable, Hashable {
  case expired = "CertificateExpired"
  case notYetValid = "CertificateNotYetValid"
  case wrongHost = "CertificateHostMismatch"
  case unknownAuthority = "UnknownCertificateAuthority"
  case revoked = "CertificateRevoked"
  /// The file of certificate authorities cannot be used.
  case unusableBundle = "CertificateBundle"

  package var remedy: String {
    switch self {
    case .expired: "the server needs a new certificate; if it has one, set this machine's clock"
    case .notYetValid: "set this machine's clock; if it is right, the server needs another certificate"
    case .wrongHost:
      "use the host name that the server's certificate is for, or give the server a certificate for this one"
    case .unknownAuthority:
      "give the certificate authority that signed the server's certificate in AWS_CA_BUNDLE, as a PEM file"
    case .revoked: "the server needs a new certificate"
    case .unusableBundle: "make AWS_CA_BUNDLE (ca_bundle) a PEM file of certificates"
    }
  }
}
