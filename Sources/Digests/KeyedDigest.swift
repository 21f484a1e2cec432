import COpenSSL

/// A digest under a key that only this process knows, computed piece by piece: GMAC with AES-128 (NIST SP
/// 800-38D). It tells whether bytes are those of an earlier read of this process.
///
/// It takes a tenth of the time of an MD5. The key is random, so contents that were written without it have
/// the same digest with a probability of at most n/2^128 (n: their number of 16-byte blocks), whatever their
/// structure. All messages have one nonce, so the digest protects against nobody who could see it: it must not
/// leave the process.
package final class KeyedHasher: StreamingDigest {
  package static let byteCount = 16

  // SAFETY: created in init and freed in deinit, nowhere else. The class is not Sendable, so one thread at a
  // time uses it.
  private let context: OpaquePointer

  package init() {
    guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("out of memory for a digest") }
    self.context = context
    start()
  }

  deinit {
    EVP_CIPHER_CTX_free(context)
  }

  private func start() {
    let key = ProcessKey.current
    let nonce = [UInt8](repeating: 0, count: 12)
    // SAFETY: OpenSSL copies the key, 16 bytes, and the nonce, 12 bytes, during the call.
    let started = EVP_EncryptInit_ex2(context, key.cipher, key.bytes, nonce, nil)
    precondition(started == 1, "OpenSSL refused to start a GMAC")
  }

  package func update(_ bytes: UnsafeRawBufferPointer) {
    var rest = bytes[...]
    while !rest.isEmpty {
      // The length of a call is an Int32.
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
      var count: Int32 = 0
      // SAFETY: the caller's buffer is read only during the call. Without an output buffer the bytes are
      // authenticated, not encrypted.
      let updated = EVP_EncryptUpdate(
        context, nil, &count, piece.bindMemory(to: UInt8.self).baseAddress, Int32(piece.count))
      precondition(updated == 1, "OpenSSL refused to continue a GMAC")
      rest = rest.dropFirst(piece.count)
    }
  }

  /// The digest of everything so far, 16 bytes. The hasher then starts again.
  package func finish() -> [UInt8] {
    var nothing: UInt8 = 0
    var written: Int32 = 0
    var digest = [UInt8](repeating: 0, count: Self.byteCount)
    // SAFETY: nothing was encrypted, so EVP_EncryptFinal_ex writes no byte; the tag has 16 bytes.
    let finished = EVP_EncryptFinal_ex(context, &nothing, &written)
    let read = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.byteCount), &digest)
    precondition(finished == 1 && read == 1, "OpenSSL refused to finish a GMAC")
    start()
    return digest
  }
}

/// The cipher, fetched once, and a random key.
private struct ProcessKey: Sendable {
  // SAFETY: an EVP_CIPHER is immutable, and several threads may use it at once; it is never freed.
  nonisolated(unsafe) let cipher: OpaquePointer
  let bytes: [UInt8]

  static let current = ProcessKey()

  private init() {
    guard let fetched = EVP_CIPHER_fetch(nil, "AES-128-GCM", nil) else {
      preconditionFailure("OpenSSL offers no AES-128-GCM: its configuration disables it")
    }
    cipher = fetched
    var random = SystemRandomNumberGenerator()
    bytes = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &random) }
  }
}
