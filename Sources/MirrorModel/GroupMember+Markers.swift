// When a commit marker may go.
extension GroupMember {
  /// What keeps a marker from S3.
  package enum Obstacle: Hashable, Sendable {
    /// This member's own data.
    case ownData
    /// The member has no slot yet.
    case absent(Int)
    /// The member has not said that what it closed before the marker is published.
    case behind(Int)
    /// Data that the marker speaks for may have been lost with the disk of an earlier attempt. The marker never goes; a later version of it may.
    case lost(Int)
  }

  /// Markers that wait, and for what.
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
    // Two members' ideas of the time are compared.
    let doubt = 2 * settings.uncertainty
    if let since = slot.speaksSince, marker.earliestClose <= since + doubt { return .lost(member) }
    // Whoever acted for the member at the marker's close held the claim then, so no earlier attempt has written to the slot since.
    if let watermark = slot.watermark, watermark > marker.latestClose + doubt { return nil }
    if let question = waiting.question, let answer = slot.answers[settings.index], answer >= question {
      return nil
    }
    // That holds for the end of an attempt only if it was read after the marker's close, and read as it is.
    let isFresh = settings.visibility == .immediate && waiting.reading == .done
    return slot.state == .ended && isFresh ? nil : .behind(member)
  }

  /// Puts a question to the others, where a marker waits for them and they have not been asked since its close.
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
