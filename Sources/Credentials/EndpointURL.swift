/// A service's address as given by the user: scheme, host and port, and the path that a gateway may serve it under.
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
  /// `/base/path`, percent-encoded as given, without a slash at its end; empty where there is none.
  package var path: String

  /// Reads `https://host:port/path`; a slash at the end does not count, a query or a password is refused.
  ///
  /// - Parameter source: where the text comes from, for the error.
  /// - Throws: `ConfigurationError` that names the source.
  package init(_ text: String, source: String) throws {
    func fault(_ cause: String) -> ConfigurationError {
      ConfigurationError(
        subject: source, cause: cause,
        remedy: "An endpoint has the form https://host, https://host:port or https://host:port/path.")
    }
    guard let colon = text.firstRange(of: "://"),
      let scheme = Scheme(rawValue: text[..<colon.lowerBound].lowercased())
    else { throw fault("the endpoint has no http:// or https://") }
    self.scheme = scheme
    var authority = text[colon.upperBound...]
    // A password could stand before @, a token in a query: refused, and the text is not repeated in the error.
    if authority.contains("@") { throw fault("the endpoint holds a user name or password") }
    let pathStart = authority.firstIndex(of: "/") ?? authority.endIndex
    guard let path = Self.basePath(authority[pathStart...]) else {
      throw fault("the endpoint has a query, or a path with characters that must be percent-encoded")
    }
    self.path = path
    authority = authority[..<pathStart]
    let forbidden: [Character] = ["?", "#", " ", "\\", "%"]
    if authority.contains(where: { forbidden.contains($0) || !$0.isASCII }) {
      throw fault("the endpoint has a query or characters that no host has")
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

  /// The path without the slash at its end; nil when it is none that a request can be signed for: only unreserved characters and
  /// percent-encoded ones are the same on both sides (SigV4, "Create a canonical request"), and names such as `..` or nothing
  /// would be another path to some servers.
  private static func basePath(_ text: Substring) -> String? {
    let path = text.last == "/" ? text.dropLast() : text
    if path.isEmpty { return "" }
    let names = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    let arePlain = names.allSatisfy { name in
      !name.isEmpty && name != "." && name != ".." && isPercentEncoded(name)
    }
    return arePlain ? String(path) : nil
  }

  /// RFC 3986 §2.3 and §2.1.
  private static func isPercentEncoded(_ name: Substring) -> Bool {
    var rest = name[...]
    while let character = rest.popFirst() {
      if character == "%" {
        guard rest.count >= 2, rest.prefix(2).allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
          return false
        }
        rest = rest.dropFirst(2)
      } else {
        let isUnreserved =
          character.isASCII && (character.isLetter || character.isNumber || "-._~".contains(character))
        guard isUnreserved else { return false }
      }
    }
    return true
  }

  /// As it stands in the `Host` field.
  package var authority: String { host + (port.map { ":\($0)" } ?? "") }

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
  package var description: String { scheme.rawValue + "://" + authority + path }
}
