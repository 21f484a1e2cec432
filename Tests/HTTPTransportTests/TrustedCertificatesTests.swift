import Testing

@testable import HTTPTransport

/// Which file of trusted certificates libcurl is given.
@Suite struct TrustedCertificatesTests {
  private let debian = "/etc/ssl/certs/ca-certificates.crt"

  @Test func `where libcurl finds its own certificates it is left alone`() {
    #expect(TrustedCertificates.bundle(builtIn: debian, isReadable: { _ in true }) == nil)
  }

  @Test(arguments: TrustedCertificates.knownPlaces)
  func `on another distribution its place is found`(_ place: String) {
    #expect(
      TrustedCertificates.bundle(builtIn: "/usr/local/etc/cert.pem", isReadable: { $0 == place }) == place)
  }

  @Test func `a libcurl that does not say its place is left alone`() {
    #expect(TrustedCertificates.bundle(builtIn: nil, isReadable: { _ in true }) == nil)
  }

  @Test func `where there are no certificates libcurl says so itself`() {
    #expect(TrustedCertificates.bundle(builtIn: debian, isReadable: { _ in false }) == nil)
  }
}
