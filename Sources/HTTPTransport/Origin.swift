/// The origin server (RFC 9110 §3.6) that a URL names.
struct Origin {
  /// `host:port`, without user name and password, for error texts.
  let authority: String
  /// Whether no proxy is asked (`DirectHost`).
  let isDirect: Bool
  /// The URL up to the end of the server's name: `https://user@host:port`.
  private let bytes: [UInt8]

  /// Nil for a URL that is neither http nor https.
  init?(of url: String) {
    let bytes = Array(url.utf8)
    guard let scheme = Self.schemes.first(where: { bytes.starts(with: $0) }) else { return nil }
    let rest = bytes.dropFirst(scheme.count)
    let name = rest.prefix { !Self.endsName($0) }
    let host = name.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false).last ?? name
    authority = String(decoding: host, as: UTF8.self)
    isDirect = DirectHost.contains(authority)
    self.bytes = Array(bytes[..<name.endIndex])
  }

  private static let schemes = ["http://", "https://"].map { Array($0.utf8) }

  private static func endsName(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
  }

  /// Whether the URL names this server, in the same words.
  func isOrigin(of url: String) -> Bool {
    let others = url.utf8.span
    guard others.count >= bytes.count else { return false }
    for index in bytes.indices where others[index] != bytes[index] { return false }
    return others.count == bytes.count || Self.endsName(others[bytes.count])
  }
}
