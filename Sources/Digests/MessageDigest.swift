// Digests: S3's checksums, by OpenSSL and zlib. Only this module calls either for hashing.
//
//   digest       a fixed number of bytes that represents a message: SHA-256 (32 bytes), MD5 (16 bytes)
//   GMAC         a digest under a key, of AES-GCM's arithmetic: fast, and meaningful only to who has the key
//   HMAC         a digest keyed with a secret (RFC 2104), used for signatures
//   CRC-32       a 32-bit checksum that detects accidents, not attacks. The CRCs of two halves give that of
//                the whole
//   ETag         S3's tag of an object's content; for a single PUT without KMS its MD5 in hex
//   fold         to reduce many bytes to 64 bytes with the same CRC
//   hexadecimal, base64   the text forms of these bytes in headers

import COpenSSL

/// A digest that is computed piece by piece.
package protocol StreamingDigest {
  func update(_ bytes: UnsafeRawBufferPointer)
  /// The digest of everything so far. The hasher then starts again.
  func finish() -> [UInt8]
}

/// A SHA-256 digest that is computed piece by piece (FIPS 180-4).
package final class SHA256Hasher: StreamingDigest {
  private let context = DigestContext(.sha256)

  package init() {}

  package func update(_ bytes: UnsafeRawBufferPointer) { context.update(bytes) }

  /// The digest of everything so far, 32 bytes. The hasher then starts again.
  package func finish() -> [UInt8] { context.finish() }
}

/// An MD5 digest that is computed piece by piece (RFC 1321), for ETags and `Content-MD5`, never for security.
package final class MD5Hasher: StreamingDigest {
  private let context = DigestContext(.md5)

  package init() {}

  package func update(_ bytes: UnsafeRawBufferPointer) { context.update(bytes) }

  /// The digest of everything so far, 16 bytes. The hasher then starts again.
  package func finish() -> [UInt8] { context.finish() }
}

extension StreamingDigest {
  package func update(_ bytes: [UInt8]) { bytes.withUnsafeBytes { update($0) } }
}

package func sha256(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
  DigestContext(.sha256).digest(of: bytes)
}

package func sha256(_ bytes: [UInt8]) -> [UInt8] {
  bytes.withUnsafeBytes { sha256($0) }
}

/// The digest of the text's UTF-8.
package func sha256(_ text: String) -> [UInt8] {
  var text = text
  return text.withUTF8 { sha256(UnsafeRawBufferPointer($0)) }
}

package func md5(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
  DigestContext(.md5).digest(of: bytes)
}

package func md5(_ bytes: [UInt8]) -> [UInt8] {
  bytes.withUnsafeBytes { md5($0) }
}

/// An algorithm as OpenSSL provides it.
///
/// It is fetched once in the process. `EVP_sha256()` would fetch implicitly at every use, under a lock
/// (crypto(7), "Performance"), which costs more than hashing a short message.
struct DigestAlgorithm: Sendable {
  // SAFETY: an EVP_MD is immutable, and several threads may use it at once; these two are never freed.
  nonisolated(unsafe) let implementation: OpaquePointer
  let byteCount: Int

  static let sha256 = DigestAlgorithm("SHA256", byteCount: 32)
  static let md5 = DigestAlgorithm("MD5", byteCount: 16)

  private init(_ name: String, byteCount: Int) {
    guard let fetched = EVP_MD_fetch(nil, name, nil) else {
      preconditionFailure("OpenSSL offers no \(name): its configuration (FIPS mode?) disables it")
    }
    implementation = fetched
    self.byteCount = byteCount
  }
}

/// One EVP_MD_CTX for the lifetime of a hasher or a key.
final class DigestContext {
  private let algorithm: DigestAlgorithm
  // SAFETY: created in init and freed in deinit, nowhere else. The class is not Sendable, so one thread at a
  // time uses it.
  private let context: OpaquePointer

  private init(unstarted algorithm: DigestAlgorithm) {
    guard let context = EVP_MD_CTX_new() else { preconditionFailure("out of memory for a digest") }
    self.algorithm = algorithm
    self.context = context
  }

  convenience init(_ algorithm: DigestAlgorithm) {
    self.init(unstarted: algorithm)
    start()
  }

  /// A context that goes on from here, as another one.
  convenience init(goingOnFrom other: DigestContext) {
    self.init(unstarted: other.algorithm)
    let copied = EVP_MD_CTX_copy_ex(context, other.context)
    precondition(copied == 1, "OpenSSL refused to copy a digest")
  }

  deinit {
    EVP_MD_CTX_free(context)
  }

  private func start() {
    let started = EVP_DigestInit_ex(context, algorithm.implementation, nil)
    precondition(started == 1, "OpenSSL refused to start a digest")
  }

  func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    // SAFETY: the caller's buffer is read only during the call.
    let updated = EVP_DigestUpdate(context, base, bytes.count)
    precondition(updated == 1, "OpenSSL refused to continue a digest")
  }

  func finish() -> [UInt8] {
    let digest = takeDigest()
    start()
    return digest
  }

  /// The digest of one message, by a context that is not used again.
  func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
    update(bytes)
    return takeDigest()
  }

  func takeDigest() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: algorithm.byteCount) { buffer, count in
      // SAFETY: the buffer has the digest's length, and EVP_DigestFinal_ex writes all of it.
      let finished = EVP_DigestFinal_ex(context, buffer.baseAddress, nil)
      precondition(finished == 1, "OpenSSL refused to finish a digest")
      count = algorithm.byteCount
    }
  }
}
