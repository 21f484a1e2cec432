import S3Client
import Synchronization

/// The integrity check that the bytes of a transfer passed on the other side. The transfer log names it.
package enum IntegrityCheck: String, Sendable, Hashable {
  /// The whole object's CRC-32. The server compares it on an upload, this program on a download.
  case crc32
  /// Each part's CRC-32, compared by the server. The server stores no CRC-32 of the whole object.
  case crc32Parts = "crc32-parts"
  /// The ETag is the MD5 of the bytes.
  case md5
  /// For each part, either its ETag is the MD5 of its bytes or its CRC-32 was compared.
  case md5Parts = "md5-parts"
  /// Only the size: for a download without any digest to compare.
  case size
  /// No check: the server ignores checksums, and its ETag is no known digest.
  case none

  /// The check of a whole whose parts passed these checks.
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

  /// The check of bytes that were sent in one request.
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

/// What is known of a bucket server's support for checksum headers. All uploads to the bucket share one
/// value.
///
/// Some servers refuse the headers (400 or 501 that names them); these servers receive none from then on.
/// Other servers accept and ignore the headers. If a server does not compare the CRC-32, the ETag is compared
/// with the MD5 of the sent bytes.
package final class ChecksumSupport: Sendable {
  package enum Use: Sendable, Hashable {
    case object
    case part
  }

  private struct State {
    var isRefused = false
    var isWholeRefused = false
    var compared: Set<Use> = []
    var isWholeCompared: Bool?
    var trailers = Trailers.unknown
  }

  private enum Trailers {
    case unknown, tried, understood, refused
  }

  /// What an answer to a part with a trailer shows.
  package enum TrailerVerdict: Sendable {
    case understood, refused
    /// The request failed for another reason.
    case undecided
  }

  private let state = Mutex(State())

  package init() {}

  /// Whether uploads send the headers.
  package var isSent: Bool { state.withLock { !$0.isRefused } }

  /// Whether completions send the CRC-32 of the whole object.
  package var isWholeSent: Bool { state.withLock { !$0.isRefused && !$0.isWholeRefused } }

  /// Records that the server compares each part's CRC-32 but misunderstands the whole object's. It expects a
  /// checksum of the parts' checksums, as S3 did before FULL_OBJECT.
  package func noteWholeRefusal() { state.withLock { $0.isWholeRefused = true } }

  /// Whether the server compares the CRC-32 of a whole object that was sent in parts; nil while this is
  /// unknown.
  package var isWholeCompared: Bool? { state.withLock { $0.isWholeCompared } }

  package func noteWhole(isEchoed: Bool) { state.withLock { $0.isWholeCompared = isEchoed } }

  package func noteRefusal() { state.withLock { $0.isRefused = true } }

  package func note(isEchoed: Bool, for use: Use) {
    state.withLock { state in
      if isEchoed { state.compared.insert(use) } else { state.compared.remove(use) }
      if !isEchoed, use == .part { state.trailers = .refused }
    }
  }

  /// Whether parts with trailers are not out of the question.
  package var mayHaveTrailers: Bool { state.withLock { !$0.isRefused && $0.trailers != .refused } }

  /// Whether a part may be sent with its checksum behind it. While it is unknown whether the server understands
  /// that, one part at a time is; `note` then tells the answer. Only a server that compares the checksums of
  /// parts is asked.
  package func beginTrailer() -> Bool {
    state.withLock { state in
      guard state.compared.contains(.part), !state.isRefused else { return false }
      switch state.trailers {
      case .understood: return true
      case .tried, .refused: return false
      case .unknown:
        state.trailers = .tried
        return true
      }
    }
  }

  /// Whether no part with a trailer was answered yet.
  package var isTryingTrailer: Bool { state.withLock { $0.trailers == .tried } }

  /// A refusal counts for ever, because the same server may be several of different age.
  package func note(_ verdict: TrailerVerdict) {
    state.withLock { state in
      switch verdict {
      case .refused: state.trailers = .refused
      case .understood where state.trailers == .tried: state.trailers = .understood
      case .undecided where state.trailers == .tried: state.trailers = .unknown
      case .understood, .undecided: break
      }
    }
  }

  /// Whether the server has shown that it compares checksums; false while this is unknown.
  package func isCompared(for use: Use) -> Bool { state.withLock { $0.compared.contains(use) } }
}
