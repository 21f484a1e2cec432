import S3Client
import Synchronization

/// Which check the bytes of a transfer passed on the other side. The transfer log names it.
package enum IntegrityCheck: String, Sendable, Hashable {
  /// The whole object's CRC-32, compared by the server on an upload and by us on a download.
  case crc32
  /// Each part's CRC-32, compared by the server; it keeps none of the whole.
  case crc32Parts = "crc32-parts"
  /// The ETag is the MD5 of the bytes.
  case md5
  /// Each part's ETag is the MD5 of its bytes, or its CRC-32 was compared.
  case md5Parts = "md5-parts"
  /// The size alone: of a download that has nothing else to be held against.
  case size
  /// The server takes no checksum and its ETag is no digest that we know.
  case none

  /// Of a whole whose parts passed these.
  init(parts: some Sequence<IntegrityCheck>) {
    var weakest = IntegrityCheck.crc32Parts
    for part in parts {
      switch part {
      case .crc32, .crc32Parts: continue
      case .md5, .md5Parts: weakest = .md5Parts
      case .size, .none:
        self = .none
        return
      }
    }
    self = weakest
  }

  /// Of bytes in one request.
  init(isEchoed: Bool, etag: String, md5: () async throws -> String) async throws {
    if isEchoed {
      self = .crc32
    } else if let digest = ETag.md5(etag), try await md5() == digest {
      self = .md5
    } else {
      self = .none
    }
  }
}

/// What a bucket's server was found to make of checksum header fields; one value for all uploads to it.
///
/// Some servers refuse the fields (400 or 501 that names them), others take and ignore them. The first are sent none from
/// then on. Where no server compares a CRC-32, the ETag is held against the MD5 of what was sent.
package final class ChecksumSupport: Sendable {
  package enum Use: Sendable, Hashable {
    case object
    case part
  }

  private struct State {
    var isRefused = false
    var isWholeRefused = false
    var compared: Set<Use> = []
  }

  private let state = Mutex(State())

  package init() {}

  /// Whether the fields are sent.
  package var isSent: Bool { state.withLock { !$0.isRefused } }

  /// Whether a completion carries the CRC-32 of the whole object.
  package var isWholeSent: Bool { state.withLock { !$0.isRefused && !$0.isWholeRefused } }

  /// The server compares each part's CRC-32, and takes that of the whole for something else: a checksum of the
  /// parts' checksums, as S3 itself had it before FULL_OBJECT.
  package func noteWholeRefusal() { state.withLock { $0.isWholeRefused = true } }

  package func noteRefusal() { state.withLock { $0.isRefused = true } }

  package func note(isEchoed: Bool, for use: Use) {
    state.withLock { state in
      if isEchoed { state.compared.insert(use) } else { state.compared.remove(use) }
    }
  }

  /// Whether the server has shown that it compares; false also while nothing is known.
  package func isCompared(for use: Use) -> Bool { state.withLock { $0.compared.contains(use) } }
}
