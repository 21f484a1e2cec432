import MirrorModel
import Synchronization
import Testing

@testable import LocalTree
@testable import S3Mirror

/// A watch without a kernel: it reports the events that a test gives it.
final class ReportedWatch: TreeWatch {
  private struct State {
    var isExcluded: @Sendable (RelativePath, EntryKind) -> Bool = { _, _ in false }
    var report: @Sendable ([WatchEvent]) -> Void = { _ in }
    var mode = Mode.reporting
    /// The events that wait for the next fence.
    var withheld: [WatchEvent] = []
    var whenFenced: @Sendable () async throws -> Void = {}
  }

  private enum Mode { case reporting, withholding, discarding }

  private let state = Mutex(State())

  /// Reports to this lane from now on.
  func connect(
    _ isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool,
    _ report: @escaping @Sendable ([WatchEvent]) -> Void
  ) -> ReportedWatch {
    state.withLock { state in
      state.isExcluded = isExcluded
      state.report = report
    }
    return self
  }

  func report(_ events: [WatchEvent]) {
    let report = state.withLock { state -> (@Sendable () -> Void)? in
      switch state.mode {
      case .discarding: return nil
      case .withholding:
        state.withheld += events
        return nil
      case .reporting:
        return { [report = state.report, isExcluded = state.isExcluded] in
          report(events.compactMap { $0.included(by: isExcluded) })
        }
      }
    }
    report?()
  }

  /// Discards the events of a change, as of a directory that has no watch yet.
  func discard(_ change: () throws -> Void) rethrows { try during(.discarding, change) }

  /// Keeps the events of a change until the next fence.
  func withhold(_ change: () throws -> Void) rethrows { try during(.withholding, change) }

  /// Loses the events of a change, and reports the loss.
  func lose(_ change: () throws -> Void) rethrows {
    defer { report([.rescan(.root, .queueOverflow)]) }
    try discard(change)
  }

  private func during(_ mode: Mode, _ change: () throws -> Void) rethrows {
    state.withLock { $0.mode = mode }
    defer { state.withLock { $0.mode = .reporting } }
    try change()
  }

  /// Sets what happens when the lane asks for every event until now.
  func whenFenced(_ act: @escaping @Sendable () async throws -> Void) {
    state.withLock { $0.whenFenced = act }
  }

  func start() async throws {}

  func fence() async {
    let (act, withheld) = state.withLock { state in
      defer { state.withheld = [] }
      return (state.whenFenced, state.withheld)
    }
    do { try await act() } catch { Issue.record(error) }
    report(withheld)
  }

  func answer() async {}
  func retryUnwatched() async {}
  func revisit(_ places: [RelativePath]) async { report(places.map { .rescan($0, .remounted) }) }
  func stop() async {}
}

extension WatchEvent {
  /// The event as a watch reports it that leaves some names out; nil if both names of the event are left out.
  fileprivate func included(by isExcluded: (RelativePath, EntryKind) -> Bool) -> WatchEvent? {
    switch self {
    case .created(let path), .linked(let path), .modified(let path), .closed(let path), .attributes(let path),
      .deleted(let path), .found(let path):
      return isExcluded(path, .file) ? nil : self
    case .renamed(let from, let to):
      switch (isExcluded(from, .file), isExcluded(to, .file)) {
      case (false, false): return self
      case (false, true): return .deleted(from)
      case (true, false): return .found(to)
      case (true, true): return nil
      }
    case .directoryRenamed(let from, let to):
      switch (isExcluded(from, .directory), isExcluded(to, .directory)) {
      case (false, false): return self
      case (false, true): return .directoryMovedAway(from)
      case (true, false): return .directoryAppeared(to)
      case (true, true): return nil
      }
    case .directoryAppeared(let path), .directoryDeleted(let path), .directoryMovedAway(let path):
      return isExcluded(path, .directory) ? nil : self
    case .undecodable, .rescan, .rootLost: return self
    }
  }
}
