/// One attempt of a group's member, as a value: which changes it may make on S3, and when.
///
/// Facts go in (`note`) and actions come out (`next`), one at a time. The rules:
/// - An attempt claims its slot by a conditional write. It begins changes only while its lease runs. An
///   attempt that finds a later claim makes no further changes.
/// - A claim over an attempt that has not ended waits until no change of that attempt can arrive any more.
///   This takes the attempt's lease plus the time for which the server accepts a request that was signed
///   during the lease.
/// - A marker is published when every other member has confirmed, after the marker's close, that everything
///   it had closed by then is published. The marker is never published if a member's data may have been lost
///   with another disk.
package struct GroupMember: Hashable, Sendable {
  package struct Settings: Hashable, Sendable {
    /// From 0.
    package var index: Int
    package var count: Int
    /// The largest error of a member's estimate of the server's time, in nanoseconds.
    package var uncertainty: Int64
    /// In nanoseconds.
    package var lease: Int64
    /// How long after its signature the server accepts a request, in nanoseconds.
    package var validity: Int64
    /// The time between two reads of the other slots while a marker waits here or may wait elsewhere, in
    /// nanoseconds.
    package var readInterval: Int64
    /// The time between two reads for an idle member, in nanoseconds.
    package var restInterval: Int64
    /// How long after a pass a marker of another member is expected, in nanoseconds.
    package var attention: Int64
    /// How long a marker waits for silent members before the end gives it up, in nanoseconds.
    package var timeout: Int64
    package var visibility = Visibility.immediate
    /// How long a claim waits over an attempt on the same directory whose process is known to have ended, in
    /// nanoseconds. Nil if it is not known: such a claim waits like any other.
    package var succession: Int64?
    /// How long a claim waits over any other attempt that has not ended, in nanoseconds. Nil waits until none of
    /// that attempt's requests can arrive any more.
    package var takeover: Int64?

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

  /// When a written object becomes visible to reads. Conditional writes always compare with the current
  /// state.
  package enum Visibility: Hashable, Sendable {
    /// At once, as S3 promises (AWS, "Amazon S3 data consistency model").
    case immediate
    /// Some time later. A read may show an old state.
    case delayed
  }

  /// The clocks of the machine at one moment, in nanoseconds.
  package struct Now: Hashable, Sendable {
    /// A monotonic clock.
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
    /// Write the member's slot under the condition that it still has this version, or that it does not exist
    /// if nil.
    case write(GroupSlot, over: SlotVersion?)
    /// Publish everything that is closed. Begin no change after this moment of the steady clock.
    case pass(until: Int64)
    /// Read whether the objects that the pass published are visible.
    case look
    case publish(RelativePath, until: Int64)
    case rest
    case leave(Departure)
  }

  package enum Departure: Hashable, Sendable {
    case ended
    /// Another attempt has claimed the slot.
    case fenced(GroupClaim)
  }

  enum Phase: Hashable {
    case entering
    /// Changes of the replaced attempt may still arrive, until this moment of the steady clock.
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

  /// What a pass confirms once everything is published.
  struct Pass: Hashable {
    var start: Now
    var answers: [Int: GroupQuestion]
  }

  /// The progress of a step that must begin after a marker's close. Times cannot show this order, because two
  /// events may fall into one step of a clock.
  enum Progress: Hashable {
    case owed
    case begun
    case done
  }

  struct WaitingMarker: Hashable {
    var marker: GroupMarker
    var since: Int64
    /// A read of the others' slots.
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
  /// The slot as it should be on S3.
  var slot: GroupSlot?
  /// The slot as it is on S3, as far as is known.
  var written: GroupSlot?
  var version: SlotVersion?
  /// The answer of a write is missing, or the slot has another version than expected. The slot must be read.
  var isUnsure = false
  /// How long to wait after the claim succeeded.
  var settlement: Int64 = 0
  /// When the request that last confirmed the claim was sent, by the steady clock.
  var confirmed: Int64?

  /// The others' slots, and when the request that read them was sent.
  var others: [Int: GroupSlot] = [:]
  var readSince: Int64?

  var isDirty = true
  /// When the last pass that published everything began.
  var passedSince: Int64?
  /// Until when a change whose answer is missing may still arrive.
  var doubtUntil: Int64?
  var markers: [WaitingMarker] = []
  var lastQuestion = 0
  var isEnding = false

  /// - Parameters:
  ///   - attempt: a random number.
  ///   - order: see `GroupClaim`.
  ///   - tree: the name of the mirrored directory, the same on every machine.
  package init(_ settings: Settings, attempt: UInt64, order: Int64, tree: String) {
    self.settings = settings
    self.attempt = attempt
    self.order = order
    self.tree = tree
  }

  /// Whether the claim allows changes to begin.
  package var isActive: Bool { phase == .running }

  /// Why the attempt makes no further changes; nil while it may make changes.
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

  /// The generation of the claim; 0 before the first claim.
  package var generation: Int { claim?.generation ?? 0 }

  /// What the member has on S3, as far as is known.
  package var slotOnS3: GroupSlot? { written }

  /// The slots of the other members, as they were read last.
  package var slotsOfOthers: [Int: GroupSlot] { others }

  /// A marker that waits.
  package struct Wait: Hashable, Sendable {
    package var path: RelativePath
    /// Nil if the marker can be published.
    package var obstacle: Obstacle?
    /// Whether it has waited longer than the timeout, or will never be published.
    package var isHopeless: Bool
  }

  /// The waiting markers, in the order in which they were noted.
  package func waits(at now: Now) -> [Wait] {
    markers.map { waiting in
      Wait(
        path: waiting.marker.path, obstacle: obstacle(to: waiting),
        isHopeless: isHopeless(waiting, at: now))
    }
  }

  private func isHopeless(_ waiting: WaitingMarker, at now: Now) -> Bool {
    if now.steady - waiting.since > settings.timeout { return true }
    if case .lost? = obstacle(to: waiting) { return true }
    return false
  }

  /// Whether this member may delete an object, under the condition that the object still has the version that
  /// was read.
  ///
  /// - Parameter member: the member for which the object was written, by any of its attempts; nil for an
  ///   object from outside the group.
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
      // The claim can wait without any request.
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
    if isEnding, markers.allSatisfy({ isHopeless($0, at: now) }) {
      self.slot?.state = .ended
      // A lost change may still arrive, so the next attempt has to wait. The other members need not.
      if let doubtUntil, now.steady <= doubtUntil {
        self.slot?.doubtUntil = now.server + doubtUntil - now.steady
      }
      return next(at: now)
    }
    return readNow(at: now, after: timeBetweenReads(at: now))
  }

  private func timeBetweenReads(at now: Now) -> Int64 {
    let isAttentive = !markers.isEmpty || passedSince.map { now.steady - $0 <= settings.attention } ?? false
    return isAttentive ? settings.readInterval : settings.restInterval
  }

  /// When the member must be asked for its next action if no fact comes earlier, by the steady clock; nil if it
  /// waits for a fact.
  package func wakeTime(at now: Now) -> Int64? {
    guard current == .none else { return nil }
    switch phase {
    case .entering, .left: return nil
    case .settling(let until): return until + 1
    case .running:
      let reading = readSince.map { $0 + timeBetweenReads(at: now) } ?? now.steady
      let ends = isEnding ? markers.map { $0.since + settings.timeout + 1 } : []
      return ([reading] + ends.filter { $0 > now.steady }).min()
    }
  }

  /// Whether changes may begin now.
  package func mayChange(at now: Now) -> Bool { isActive && leaseEnd(at: now) != nil }

  /// Until when changes may begin; nil if the claim must be confirmed first.
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

  /// - Parameter interval: the time since the last read.
  private mutating func readNow(at now: Now, after interval: Int64) -> Action {
    if let readSince, now.steady - readSince < interval { return .rest }
    return read(at: now)
  }

  /// A pass is due after changes here, for the data of a waiting marker, and for another member's question.
  private var needsPass: Bool {
    if isDirty || markers.contains(where: { $0.pass == .owed }) { return true }
    return others.contains { member, other in
      guard let question = other.question else { return false }
      return slot?.answers[member].map { $0 < question } ?? true
    }
  }
}
