import MirrorModel

/// A caller that waits for everything closed so far to be published.
struct Flush: Sendable {
  private let continuation: CheckedContinuation<PassOutcome?, Never>
  /// The result of the first pass, and the paths that it left for flights; nil during the first pass.
  fileprivate var earlier: (outcome: PassOutcome?, left: Set<RelativePath>)?

  init(_ continuation: CheckedContinuation<PassOutcome?, Never>) {
    self.continuation = continuation
  }

  /// - Parameter outcome: nil if there was nothing to publish.
  func answer(_ outcome: PassOutcome?) {
    continuation.resume(returning: outcome)
  }
}

/// What flushes cover besides their pass: flights, and paths that wait for flights.
///
/// A flush is answered when its pass and certain flights have ended: those that were running when the pass
/// began, and those that outlived the pass. If a path waited for such a flight, for example a marker for its
/// data, the flush gets a second pass. That pass covers only what the first one left, because everything else
/// came after the flush.
struct FlushCoverage: Sendable {
  enum Ended: Sendable {
    case answered(Flush, PassOutcome?)
    /// The flush needs a second pass.
    case again(Flush, PassOutcome?)
  }

  /// The flushes of one pass.
  private struct Covering: Sendable {
    let flushes: [Flush]
    /// The flights that the flushes wait for.
    var inFlight: Set<RelativePath> = []
    /// The paths that may have waited for these flights.
    var left: Set<RelativePath> = []
    var outcome: PassOutcome?
    /// The failures of flights that have ended.
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

    mutating func land(_ path: RelativePath, _ landed: PassOutcome, leaving kept: Set<RelativePath>) {
      guard inFlight.remove(path) != nil else { return }
      failures += landed.summary.failures
      left.formUnion(kept)
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

  /// The flushes of the running pass.
  private var begun: Covering?
  /// Flushes whose pass has ended while flights that they cover still run.
  private var covering: [Covering] = []

  mutating func begin(_ flushes: [Flush], inFlight: Set<RelativePath>) {
    begun = Covering(flushes, inFlight: inFlight)
  }

  /// Notes the paths that outlive the running pass.
  mutating func depart(_ paths: Set<RelativePath>) { begun?.cover(paths) }

  /// Whether flushes wait for the running pass.
  var hasBegun: Bool { begun != nil }

  /// - Parameters:
  ///   - outcome: the result of this one path.
  ///   - kept: the paths that waited for this flight. The running pass has left them out.
  /// - Returns: the flushes that have nothing left to wait for.
  mutating func land(
    _ path: RelativePath, _ outcome: PassOutcome, leaving kept: Set<RelativePath>
  ) -> [Ended] {
    begun?.land(path, outcome, leaving: kept)
    // The end of a pass has noted what that pass left.
    for index in covering.indices { covering[index].land(path, outcome, leaving: []) }
    defer { covering.removeAll(where: \.inFlight.isEmpty) }
    return covering.filter(\.inFlight.isEmpty).flatMap(\.ended)
  }

  /// Ends the pass of some flushes.
  ///
  /// - Parameters:
  ///   - outcome: nil if there was nothing to do.
  ///   - kept: the paths that wait for flights.
  mutating func end(
    _ flushes: [Flush], with outcome: PassOutcome?, keptByFlights kept: some Sequence<RelativePath>
  ) -> [Ended] {
    guard var ending = begun else { return flushes.map { .answered($0, outcome) } }
    begun = nil
    ending.outcome = outcome
    if ending.hadFlights || !ending.inFlight.isEmpty {
      ending.left.formUnion(kept)
      if let outcome { ending.left.formUnion(outcome.waiting.keys) }
    }
    if ending.inFlight.isEmpty { return ending.ended }
    covering.append(ending)
    return []
  }

  /// Takes the flushes whose pass has ended.
  mutating func takeAll() -> [Flush] {
    defer { self = FlushCoverage() }
    return covering.flatMap(\.flushes)
  }
}

extension PassOutcome {
  /// The outcome of a second pass, with those failures of the first pass that the second has not settled.
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
