// Decides when a commit marker may be published.
extension GroupMember {
  /// What holds a marker back.
  package enum Obstacle: Hashable, Sendable {
    /// This member's own data.
    case ownData
    /// The member has no slot yet.
    case absent(Int)
    /// The member has not confirmed that everything it closed before the marker is published.
    case behind(Int)
    /// Data that the marker names may have been lost with the disk of an earlier attempt. This version of the
    /// marker is never published; a later version may be.
    case lost(Int)
  }

  /// The waiting markers, and what each waits for.
  package var waiting: [RelativePath: Obstacle] {
    Dictionary(
      markers.compactMap { waiting in obstacle(to: waiting).map { (waiting.marker.path, $0) } },
      uniquingKeysWith: { $1 })
  }

  func obstacle(to waiting: WaitingMarker) -> Obstacle? {
    guard waiting.pass == .done else { return .ownData }
    for member in 0..<settings.count where member != settings.index {
      if let obstacle = obstacle(to: waiting, of: member) { return obstacle }
    }
    return nil
  }

  private func obstacle(to waiting: WaitingMarker, of member: Int) -> Obstacle? {
    let marker = waiting.marker
    guard let slot = others[member] else { return .absent(member) }
    // The comparison involves the clocks of two members.
    let doubt = 2 * settings.uncertainty
    if let since = slot.speaksSince, marker.earliestClose <= since + doubt { return .lost(member) }
    // The attempt that acted for the member when the marker was closed held the claim then. So no earlier
    // attempt has written to the slot since.
    if let watermark = slot.watermark, watermark > marker.latestClose + doubt { return nil }
    if let question = waiting.question, let answer = slot.answers[settings.index], answer >= question {
      return nil
    }
    // An ended attempt counts only if the slot was read after the marker's close, and if that read shows the
    // current state.
    let isFresh = settings.visibility == .immediate && waiting.reading == .done
    return slot.state == .ended && isFresh ? nil : .behind(member)
  }

  /// Asks the other members a question if a marker waits for them and they were not asked since its close.
  ///
  /// - Returns: whether the slot has a new question.
  mutating func ask() -> Bool {
    guard let generation = claim?.generation else { return false }
    var isNew = false
    for index in markers.indices where markers[index].question == nil {
      guard case .behind? = obstacle(to: markers[index]) else { continue }
      if !isNew { lastQuestion += 1 }
      isNew = true
      markers[index].question = GroupQuestion(generation: generation, number: lastQuestion)
    }
    if isNew { slot?.question = GroupQuestion(generation: generation, number: lastQuestion) }
    return isNew
  }
}
