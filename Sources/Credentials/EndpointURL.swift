/// A service's address as given by the user: scheme, host and port, nothing else.
package struct EndpointURL: Sendable, Hashable {
  package enum Scheme: String, Sendable {
    case http
    case https
  }

  package var scheme: Scheme
  /// A name or an address in lower case; IPv6 in brackets.
  package var host: String
  /// Nil is the scheme's own.
  package var port: Int?

  /// Reads `https://host:port`; a trailing slash is allowed, a path, a query or a password is not.
  ///
  /// - Parameter source: where the text comes from, for the error.
  /// - Throws: `ConfigurationError` that names the source.
  package init(_ text: String, source: String) throws {
    func fault(_ cause: String) -> ConfigurationError {
      ConfigurationError(
        subject: source, cause: cause, remedy: "An endpoint has the form https://host or https://host:port.")
    }
    guard let colon = text.firstRange(of: "://"),
      let scheme = Scheme(rawValue: text[..<colon.lowerBound].lowercased())
    else { throw fault("the endpoint has no http:// or https://") }
    self.scheme = scheme
    var authority = text[colon.upperBound...]
    // A password could stand before @, a token in a query: refused, and the text is not repeated in the error.
    if authority.contains("@") { throw fault("the endpoint holds a user name or password") }
    if authority.hasSuffix("/") { authority.removeLast() }
    let forbidden: [Character] = ["/", "?", "#", " ", "\\", "%"]
    if authority.contains(where: { forbidden.contains($0) || !$0.isASCII }) {
      throw fault("the endpoint has a path, a query or characters that no host has")
    }
    var portText: Substring?
    if authority.hasPrefix("["), let bracket = authority.firstIndex(of: "]") {
      let rest = authority[authority.index(after: bracket)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw fault("the endpoint \(text) has no valid host") }
      portText = rest.isEmpty ? nil : rest.dropFirst()
      authority = authority[...bracket]
    } else if let separator = authority.firstIndex(of: ":") {
      portText = authority[authority.index(after: separator)...]
      authority = authority[..<separator]
    }
    guard !authority.isEmpty else { throw fault("the endpoint \(text) has no host") }
    host = authority.lowercased()
    if let portText {
      let isNumber = portText.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard isNumber, let number = UInt16(portText), number > 0 else {
        throw fault("the endpoint \(text) has no valid port")
      }
      port = Int(number) == scheme.standardPort ? nil : Int(number)
    }
  }

  /// Whether nothing sent there leaves this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
  package var isLoopback: Bool {
    if host == "localhost" || host.hasSuffix(".localhost") || host == "[::1]" { return true }
    let octets = host.split(separator: ".", omittingEmptySubsequences: false)
    return octets.count == 4 && octets[0] == "127" && octets.allSatisfy { UInt8($0) != nil }
  }
}

extension EndpointURL.Scheme {
  var standardPort: Int { self == .http ? 80 : 443 }
}

extension EndpointURL: CustomStringConvertible {
  package var description: String { scheme.rawValue + "://" + host + (port.map { ":\($0)" } ?? "") }
}
