import Synchronization
import TestSupport

@testable import S3Mirror

/// What an observer heard.
final class Notices: Sendable {
  private let state = Mutex<[MirrorEvent]>([])

  func note(_ event: MirrorEvent) { state.withLock { $0.append(event) } }

  var heard: [MirrorEvent] { state.withLock { $0 } }

  var texts: [String] { heard.compactMap(\.noticeText) }

  var failedPaths: [String] {
    heard.compactMap { if case .failed(_, _, let path, _) = $0 { path } else { nil } }
  }

  var passes: [PassSummary] { heard.compactMap(\.summary) }
}

extension MirrorEvent {
  var noticeText: String? {
    guard case .notice(let text) = self else { return nil }
    return text
  }

  var summary: PassSummary? {
    guard case .pass(let summary) = self else { return nil }
    return summary
  }
}

extension FakeObjectStore {
  func text(_ key: String) -> String? { bytes(key).map { String(decoding: $0, as: UTF8.self) } }
}
