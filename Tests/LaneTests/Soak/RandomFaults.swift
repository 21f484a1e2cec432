import S3Client
import Synchronization
import TestSupport

/// A service that has its moods: one request in fifty fails, unless said otherwise, some of them after they took effect.
final class RandomFaults: Sendable {
  enum Kind: String, Sendable, CaseIterable, CustomStringConvertible {
    case internalError = "InternalError"
    case slowDown = "SlowDown"
    /// The connection broke before the answer came.
    case answerLost = "Interrupted"

    var description: String { rawValue }
  }

  private struct State {
    var random: SplitMix64
    var counts: [Kind: Int] = [:]
  }

  private let oneIn: Int
  private let state: Mutex<State>

  /// - Parameter oneIn: of so many requests one fails before it takes effect, and another one after it.
  init(seed: UInt64, oneIn: Int = 100) {
    self.oneIn = oneIn
    state = Mutex(State(random: SplitMix64(seed: seed)))
  }

  /// How many requests failed, and how.
  var counts: [Kind: Int] { state.withLock { $0.counts } }

  func fault(_ call: FakeObjectStore.Call, _ moment: FakeObjectStore.Moment) -> (any Error)? {
    let kind: Kind? = state.withLock { state in
      let kind: Kind? =
        switch (moment, state.random.below(2 * oneIn)) {
        case (.beforeEffect, 0): .internalError
        case (.beforeEffect, 1): .slowDown
        case (.afterEffect, 0...1): .answerLost
        default: nil
        }
      if let kind { state.counts[kind, default: 0] += 1 }
      return kind
    }
    guard let kind else { return nil }
    let status =
      switch kind {
      case .internalError: 500
      case .slowDown: 503
      case .answerLost: 0
      }
    return S3Error(
      operation: call.operation, bucket: "bucket", key: call.key, status: status, code: kind.rawValue,
      message: "at random", isRetryable: true, network: kind == .answerLost ? .interrupted : nil)
  }
}
