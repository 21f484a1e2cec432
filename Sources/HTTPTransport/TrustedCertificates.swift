import CCurl
import Glibc

/// Finds the certificates that this system trusts.
///
/// libcurl knows the place that the distribution of its build uses. A libcurl that is shipped with the
/// program, in a Python wheel or a tarball, may run on a distribution with another place.
enum TrustedCertificates {
  /// The files of the large distributions, from their packages `ca-certificates`.
  static let knownPlaces = [
    "/etc/ssl/certs/ca-certificates.crt",  // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  // Fedora, RHEL, Amazon Linux
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // the same, where the name above is gone
    "/etc/ssl/ca-bundle.pem",  // SUSE
    "/etc/ssl/cert.pem",  // others
  ]

  /// The file to use if libcurl's own place has none; nil if libcurl finds its certificates, or if there are
  /// none.
  static let elsewhere = bundle(builtIn: builtIn, isReadable: isReadable)

  /// libcurl's own place; nil if libcurl does not report one.
  private static let builtIn = s3m_built_in_certificates().file.map { String(cString: $0) }

  /// The file that libcurl reads unless it is given another; nil if there is none.
  static let file = elsewhere ?? builtIn.flatMap { isReadable($0) ? $0 : nil }

  /// libcurl's own directory of certificates; nil if it has none.
  static let directory = s3m_built_in_certificates().directory.map { String(cString: $0) }

  private static func isReadable(_ path: String) -> Bool { access(path, R_OK) == 0 }

  /// - Parameter builtIn: libcurl's own place; nil if libcurl does not report one, and then nothing is
  ///   changed.
  static func bundle(builtIn: String?, isReadable: (String) -> Bool) -> String? {
    guard let builtIn, !isReadable(builtIn) else { return nil }
    return knownPlaces.first(where: isReadable)
  }
}
