// Failures of one cause can come in thousands and deserve few lines. Words:
//
// cause   what failures have in common, without the path
// outage  the time from the first failure of a cause until every path that failed has succeeded

/// Decides what is reported of failures. For each cause: the first few failures by name, then one line when
/// there are more, then one line a minute with a count, and one line at the end. Causes are never merged.
///
/// This type has no timer. A line that is due is returned by the next failure, success or pass.
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
    /// This failure is one of the first of its cause and is reported by name.
    case single
    /// There are more failures than are named. From now on they are counted.
    case began(Outage)
    case lasts(Outage)
    case ended(Outage)
  }

  package struct Outage: Sendable, Hashable {
    package var cause: String
    /// The affected mirrors, sorted.
    package var mirrors: [String]
    /// How many paths have failed so far.
    package var paths: Int
    /// How many of these paths have not succeeded since.
    package var failing: Int
    package var lasted: Duration
  }

  /// How many failures of one cause are named, until a minute passes without a failure.
  package static let namedFailures = 10
  /// The shortest time between two lines of one cause. The line that reports the end may come earlier.
  static let period: Duration = .seconds(60)
  /// After this time without a failure a cause is over: its paths were deleted, or fail for another cause.
  /// The time is longer than the longest back-off of a path, two minutes.
  static let silence: Duration = .seconds(300)
  /// How many paths of one cause are counted one by one; the same as the capacity of a dirty set.
  package static let capacity = 100_000
  /// How many causes are distinguished. All further causes count as one.
  static let causeCapacity = 64

  private enum Line: Hashable {
    /// Only single failures were reported so far.
    case unsaid
    case open
    case over
    /// It began again within a minute of the last line. Failures that come and go every second are not
    /// reported each time.
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
  /// - Returns: whether the path is new to the outage and so has to be recorded; and the notices to report.
  package mutating func failed(_ subject: Subject, because cause: String, at now: Instant) -> (
    isNew: Bool, notices: [Notice]
  ) {
    var notices: [Notice] = []
    let cause = states[cause] != nil || states.count < Self.causeCapacity ? cause : "other causes"
    // The state is removed here and below, so that its set is changed in place and not copied.
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

  /// Records that a path was published or deleted.
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

  /// Returns the lines that are due. Called at the end of each pass.
  package mutating func passed(at now: Instant) -> [Notice] {
    var notices: [Notice] = []
    for cause in states.keys.sorted() {
      guard var state = states.removeValue(forKey: cause) else { continue }
      let quiet = now - state.lastFailure
      if quiet >= Self.silence || state.failing.isEmpty && quiet >= Self.period {
        if state.line == .open { notices.append(.ended(outage(state, of: cause, at: state.lastFailure))) }
        continue
      }
      // No line is reported for a minute without a failure.
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
