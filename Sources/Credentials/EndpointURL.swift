/// A service's address as the user gave it: scheme, host and port, and the path under which a gateway may
/// serve it.
package struct EndpointURL: Sendable, Hashable {
  package enum Scheme: String, Sendable {
    case http
    case https
  }

  package var scheme: Scheme
  /// A name or an address in lower case; IPv6 in brackets.
  package var host: String
  /// Nil means the default port of the scheme.
  package var port: Int?
  /// `/base/path`, percent-encoded as given, without a slash at its end; empty if there is none.
  package var path: String

  /// Parses `https://host:port/path`. A slash at the end is ignored; a query or a password is rejected.
  ///
  /// - Parameter source: the origin of the text, for errors.
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
    // A password may come before @, a token in a query. Both are rejected, and the error does not repeat the
    // text.
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

  /// The path without the slash at its end; nil if requests to it cannot be signed. Only unreserved and
  /// percent-encoded characters are the same on both sides (SigV4, "Create a canonical request"), and some
  /// servers treat names such as `..` or an empty name as another path.
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

  /// The address in the form of the `Host` header.
  package var authority: String { host + (port.map { ":\($0)" } ?? "") }

  /// Whether the address is on this machine (RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
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
