import CCurl
import Glibc

/// Where this system keeps the certificates that it trusts.
///
/// A libcurl knows the place of the distribution that it was built on. One that travels with the program, in a Python wheel or a
/// tarball, comes to distributions that have another.
enum TrustedCertificates {
  /// The files of the large distributions, as their packages `ca-certificates` have them.
  static let knownPlaces = [
    "/etc/ssl/certs/ca-certificates.crt",  // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  // Fedora, RHEL, Amazon Linux
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // the same, where the name above is gone
    "/etc/ssl/ca-bundle.pem",  // SUSE
    "/etc/ssl/cert.pem",  // others
  ]

  /// The file to use where libcurl's own place is empty; nil where libcurl finds its certificates, or nobody does.
  static let elsewhere = bundle(
    builtIn: s3m_built_in_certificates().map { String(cString: $0) }, isReadable: { access($0, R_OK) == 0 })

  /// - Parameter builtIn: libcurl's own; nil where it does not say, and so is left alone.
  static func bundle(builtIn: String?, isReadable: (String) -> Bool) -> String? {
    guard let builtIn, !isReadable(builtIn) else { return nil }
    return knownPlaces.first(where: isReadable)
  }
}
