// Facts that a member receives.
extension GroupMember {
  package enum WriteAnswer: Hashable, Sendable {
    case accepted(SlotVersion)
    /// The slot has another version (412), or exists although it should not.
    case refused
    /// The answer is missing, so the write may or may not have succeeded.
    case missing
  }

  package enum PassAnswer: Hashable, Sendable {
    /// Everything that was closed before the pass began is on S3.
    case published
    /// Some files are unpublished, and S3 has answered every request.
    case unfinished
    /// A change may still arrive.
    case inDoubt
  }

  /// Records that a file was closed here.
  package mutating func noteChange() { isDirty = true }

  /// Records that a marker is not to be published any more: its file is gone.
  package mutating func withdraw(_ path: RelativePath) { markers.removeAll { $0.marker.path == path } }

  /// Records that a marker was closed here. It replaces an earlier version that still waits.
  package mutating func note(_ marker: GroupMarker, at now: Now) {
    markers.removeAll { $0.marker.path == marker.path }
    markers.append(WaitingMarker(marker: marker, since: now.steady))
    isDirty = true
  }

  /// Requests the end: publish everything, then give up the slot.
  package mutating func requestEnd() {
    isEnding = true
    isDirty = true
  }

  // MARK: Slots

  /// - Parameter slots: the slots that were read; nil if the read failed.
  package mutating func note(slots: [Int: (slot: GroupSlot, version: SlotVersion)]?, at now: Now) {
    guard case .reading(let since) = current else { return }
    current = .none
    advance(\.reading, from: .begun, to: slots == nil ? .owed : .done)
    guard let slots else { return }
    readSince = since.steady
    for (member, read) in slots where member != settings.index { others[member] = read.slot }
    let own = slots[settings.index]
    if phase == .entering {
      enter(over: own, since: since, at: now)
    } else if let own {
      confirm(own, since: since)
    }
  }

  private mutating func enter(
    over own: (slot: GroupSlot, version: SlotVersion)?, since: Now, at now: Now
  ) {
    isUnsure = false
    if let own, own.slot.claim.attempt == attempt {
      // The claim succeeded, but its answer was lost.
      (written, version) = (own.slot, own.version)
      stand(at: now)
      // A read of an old state does not show later claims of the slot.
      confirmed = settings.visibility == .immediate ? since.steady : nil
      return
    }
    if let own, own.slot.claim.order > order {
      phase = .left(.fenced(own.slot.claim))
      return
    }
    version = own?.version
    slot = GroupSlot(
      claim: GroupClaim(
        generation: (own?.slot.claim.generation ?? 0) + 1, attempt: attempt, order: order, tree: tree))
    settlement = 0
    guard let earlier = own?.slot else { return }
    // If the earlier attempt had another disk, what it had not yet published is lost.
    let isWhole = earlier.state == .ended || earlier.claim.tree == tree
    slot?.speaksSince = isWhole ? earlier.speaksSince : since.server
    settlement = settlement(over: earlier, since: since)
  }

  /// How long changes of the earlier attempt may still arrive.
  private func settlement(over earlier: GroupSlot, since: Now) -> Int64 {
    let doubt = 2 * settings.uncertainty
    let isSame = earlier.claim.tree == tree
    let longest =
      (isSame ? settings.succession : nil) ?? settings.takeover
      ?? settings.lease + settings.validity + doubt
    guard earlier.state == .ended else { return longest }
    return earlier.doubtUntil.map { min(longest, max(0, $0 - since.server + doubt)) } ?? 0
  }

  /// Records that the claim succeeded. The earlier attempt may have confirmed its claim shortly before, and
  /// its changes may still arrive.
  private mutating func stand(at now: Now) {
    phase = settlement == 0 ? .running : .settling(until: now.steady + settlement)
  }

  private mutating func confirm(_ own: (slot: GroupSlot, version: SlotVersion), since: Now) {
    guard own.slot.claim.attempt == attempt else {
      // A read of an old state may show the attempt that this one replaced.
      if let claim, own.slot.claim.generation >= claim.generation { phase = .left(.fenced(own.slot.claim)) }
      return
    }
    if isUnsure {
      // If reads may show an old state, the next conditional write shows whether this version is the current
      // one.
      isUnsure = false
      (written, version) = (own.slot, own.version)
    }
  }

  package mutating func note(write answer: WriteAnswer, at now: Now) {
    guard case .writing(let slot, let since) = current else { return }
    current = .none
    switch answer {
    case .accepted(let version):
      self.version = version
      written = slot
      if phase == .entering { stand(at: now) }
      confirmed = since.steady
      if slot.state == .ended { phase = .left(.ended) }
    case .refused, .missing:
      isUnsure = true
    }
  }

  // MARK: Passes

  package mutating func note(pass answer: PassAnswer, at now: Now) {
    guard case .passing(let pass) = current else { return }
    current = .none
    switch answer {
    case .published where settings.visibility == .delayed: current = .looking(pass)
    case .published: take(pass)
    case .unfinished, .inDoubt:
      isDirty = true
      advance(\.pass, from: .begun, to: .owed)
      if answer == .inDoubt { noteDoubt(at: now) }
    }
  }

  /// Records whether everything that the pass published is visible by now. Used where reads may show an old
  /// state.
  package mutating func note(visible isVisible: Bool) {
    guard case .looking(let pass) = current, isVisible else { return }
    current = .none
    take(pass)
  }

  private mutating func take(_ pass: Pass) {
    advance(\.pass, from: .begun, to: .done)
    passedSince = pass.start.steady
    slot?.watermark = pass.start.server
    for (member, question) in pass.answers { slot?.answers[member] = question }
  }

  /// Records that the answer to a change is missing, so the change may still arrive.
  package mutating func noteDoubt(at now: Now) {
    doubtUntil = now.steady + settings.validity + 2 * settings.uncertainty
  }

  package mutating func note(publication answer: PassAnswer, at now: Now) {
    guard case .publishing(let path) = current else { return }
    current = .none
    switch answer {
    case .published: markers.removeAll { $0.marker.path == path }
    case .unfinished: break
    case .inDoubt: noteDoubt(at: now)
    }
  }
}
