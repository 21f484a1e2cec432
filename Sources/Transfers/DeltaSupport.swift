import S3Client
import Synchronization

/// What is known of a bucket server's copies of parts, which deltas need. All uploads to the bucket share one
/// value, which lasts for the run.
package final class DeltaSupport: Sendable {
  /// Failures in a row after which no more deltas are tried. An answer that is lost now and then is no reason
  /// to send everything.
  static let mostFailures = 3

  private struct State {
    var isUsable = true
    var failures = 0

    /// - Returns: whether this failure is one too many.
    mutating func fail() -> Bool {
      failures += 1
      isUsable = failures < DeltaSupport.mostFailures
      return !isUsable
    }
  }

  private let state = Mutex(State())

  package init() {}

  package var isUsable: Bool { state.withLock { $0.isUsable } }

  func noteSuccess() { state.withLock { $0.failures = 0 } }

  /// - Returns: the reason, if the server turns out now not to copy parts.
  func note(_ failure: DeltaFailure) -> String? {
    state.withLock { state in
      guard state.isUsable else { return nil }
      switch failure {
      case .otherVersion, .unproved: return nil
      case .failed(let error): return state.fail() ? "S3 does not copy parts: \(error)" : nil
      case .refused(let error):
        state.isUsable = false
        return "S3 does not copy parts: \(error)"
      case .wrongCopy:
        state.isUsable = false
        return "a copied part does not have the content that was asked for"
      }
    }
  }

  /// Records that blocks of a file have the CRC-32s that were published, and none of them has its MD5. To find
  /// this out costs a reading each time.
  ///
  /// - Returns: the reason, if deltas end for it.
  func noteOtherTags() -> String? {
    state.withLock { state in
      guard state.isUsable, state.fail() else { return nil }
      return "the ETags of parts are not their MD5s, as with SSE-KMS"
    }
  }
}

/// Why a delta did not become an object. The file is then sent whole.
enum DeltaFailure: Error {
  /// The object is gone, or has another version: another program wrote it.
  case otherVersion
  /// The server does not copy parts, or the caller may not read the object.
  case refused(S3Error)
  /// This copy failed; the next one may succeed.
  case failed(S3Error)
  /// The server copied something else.
  case wrongCopy
  /// Nothing shows that the server copied what was asked for.
  case unproved

  /// Nil if the error is not one of the copy: the network or the multipart upload is gone, or the server asks
  /// for fewer requests.
  init?(_ error: S3Error) {
    switch error.status {
    case 0: return nil
    case _ where S3ErrorTriage.isThrottling(error): return nil
    case 404 where ["NoSuchUpload", "NoSuchBucket"].contains(error.code): return nil
    case 404, 412: self = .otherVersion
    case 400..<500, 501: self = .refused(error)
    default: self = .failed(error)
    }
  }
}
