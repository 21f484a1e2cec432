// Single paths that are tried while the service seems not to answer.
extension UploadSchedule {
  /// The time between two tries while the service does not answer. The attempts of each try add some seconds,
  /// so the end of an outage is noticed within about twice this time.
  static let probePause: Duration = .seconds(5)
  /// How many probes run at one time. More than one, because a path may have no answer while the service
  /// answers others.
  static let mostProbes = 4

  /// Tries one path, to find out whether the service answers again. If no path would send a request, tries
  /// the directories.
  ///
  /// The path with the fewest failures is chosen, and of those the path that has waited longest: the service
  /// may work and still refuse some paths.
  mutating func beginProbe(at now: Instant) -> Pass? {
    var chosen: (path: RelativePath, entry: DirtyEntry, failures: Int)?
    for (path, entry) in dirty.entries where mayProbe(path, entry) {
      let count = failures[path]?.count ?? 0
      if let best = chosen,
        (best.failures, best.entry.firstChange, best.path) < (count, entry.firstChange, path)
      {
        continue
      }
      chosen = (path, entry, count)
    }
    let path = chosen?.path
    let batch = dirty.take { candidate, _ in
      candidate == path
    } directories: { _ in
      path == nil
    }
    guard let pass = started(.tick, batch, newest: chosen?.entry.lastChange) else {
      nextProbe = nil
      return nil
    }
    if let path { probes.insert(path) }
    nextProbe = now + Self.probePause
    return pass
  }

  /// Whether a publication of the path would send a request.
  private func mayProbe(_ path: RelativePath, _ entry: DirtyEntry) -> Bool {
    if entry.isOpen || entry.isGone || entry.purpose == .undecodable { return false }
    return !dirty.isInFlight(path, entry)
  }

  /// When a path that has not failed is due. Such a path is tried even while the service seems not to answer,
  /// because the lack of answers may concern some paths only.
  var freshTime: Instant? {
    guard probes.count < Self.mostProbes else { return nil }
    let fresh = dirty.entries.lazy.filter { failures[$0.key] == nil && mayProbe($0.key, $0.value) }
    guard policy.interval == .zero else { return fresh.isEmpty ? nil : nextTick }
    let readiness = Readiness(policy: policy, failures: failures)
    return fresh.compactMap { readiness.lookTime($0.key, $0.value) }.min()
  }
}
