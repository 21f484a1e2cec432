// New directories that wait until they are complete, and in-progress marks.
extension UploadSchedule {
  /// Whether a tick is due only for the units that the last tick left.
  func isUnitLook(at now: Instant) -> Bool {
    guard let interval = policy.interval, interval > .zero, !isRecovered, nextProbe == nil else {
      return false
    }
    return nextTick.map { $0 > now } ?? false
  }

  /// - Returns: units that waited until now and are complete.
  mutating func lookAtUnits(for trigger: Trigger, at now: Instant) -> Set<RelativePath> {
    let landed = landedUnits
    landedUnits = []
    let earlier = held.units
    held = trigger == .tick ? UnitHold(dirty, policy: policy, after: held, at: now) : UnitHold()
    unitLook = held.isEmpty ? nil : now + policy.unitPause
    return earlier.subtracting(held.units).union(landed)
  }

  /// Has what waited for a flight go at once, not at the next tick: until its marker comes, a unit is there by half.
  mutating func noteLanded(_ path: RelativePath, of unit: RelativePath?, at now: Instant) {
    guard let interval = policy.interval, interval > .zero else { return }
    if let unit, !dirty.inFlight.values.contains(where: { $0.unit == unit }) { landedUnits.insert(unit) }
    let order = policy.commitOrder
    let isFreed = dirty.entries.contains { waiting, _ in
      guard waiting != path else { return false }
      if landedUnits.contains(where: { waiting.isWithin($0) }) { return true }
      return order.isMarker(waiting) && path.isWithin(waiting.parent)
        && order.obstacle(to: waiting, among: dirty.inFlight.filter(\.value.holdsMarkers).keys) == nil
    }
    if isFreed { unitLook = now }
  }

  /// Whether a dirty in-progress mark names the path.
  package func isUnderWaitingMark(_ path: RelativePath) -> Bool {
    let marks = policy.commitOrder.marks
    return dirty.entries.contains { mark, entry in
      (!entry.isGone || entry.isBriefMark) && marks.contains(mark) && marks.speaks(mark, for: path)
    }
  }
}
