import Digests
import HTTPTransport
import LocalTree

/// Writes a response's body into a stretch of a temporary file and computes its digests.
///
/// A retried request starts again at the beginning of the stretch and overwrites the bytes of the broken
/// response.
///
/// `@unchecked Sendable`: only the loop's thread changes it, while the request runs. The task that sent the
/// request reads it after the request has ended.
final class FileSink: ResponseSink, @unchecked Sendable {
  struct Received: Sendable {
    var byteCount: Int64 = 0
    var crc = CRC32()
  }

  /// The server sent other bytes than were requested.
  struct WrongRange: Error, CustomStringConvertible {
    let description: String
  }

  private let file: PartialFile
  private let offset: Int64
  private let byteCount: Int64
  private let content: Content
  private(set) var received = Received()
  private var hasher: MD5Hasher?

  enum Content: Sendable, Hashable {
    /// A part of the object. Only status 206 is correct.
    case range
    case whole
    /// The MD5 is computed too if the server sends no CRC-32.
    case wholeWithMD5
  }

  init(file: PartialFile, offset: Int64, byteCount: Int64, content: Content) {
    self.file = file
    self.offset = offset
    self.byteCount = byteCount
    self.content = content
  }

  /// The MD5 of the received bytes in lower-case hex; nil if it was not computed.
  func md5() -> String? { hasher.map { hexadecimal($0.finish()) } }

  func begin(_ head: HTTPResponse) throws {
    guard content != .range || head.status == 206 else {
      throw WrongRange(
        description: "the server ignores Range and sends the whole object (HTTP \(head.status))")
    }
    received = Received()
    let isNeeded = content == .wholeWithMD5 && head.headers["x-amz-checksum-crc32"] == nil
    hasher = isNeeded ? MD5Hasher() : nil
  }

  func receive(_ bytes: UnsafeRawBufferPointer) throws {
    let position = received.byteCount
    guard position + Int64(bytes.count) <= byteCount else {
      throw WrongRange(description: "the server sends more than the \(byteCount) bytes asked for")
    }
    try file.write(bytes, at: offset + position)
    received.crc.update(bytes)
    hasher?.update(bytes)
    received.byteCount = position + Int64(bytes.count)
  }
}
