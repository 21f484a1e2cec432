import SigV4

/// The address of a service, and how it addresses a bucket.
package struct S3Endpoint: Sendable, Hashable {
  package enum Scheme: String, Sendable {
    case http
    case https
  }

  package enum Addressing: Sendable, Hashable {
    /// On AWS: the bucket in the host name if possible. Elsewhere: in the path.
    case automatic
    /// `https://host/bucket/key`
    case path
    /// `https://bucket.host/key`
    case virtualHost
  }

  package enum Host: Sendable, Hashable {
    /// AWS's own host, which depends on the bucket's region.
    case aws(EndpointVariant = [])
    /// A name or an address; IPv6 in brackets.
    case named(String)
  }

  package var scheme: Scheme
  package var host: Host
  /// Nil means the default port of the scheme.
  package var port: Int?
  /// The path before each bucket's path, such as `/storage/s3`: percent-encoded, without a slash at its end;
  /// usually empty.
  package var basePath: String
  package var addressing: Addressing

  package init(
    scheme: Scheme, host: Host, port: Int? = nil, basePath: String = "", addressing: Addressing = .automatic
  ) {
    self.scheme = scheme
    self.host = host
    self.basePath = basePath
    self.port = port == (scheme == .https ? 443 : 80) ? nil : port
    self.addressing = addressing
  }

  package static let aws = S3Endpoint(scheme: .https, host: .aws())

  /// `http://127.0.0.1:8333`, `https://[::1]`, with or without a slash at the end. Nil for anything else:
  /// another scheme, a user, a path, a query.
  package init?(url: String, addressing: Addressing = .automatic) {
    let separator = "://"
    guard
      let scheme = [Scheme.http, .https].first(where: { url.lowercased().hasPrefix($0.rawValue + separator) })
    else { return nil }
    var rest = url.dropFirst(scheme.rawValue.count + separator.count)
    if rest.last == "/" { rest.removeLast() }
    var port: Int?
    if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("]") {
      guard let number = Int(rest[rest.index(after: colon)...]), (1...65_535).contains(number) else {
        return nil
      }
      port = number
      rest = rest[..<colon]
    }
    let isAddress = rest.first == "[" && rest.last == "]"
    let forbidden: Set<Character> = ["/", "?", "#", "@", " ", "%"]
    guard !rest.isEmpty, !rest.contains(where: forbidden.contains), isAddress || !rest.contains(":") else {
      return nil
    }
    self.init(scheme: scheme, host: .named(String(rest)), port: port, addressing: addressing)
  }

  /// Whether requests stay on this machine.
  package var isLoopback: Bool {
    guard case .named(let name) = host else { return false }
    return name == "localhost" || name.hasSuffix(".localhost") || name == "[::1]"
      || Self.isLoopbackAddress(name)
  }

  /// 127.0.0.0/8 (RFC 1122 §3.2.1.3), with all four numbers.
  private static func isLoopbackAddress(_ name: String) -> Bool {
    let numbers = name.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
    return numbers.count == 4 && numbers[0] == 127 && !numbers.contains(nil)
  }

  /// The `Host` header and the path before the query, for one key or for the bucket itself.
  func address(bucket: String, key: String?, region: String) -> (host: String, path: String) {
    let name: String
    switch host {
    case .named(let given): name = given
    case .aws(let variant):
      let service =
        (variant.contains(.fips) ? "s3-fips" : "s3") + (variant.contains(.dualStack) ? ".dualstack" : "")
      name = "\(service).\(region).\(AWSPartition(ofRegion: region).dnsSuffix)"
    }
    let authority = port.map { "\(name):\($0)" } ?? name
    let encodedKey = key.map { "/" + uriEncode($0, as: .path) }
    if isVirtualHosted(bucket) { return ("\(bucket).\(authority)", basePath + (encodedKey ?? "/")) }
    return (authority, basePath + "/" + uriEncode(bucket, as: .path) + (encodedKey ?? ""))
  }

  /// A wildcard certificate of TLS covers only one label. So a bucket name with dots goes into the path (AWS,
  /// "Virtual hosting of general purpose buckets"), and so does an old name that is no valid host name.
  private func isVirtualHosted(_ bucket: String) -> Bool {
    switch addressing {
    case .path: return false
    case .virtualHost: return true
    case .automatic:
      guard case .aws = host else { return false }
      return bucket.utf8.allSatisfy { byte in
        (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "-")
      }
    }
  }
}
