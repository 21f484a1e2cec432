import Glibc

/// Hosts that are contacted directly, whatever proxy is set. Their addresses mean another machine at the
/// proxy: this machine's loopback, and the services on its link that issue credentials. A proxy that
/// forwarded such a request would read data meant only for this machine, or return another machine's
/// credentials.
///
/// For all other hosts libcurl applies `no_proxy` (libcurl-env(3)).
enum DirectHost {
  /// - Parameter authority: `host` or `host:port`; IPv6 in brackets.
  static func contains(_ authority: String) -> Bool {
    let host = host(of: authority)
    // RFC 6761 §6.3.
    if host == "localhost" || host.hasSuffix(".localhost") { return true }
    if let address = ipv4(host) { return isDirect(address) }
    guard let address = ipv6(host) else { return false }
    return isDirect(address)
  }

  /// 127/8 (RFC 1122 §3.2.1.3) and 169.254/16, which routers do not forward (RFC 3927 §7.4): EC2's metadata
  /// (169.254.169.254), and the credentials of ECS (169.254.170.2) and EKS (169.254.170.23).
  private static func isDirect(_ address: [UInt8]) -> Bool {
    if address.count == 4 { return address[0] == 127 || (address[0] == 169 && address[1] == 254) }
    // An IPv4 address in IPv6's form (RFC 4291 §2.5.5.2).
    if address.starts(with: [UInt8](repeating: 0, count: 10) + [0xff, 0xff]) {
      return isDirect(Array(address.suffix(4)))
    }
    let isLoopback = address == [UInt8](repeating: 0, count: 15) + [1]
    // fe80::/10 (RFC 4291 §2.5.6).
    let isLinkLocal = address[0] == 0xfe && address[1] & 0xc0 == 0x80
    // fd00:ec2::/32: the same services of AWS (EC2 User Guide, "Access instance metadata"; EKS User Guide,
    // "EKS Pod Identity").
    let isOfInstance = address.starts(with: [0xfd, 0x00, 0x0e, 0xc2])
    return isLoopback || isLinkLocal || isOfInstance
  }

  private static func host(of authority: String) -> String {
    let text = authority.lowercased()
    if text.utf8.first == UInt8(ascii: "["), let end = text.firstIndex(of: "]") {
      return String(text[text.index(after: text.startIndex)..<end])
    }
    let name = text.firstIndex(of: ":").map { text[..<$0] } ?? text[...]
    // A dot at the end stands for the root of all names (RFC 1034 §3.1).
    return String(name.last == "." ? name.dropLast() : name)
  }

  private static func ipv4(_ text: String) -> [UInt8]? {
    var address = in_addr()
    // inet_aton(3), as in resolvers: 127.1 is an address too.
    guard inet_aton(text, &address) != 0 else { return nil }
    // SAFETY: the bytes are copied inside the call. An address in network order has its octets in order, here
    // and below.
    return withUnsafeBytes(of: &address.s_addr) { Array($0) }
  }

  private static func ipv6(_ text: String) -> [UInt8]? {
    var address = in6_addr()
    // A zone (`fe80::1%eth0`) is not part of the address.
    guard inet_pton(AF_INET6, String(text.prefix { $0 != "%" }), &address) == 1 else { return nil }
    return withUnsafeBytes(of: &address) { Array($0) }
  }
}
