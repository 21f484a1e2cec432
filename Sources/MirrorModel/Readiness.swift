/// When what waits may be tried.
struct Readiness {
  let policy: UploadSchedule.Policy
  let failures: [RelativePath: UploadSchedule.Failure]

  /// The longest pause between two looks for the writer of a file that a pass found open, where no tick paces them.
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

  /// When to look at a path: at what counts as open before it is ready, since perhaps no writer is there who could close
  /// it. Nil where only an event can change anything.
  ///
  /// One look is enough where the watch told of the write, because it tells of that writer's close too. The close of what
  /// a pass found open may bear another name of the file, so its writer is looked for again and again.
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

  /// Whether a version waits that nobody is writing, and for nothing but to settle.
  func isWhole(_ path: RelativePath, _ entry: DirtyEntry, at now: Instant) -> Bool {
    if entry.isOpen { return false }
    return endOfBackOff(path).map { $0 <= now } ?? true
  }

  private func settledTime(_ entry: DirtyEntry) -> Instant {
    guard policy.interval == .zero else { return entry.firstChange }
    return min(entry.lastChange + policy.settle, entry.firstChange + policy.longestUnsettled)
  }

  /// When a tick takes the path; nil where it waits for its close.
  private func readyTime(_ path: RelativePath, _ entry: DirtyEntry) -> Instant? {
    var ready = settledTime(entry)
    if case .open(let since, _) = entry.writer {
      guard policy.appendNames.contains(path) else { return nil }
      ready = max(ready, since + policy.openFileGrace)
    }
    return max(ready, endOfBackOff(path) ?? ready)
  }

  func endOfBackOff(_ path: RelativePath) -> Instant? { failures[path]?.notBefore }
}
