// Failures of one cause come in thousands, and say one thing. Words:
//
// cause: what failures have in common, without the path
// outage: from the first failure of a cause until every path that failed by it has succeeded

/// Decides what is said of failures: of each cause the first few by name, then one line when the outage is known to be more, one
/// a minute with a count, and one when it is over. Causes are never merged.
///
/// Nothing here wakes: lines come with the next failure, success or pass after they are due.
package struct OutageNotices: Sendable {
  /// A path of one mirror.
  package struct Subject: Sendable, Hashable {
    package var mirror: String
    package var path: String

    package init(mirror: String, path: String) {
      self.mirror = mirror
      self.path = path
    }
  }

  package enum Notice: Sendable, Hashable {
    /// This failure is one of the first of its cause: it is said by name.
    case single
    /// There are more than are named; from now on they are counted.
    case began(Outage)
    case lasts(Outage)
    case ended(Outage)
  }

  package struct Outage: Sendable, Hashable {
    package var cause: String
    /// The mirrors concerned, in order.
    package var mirrors: [String]
    /// Paths that failed by it so far.
    package var paths: Int
    /// Of those, the ones that have not succeeded since.
    package var failing: Int
    package var lasted: Duration
  }

  /// Failures of one cause that are named, until there has been none for a minute.
  package static let namedFailures = 10
  /// A line of each cause at most so often, but for the one that it is over.
  static let period: Duration = .seconds(60)
  /// Without a failure for so long a cause is taken to be over: its paths are gone, or fail by another. Longer than the longest
  /// pause before a path is tried again, two minutes.
  static let silence: Duration = .seconds(300)
  /// Paths of one cause that are told apart, as many as a dirty set holds one by one.
  package static let capacity = 100_000
  /// Causes that are told apart; what comes beyond them counts as one.
  static let causeCapacity = 64

  private enum Line: Hashable {
    /// Only names so far.
    case unsaid
    case open
    case over
    /// It has begun again within a minute of the last line. What comes and goes each second is no news.
    case reopened
  }

  private struct State {
    var began: Instant
    var lastFailure: Instant
    var lastLine: Instant?
    var line = Line.unsaid
    var named = 0
    var paths = 0
    var failing: Set<Subject> = []
    var mirrors: Set<String> = []
  }

  private var states: [String: State] = [:]

  package init() {}

  /// Notes a failure.
  ///
  /// - Returns: whether the path is new to the outage, for a record of it; and what to say.
  package mutating func failed(_ subject: Subject, because cause: String, at now: Instant) -> (
    isNew: Bool, notices: [Notice]
  ) {
    var notices: [Notice] = []
    let cause = states[cause] != nil || states.count < Self.causeCapacity ? cause : "other causes"
    // Taken out, here and below, so that the set in it is not copied.
    var state = states.removeValue(forKey: cause) ?? State(began: now, lastFailure: now)
    let quiet = now - state.lastFailure
    if state.failing.isEmpty ? quiet >= Self.period : quiet >= Self.silence {
      if state.line == .open { notices.append(.ended(outage(state, of: cause, at: state.lastFailure))) }
      state = State(began: now, lastFailure: now)
    } else if state.failing.isEmpty {
      state.began = now
      state.paths = 0
      if state.line == .over { state.line = .reopened }
    }
    state.lastFailure = now
    state.mirrors.insert(subject.mirror)
    let isNew = state.failing.count < Self.capacity && state.failing.insert(subject).inserted
    if isNew { state.paths += 1 }
    if isNew, state.named < Self.namedFailures {
      state.named += 1
      notices.append(.single)
    } else if isNew || state.line != .unsaid, let line = due(&state, of: cause, at: now) {
      notices.append(line)
    }
    states[cause] = state
    return (isNew, notices)
  }

  /// Notes that a path arrived, or went as it should.
  package mutating func succeeded(_ subject: Subject, at now: Instant) -> [Notice] {
    guard !states.isEmpty else { return [] }
    var notices: [Notice] = []
    for cause in states.keys.sorted() {
      guard states[cause]?.failing.contains(subject) == true, var state = states.removeValue(forKey: cause)
      else { continue }
      state.failing.remove(subject)
      if state.failing.isEmpty {
        if state.line == .open {
          notices.append(.ended(outage(state, of: cause, at: now)))
          state.lastLine = now
        }
        if state.line != .unsaid { state.line = .over }
      }
      states[cause] = state
    }
    return notices
  }

  /// Looks what has become due, as each pass ends.
  package mutating func passed(at now: Instant) -> [Notice] {
    var notices: [Notice] = []
    for cause in states.keys.sorted() {
      guard var state = states.removeValue(forKey: cause) else { continue }
      let quiet = now - state.lastFailure
      if quiet >= Self.silence || state.failing.isEmpty && quiet >= Self.period {
        if state.line == .open { notices.append(.ended(outage(state, of: cause, at: state.lastFailure))) }
        continue
      }
      // A minute without a failure is no minute to tell of.
      if state.line != .unsaid, !state.failing.isEmpty, state.lastFailure > state.lastLine ?? state.began,
        let line = due(&state, of: cause, at: now)
      {
        notices.append(line)
      }
      states[cause] = state
    }
    return notices
  }

  private func due(_ state: inout State, of cause: String, at now: Instant) -> Notice? {
    if let last = state.lastLine, now - last < Self.period { return nil }
    let isFirst = state.line == .unsaid
    state.line = .open
    state.lastLine = now
    let outage = outage(state, of: cause, at: now)
    return isFirst ? .began(outage) : .lasts(outage)
  }

  private func outage(_ state: State, of cause: String, at now: Instant) -> Outage {
    Outage(
      cause: cause, mirrors: state.mirrors.sorted(), paths: state.paths, failing: state.failing.count,
      lasted: now - state.began)
  }
}
