import Testing

@testable import HTTPTransport

/// When a transfer counts as silent.
@Suite struct SilenceClockTests {
  private let start = ContinuousClock.now

  /// Looks at a transfer with a limit of six seconds, once a second; nil is a transfer that has not begun, or is held up.
  private func verdicts(_ readings: [SilenceClock.Reading?]) -> [SilenceClock.Verdict] {
    var clock = SilenceClock(limit: .seconds(6), at: start)
    return readings.enumerated().map { second, reading in
      clock.look(at: start + .seconds(second), reading)
    }
  }

  private func reading(_ moved: Int64, queued: Int = 0) -> SilenceClock.Reading {
    .init(bytesMoved: moved, bytesUnacknowledged: queued)
  }

  @Test(.promise("FAIL-1"))
  func `what does not move for as long as it may is over`() {
    let found = verdicts([nil] + Array(repeating: reading(100), count: 7))
    #expect(
      found == [.moves, .moves, .silent, .suspicious, .suspicious, .suspicious, .suspicious, .over])
  }

  @Test(.promise("FAIL-1"))
  func `bytes that are on their way count as movement`() {
    let sent = (0..<5).map { reading(1000, queued: 400 - 100 * $0) }
    let found = verdicts(sent + Array(repeating: reading(1000), count: 6))
    #expect(
      found == Array(repeating: .moves, count: 5) + [.silent] + Array(repeating: .suspicious, count: 4) + [
        .over
      ])
  }

  @Test func `what waits for a connection or a rate limit is not silent`() {
    #expect(verdicts(Array(repeating: nil, count: 20)) == Array(repeating: .moves, count: 20))
  }

  @Test func `what is held up in between begins anew`() {
    let found = verdicts(
      Array(repeating: reading(5), count: 5) + [nil] + Array(repeating: reading(5), count: 7))
    #expect(found.last == .over)
    #expect(found.dropLast().allSatisfy { $0 != .over })
  }

  @Test func `movement ten seconds after the beginning is late`() {
    let found = verdicts((0..<12).map { reading(Int64($0)) })
    #expect(found == Array(repeating: .moves, count: 10) + [.movesLate, .movesLate])
  }

  @Test func `a limit is only made shorter`() {
    var clock = SilenceClock(limit: .seconds(6), at: start)
    clock.shorten(to: .seconds(60))
    #expect(clock.limit == .seconds(6))
    clock.shorten(to: .seconds(1))
    #expect(clock.limit == .seconds(1))
  }
}
