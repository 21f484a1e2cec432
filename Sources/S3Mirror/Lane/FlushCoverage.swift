import MirrorModel

/// A caller that waits for everything closed so far to be published.
struct Flush: Sendable {
  private let continuation: CheckedContinuation<PassOutcome?, Never>
  /// What its first pass came to, and left for what was in flight; nil in its first pass.
  fileprivate var earlier: (outcome: PassOutcome?, left: Set<RelativePath>)?

  init(_ continuation: CheckedContinuation<PassOutcome?, Never>) {
    self.continuation = continuation
  }

  /// - Parameter outcome: nil when there was nothing to publish.
  func answer(_ outcome: PassOutcome?) {
    continuation.resume(returning: outcome)
  }
}

/// What flushes cover besides their pass: publications in flight, and what waits for those.
///
/// A flush is answered when its pass has ended and everything has landed that was in flight when the pass began, or has outlived it. If
/// something waited for that, a marker for its data, the flush gets a second pass, which covers only what the first one left: the rest
/// came after the flush.
struct FlushCoverage: Sendable {
  enum Ended: Sendable {
    case answered(Flush, PassOutcome?)
    /// It needs a second pass.
    case again(Flush, PassOutcome?)
  }

  /// The flushes of one pass.
  private struct Covering: Sendable {
    let flushes: [Flush]
    /// What they wait for.
    var inFlight: Set<RelativePath> = []
    /// What may have waited for that.
    var left: Set<RelativePath> = []
    var outcome: PassOutcome?
    /// Of what has landed.
    private var failures: [MirrorError.Failure] = []
    let hadFlights: Bool

    init(_ flushes: [Flush], inFlight: Set<RelativePath>) {
      self.flushes = flushes
      hadFlights = !inFlight.isEmpty
      cover(inFlight)
    }

    mutating func cover(_ paths: Set<RelativePath>) {
      let left = flushes.compactMap(\.earlier?.left)
      let areAllSecond = left.count == flushes.count
      inFlight.formUnion(areAllSecond ? paths.intersection(left.reduce([]) { $0.union($1) }) : paths)
    }

    mutating func land(_ path: RelativePath, _ landed: PassOutcome) {
      guard inFlight.remove(path) != nil, !landed.summary.failures.isEmpty else { return }
      failures += landed.summary.failures
    }

    var ended: [Ended] {
      var joined = outcome
      if !failures.isEmpty {
        joined = joined ?? PassOutcome(summary: PassSummary(name: "", kind: .flush, number: 0))
        joined?.summary.failures += failures
      }
      return flushes.map { flush in
        if let earlier = flush.earlier {
          return .answered(flush, joined?.after(earlier.outcome) ?? earlier.outcome)
        }
        if left.isEmpty { return .answered(flush, joined) }
        var flush = flush
        flush.earlier = (joined, left)
        return .again(flush, joined)
      }
    }
  }

  /// Of the pass in hand.
  private var begun: Covering?
  /// Whose pass has ended before all that they cover.
  private var covering: [Covering] = []

  mutating func begin(_ flushes: [Flush], inFlight: Set<RelativePath>) {
    begun = Covering(flushes, inFlight: inFlight)
  }

  /// Notes what outlives the pass in hand.
  mutating func depart(_ paths: Set<RelativePath>) { begun?.cover(paths) }

  /// - Parameter outcome: of the one path.
  /// - Returns: flushes that cover nothing more.
  mutating func land(_ path: RelativePath, _ outcome: PassOutcome) -> [Ended] {
    begun?.land(path, outcome)
    for index in covering.indices { covering[index].land(path, outcome) }
    defer { covering.removeAll(where: \.inFlight.isEmpty) }
    return covering.filter(\.inFlight.isEmpty).flatMap(\.ended)
  }

  /// Ends the pass of some flushes.
  ///
  /// - Parameters:
  ///   - outcome: nil when nothing was to be done.
  ///   - kept: what waits for publications in flight.
  mutating func end(
    _ flushes: [Flush], with outcome: PassOutcome?, keptByFlights kept: some Sequence<RelativePath>
  ) -> [Ended] {
    guard var ending = begun else { return flushes.map { .answered($0, outcome) } }
    begun = nil
    ending.outcome = outcome
    if ending.hadFlights || !ending.inFlight.isEmpty {
      ending.left = Set(kept)
      if let outcome { ending.left.formUnion(outcome.waiting.keys) }
    }
    if ending.inFlight.isEmpty { return ending.ended }
    covering.append(ending)
    return []
  }

  /// Those whose pass has ended.
  mutating func takeAll() -> [Flush] {
    defer { self = FlushCoverage() }
    return covering.flatMap(\.flushes)
  }
}

extension PassOutcome {
  /// This one, of a second pass, with the failures of the first that it has not settled.
  fileprivate func after(_ first: PassOutcome?) -> PassOutcome {
    guard let first else { return self }
    var joined = self
    let settled = Set(settled.map(\.string))
    let known = Set(summary.failures.map(\.path))
    joined.summary.failures += first.summary.failures.filter {
      !settled.contains($0.path) && !known.contains($0.path)
    }
    return joined
  }
}
