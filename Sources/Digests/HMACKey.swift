/// A key of HMAC-SHA-256 (RFC 2104) with the digests of its two blocks, which each code begins with.
///
/// A code of a short message takes a fifth of the time of HMAC(3), which looks for its algorithm each time (OpenSSL 3.0).
package final class HMACKey: Sendable {
  // SAFETY: nothing changes the two after init. EVP_MD_CTX_copy_ex(3) takes its source as const, so several threads
  // may copy at once.
  private nonisolated(unsafe) let inner: DigestContext
  private nonisolated(unsafe) let outer: DigestContext

  package init(_ key: [UInt8]) {
    // A longer key than a block is replaced by its digest.
    let key = key.count > Self.blockSize ? sha256(key) : key
    let block = key + [UInt8](repeating: 0, count: Self.blockSize - key.count)
    inner = Self.beginning(block.map { $0 ^ 0x36 })
    outer = Self.beginning(block.map { $0 ^ 0x5c })
  }

  /// The block of SHA-256 (FIPS 180-4).
  private static let blockSize = 64

  private static func beginning(_ block: [UInt8]) -> DigestContext {
    let context = DigestContext(.sha256)
    block.withUnsafeBytes { context.update($0) }
    return context
  }

  /// The message's code, 32 bytes.
  package func code(of message: [UInt8]) -> [UInt8] {
    message.withUnsafeBytes { code(of: $0) }
  }

  /// The code of the message's UTF-8.
  package func code(of message: String) -> [UInt8] {
    var message = message
    return message.withUTF8 { code(of: UnsafeRawBufferPointer($0)) }
  }

  private func code(of message: UnsafeRawBufferPointer) -> [UInt8] {
    let (inner, outer) = (DigestContext(goingOnFrom: inner), DigestContext(goingOnFrom: outer))
    inner.update(message)
    inner.takeDigest().withUnsafeBytes { outer.update($0) }
    return outer.takeDigest()
  }
}

extension HMACKey: CustomReflectable {
  /// Keeps the key out of dumps.
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
