/// One attempt of a group's member, as a value: what it may change on S3, and when. Nothing drives it yet.
///
/// Facts go in (`note`), actions come out (`next`), one at a time. The rules:
/// - An attempt claims its slot by a write under a condition, and begins a change only as long as its lease runs. Whoever finds a later
///   claim changes nothing more.
/// - A claim over one that has not ended waits until no change of the other can arrive any more: the other's lease, and the time for
///   which the server takes a request that was signed in it.
/// - A marker goes when every other member has said, since the marker's close, that everything is published which it had closed by then;
///   and never if a member's data may have been lost with another disk.
package struct GroupMember: Hashable, Sendable {
  package struct Settings: Hashable, Sendable {
    /// From 0.
    package var index: Int
    package var count: Int
    /// How far a member's idea of the server's time may be off, in nanoseconds.
    package var uncertainty: Int64
    /// In nanoseconds.
    package var lease: Int64
    /// For how long after its signature the server begins a request, in nanoseconds.
    package var validity: Int64
    /// From one look at the others to the next, where a marker waits here or may wait elsewhere, in nanoseconds.
    package var readInterval: Int64
    /// The same for a member at rest.
    package var restInterval: Int64
    /// For how long after a pass another member's marker is expected, in nanoseconds.
    package var attention: Int64
    /// How long a marker waits for silent members until the end gives it up, in nanoseconds.
    package var timeout: Int64
    package var visibility = Visibility.immediate

    package init(
      index: Int, count: Int, uncertainty: Int64, lease: Int64, validity: Int64, readInterval: Int64,
      restInterval: Int64, attention: Int64, timeout: Int64
    ) {
      self.index = index
      self.count = count
      self.uncertainty = uncertainty
      self.lease = lease
      self.validity = validity
      self.readInterval = readInterval
      self.restInterval = restInterval
      self.attention = attention
      self.timeout = timeout
    }
  }

  /// When what was written can be read. Conditions are always judged by what is there.
  package enum Visibility: Hashable, Sendable {
    /// At once, as S3 promises (AWS, "Amazon S3 data consistency model").
    case immediate
    /// Some time later: readings may be of the past.
    case delayed
  }

  /// The clocks of the machine at one moment, in nanoseconds.
  package struct Now: Hashable, Sendable {
    /// A clock that is never set.
    package var steady: Int64
    package var server: ServerTime

    package init(steady: Int64, server: ServerTime) {
      self.steady = steady
      self.server = server
    }
  }

  package enum Action: Hashable, Sendable {
    /// Read all slots of the group.
    case read
    /// Write the member's slot, if it still has this version; nil if there must be none.
    case write(GroupSlot, over: SlotVersion?)
    /// Publish everything that is closed. No change is begun after this moment of the steady clock.
    case pass(until: Int64)
    /// Read whether what the pass published can be seen.
    case look
    case publish(RelativePath, until: Int64)
    case rest
    case leave(Departure)
  }

  package enum Departure: Hashable, Sendable {
    case ended
    /// Another attempt acts for the member.
    case fenced(GroupClaim)
  }

  enum Phase: Hashable {
    case entering
    /// The claim of another attempt may still have changes under way, until this moment of the steady clock.
    case settling(until: Int64)
    case running
    case left(Departure)
  }

  enum Current: Hashable {
    case none
    case reading(since: Now)
    case writing(GroupSlot, since: Now)
    case passing(Pass)
    case looking(Pass)
    case publishing(RelativePath)
  }

  /// What a pass will have said when everything is published.
  struct Pass: Hashable {
    var start: Now
    var answers: [Int: GroupQuestion]
  }

  /// How far something is that has to begin after a marker's close. Clocks do not tell: two things may fall into one of their steps.
  enum Progress: Hashable {
    case owed
    case begun
    case done
  }

  struct WaitingMarker: Hashable {
    var marker: GroupMarker
    var since: Int64
    /// A reading of the others' slots.
    var reading = Progress.owed
    /// A pass over this member's own data.
    var pass = Progress.owed
    /// Nil until the others are asked.
    var question: GroupQuestion?
  }

  let settings: Settings
  let attempt: UInt64
  let order: Int64
  let tree: String

  var phase = Phase.entering
  var current = Current.none
  /// As it is to be on S3.
  var slot: GroupSlot?
  /// As it is there, as far as is known.
  var written: GroupSlot?
  var version: SlotVersion?
  /// A write's answer is missing, or the slot has another version than was thought: it has to be read.
  var isUnsure = false
  /// How long to settle once the claim stands.
  var settlement: Int64 = 0
  /// When the request was sent that last confirmed the claim, by the steady clock.
  var confirmed: Int64?

  /// The others' slots, and when the request was sent that read them.
  var others: [Int: GroupSlot] = [:]
  var readSince: Int64?

  var isDirty = true
  /// When the last pass began that published everything.
  var passedSince: Int64?
  /// Until when a change may still arrive whose answer is missing.
  var doubtUntil: Int64?
  var markers: [WaitingMarker] = []
  var lastQuestion = 0
  var isEnding = false

  /// - Parameters:
  ///   - attempt: a random number.
  ///   - order: see `GroupClaim`.
  ///   - tree: names the mirrored directory, on whatever machine.
  package init(_ settings: Settings, attempt: UInt64, order: Int64, tree: String) {
    self.settings = settings
    self.attempt = attempt
    self.order = order
    self.tree = tree
  }

  /// Whether changes may begin, as far as the claim goes.
  package var isActive: Bool { phase == .running }

  /// Why the attempt changes nothing more; nil as long as it may.
  package var departure: Departure? {
    if case .left(let departure) = phase { departure } else { nil }
  }

  /// Whether the member has a claim, so that its programs may begin to write.
  package var hasClaim: Bool {
    switch phase {
    case .settling, .running: true
    case .entering, .left: false
    }
  }

  var claim: GroupClaim? { slot?.claim }

  /// Of the claim; 0 before one was tried.
  package var generation: Int { claim?.generation ?? 0 }

  /// Whether a delete may take an object, under the condition that it is still the version that was looked at.
  ///
  /// - Parameter member: for whom the object was written, in whatever attempt; nil for an object from outside of the group.
  package func mayDelete(objectOf member: Int?) -> Bool { member == settings.index }

  // MARK: Out

  package mutating func next(at now: Now) -> Action {
    if case .looking = current { return .look }
    guard current == .none else { return .rest }
    if case .settling(let until) = phase, now.steady > until { phase = .running }
    switch phase {
    case .left(let departure): return .leave(departure)
    case .entering:
      guard let slot, !isUnsure else { return read(at: now) }
      return write(slot, at: now)
    case .settling:
      // A claim that nobody contests needs no more than to be remembered.
      return isUnsure ? read(at: now) : .rest
    case .running: return nextWhileRunning(at: now)
    }
  }

  private mutating func nextWhileRunning(at now: Now) -> Action {
    guard let slot, !isUnsure else { return read(at: now) }
    if slot != written { return write(slot, at: now) }
    if needsPass {
      guard let until = leaseEnd(at: now) else { return write(slot, at: now) }
      advance(\.pass, from: .owed, to: .begun)
      current = .passing(Pass(start: now, answers: others.compactMapValues(\.question)))
      isDirty = false
      return .pass(until: until)
    }
    if let open = markers.first(where: { obstacle(to: $0) == nil }) {
      guard let until = leaseEnd(at: now) else { return write(slot, at: now) }
      current = .publishing(open.marker.path)
      return .publish(open.marker.path, until: until)
    }
    if ask() { return next(at: now) }
    let isOver = markers.allSatisfy { now.steady - $0.since > settings.timeout }
    if isEnding, isOver {
      if let doubtUntil, now.steady <= doubtUntil { return .rest }
      self.slot?.state = .ended
      return next(at: now)
    }
    let isAttentive = !markers.isEmpty || passedSince.map { now.steady - $0 <= settings.attention } ?? false
    return readNow(at: now, after: isAttentive ? settings.readInterval : settings.restInterval)
  }

  /// Until when changes may begin; nil if the claim has to be confirmed first.
  private func leaseEnd(at now: Now) -> Int64? {
    guard let confirmed, now.steady - confirmed <= settings.lease else { return nil }
    return confirmed + settings.lease
  }

  private mutating func write(_ slot: GroupSlot, at now: Now) -> Action {
    current = .writing(slot, since: now)
    return .write(slot, over: version)
  }

  private mutating func read(at now: Now) -> Action {
    advance(\.reading, from: .owed, to: .begun)
    current = .reading(since: now)
    return .read
  }

  mutating func advance(_ part: WritableKeyPath<WaitingMarker, Progress>, from: Progress, to: Progress) {
    for index in markers.indices where markers[index][keyPath: part] == from {
      markers[index][keyPath: part] = to
    }
  }

  /// - Parameter interval: from the last reading.
  private mutating func readNow(at now: Now, after interval: Int64) -> Action {
    if let readSince, now.steady - readSince < interval { return .rest }
    return read(at: now)
  }

  /// A pass is due for changes here, for a marker's own data, and for the question of another member.
  private var needsPass: Bool {
    if isDirty || markers.contains(where: { $0.pass == .owed }) { return true }
    return others.contains { member, other in
      guard let question = other.question else { return false }
      return slot?.answers[member].map { $0 < question } ?? true
    }
  }
}
