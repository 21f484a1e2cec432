/// Decides when a waiting path may be tried.
struct Readiness {
  let policy: UploadSchedule.Policy
  let failures: [RelativePath: UploadSchedule.Failure]

  /// The longest pause between two checks for the writer of a file that a pass found open, with interval 0.
  private static let longestProbePause: Duration = .seconds(10)

  func isReady(
    _ path: RelativePath, _ entry: DirtyEntry, for trigger: UploadSchedule.Trigger, at now: Instant
  ) -> Bool {
    switch trigger {
    case .drain: return true
    case .flush:
      if case .open(_, .reported) = entry.writer { return false }
      return true
    case .tick: return readyTime(path, entry).map { $0 <= now } ?? false
    }
  }

  /// When to check a path again; nil if only an event can change its state. A path that counts as open is
  /// checked before it is ready, because it may have no writer whose close would be reported.
  ///
  /// If the watch reported the write, one check is enough, because the watch also reports that writer's
  /// close. If a pass found the file open, the close may be reported under another name of the file, so the
  /// check is repeated.
  func lookTime(_ path: RelativePath, _ entry: DirtyEntry) -> Instant? {
    let ready = readyTime(path, entry)
    switch entry.writer {
    case .unknown, .closed, .open(_, .reported(probed: .some)): return ready
    case .open(_, .reported(probed: nil)):
      return max(settledTime(entry), endOfBackOff(path) ?? settledTime(entry))
    case .open(let since, .found(let probed)):
      let pause = max(policy.settle, min((probed - since) / 4, Self.longestProbePause))
      return [ready, probed + pause].compactMap { $0 }.min()
    }
  }

  /// Whether a version has no writer and waits only for `settle`.
  func isWhole(_ path: RelativePath, _ entry: DirtyEntry, at now: Instant) -> Bool {
    if entry.isOpen { return false }
    return endOfBackOff(path).map { $0 <= now } ?? true
  }

  private func settledTime(_ entry: DirtyEntry) -> Instant {
    guard policy.interval == .zero else { return entry.firstChange }
    return min(entry.lastChange + policy.settle, entry.firstChange + policy.longestUnsettled)
  }

  /// When a tick takes the path; nil if the path waits for its close.
  private func readyTime(_ path: RelativePath, _ entry: DirtyEntry) -> Instant? {
    var ready = settledTime(entry)
    if case .open(let since, _) = entry.writer {
      guard policy.appendNames.contains(path) else { return nil }
      ready = max(ready, since + policy.openFileGrace)
    }
    return max(ready, endOfBackOff(path) ?? ready)
  }

  /// Whether the last try of a path did not fail: the path only changed, or had to wait.
  func hasNotFailed(_ path: RelativePath) -> Bool { failures[path].map { $0.count == 0 } ?? true }

  func endOfBackOff(_ path: RelativePath) -> Instant? { failures[path]?.notBefore }
}
