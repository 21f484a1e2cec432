import MirrorModel
import TestSupport
import Testing

/// What is said of failures, by a clock of the test's own.
@Suite struct OutageNoticesTests {
  private var notices = OutageNotices()
  private let start = Instant(nanoseconds: 0)

  private func subject(_ number: Int, mirror: String = "watch") -> OutageNotices.Subject {
    .init(mirror: mirror, path: "d/\(number)")
  }

  private func instant(_ seconds: Double) -> Instant { start + .seconds(seconds) }

  private mutating func fail(
    _ numbers: Range<Int>, because cause: String = "Connect", at seconds: Double
  ) -> [OutageNotices.Notice] {
    numbers.flatMap { notices.failed(subject($0), because: cause, at: instant(seconds)).notices }
  }

  private mutating func succeed(_ numbers: Range<Int>, at seconds: Double) -> [OutageNotices.Notice] {
    numbers.flatMap { notices.succeeded(subject($0), at: instant(seconds)) }
  }

  @Test(.promise("SAY-1"))
  mutating func `an outage of 10,000 files and a minute is ten names and three lines`() throws {
    var said: [OutageNotices.Notice] = []
    // Each is tried every two seconds.
    for second in stride(from: 0, through: 60, by: 2) { said += fail(0..<10_000, at: Double(second)) }
    said += succeed(0..<10_000, at: 62)
    #expect(said.count == 13)
    #expect(said.prefix(10).allSatisfy { $0 == .single })
    guard said.count == 13, case .began(let first) = said[10], case .lasts(let minute) = said[11],
      case .ended(let last) = said[12]
    else {
      Issue.record("\(said.dropFirst(10))")
      return
    }
    #expect(first.paths == 11)
    #expect(minute.failing == 10_000 && minute.lasted == .seconds(60))
    #expect(last.paths == 10_000 && last.failing == 0 && last.lasted == .seconds(62))
  }

  @Test(.promise("SAY-1"))
  mutating func `an outage of an hour has a line a minute`() {
    var said: [OutageNotices.Notice] = []
    for second in stride(from: 0, to: 3600, by: 5) {
      said += fail(0..<1000, at: Double(second))
      said += notices.passed(at: instant(Double(second) + 1))
    }
    #expect(said.count == 10 + 60)
  }

  @Test(.promise("SAY-1"))
  mutating func `the next outage is said again, with names`() {
    _ = fail(0..<100, at: 0)
    #expect(succeed(0..<100, at: 5).count == 1)
    let again = fail(0..<100, at: 70)
    #expect(again.count == 11)
    #expect(again.prefix(10).allSatisfy { $0 == .single })
    guard case .began(let outage) = again.last else {
      Issue.record("\(again)")
      return
    }
    #expect(outage.lasted == .zero)
  }

  @Test(.promise("SAY-1"))
  mutating func `failures of another cause are named on their own`() {
    _ = fail(0..<100, at: 0)
    #expect(fail(0..<3, because: "AccessDenied", at: 1) == [.single, .single, .single])
    #expect(fail(0..<100, because: "SlowDown", at: 1).count == 11)
    // Of three causes, two were outages.
    #expect(succeed(0..<100, at: 2).count == 2)
  }

  @Test mutating func `a few failures are named, each once until it succeeds`() {
    #expect(fail(0..<3, at: 0) == [.single, .single, .single])
    #expect(fail(0..<3, at: 1).isEmpty)
    #expect(succeed(0..<3, at: 2).isEmpty)
    #expect(fail(0..<1, at: 3) == [.single])
  }

  @Test mutating func `what comes and goes all the time is no flood`() {
    var said = 0
    // Each second other files fail, and succeed when they are tried again.
    for second in 0..<600 {
      let numbers = second * 20..<(second + 1) * 20
      said += fail(numbers, at: Double(second)).count
      said += succeed(numbers, at: Double(second) + 0.5).count
    }
    #expect(said <= 10 + 2 * 10 + 2, "\(said)")
  }

  @Test mutating func `an outage whose files are gone is over in time`() {
    _ = fail(0..<100, at: 0)
    #expect(notices.passed(at: instant(100)).isEmpty)
    let said = notices.passed(at: instant(400))
    guard case .ended? = said.first, said.count == 1 else {
      Issue.record("\(said)")
      return
    }
    #expect(notices.passed(at: instant(500)).isEmpty)
  }

  @Test mutating func `a path is new once an outage`() {
    #expect(notices.failed(subject(1), because: "Connect", at: instant(0)).isNew)
    #expect(!notices.failed(subject(1), because: "Connect", at: instant(1)).isNew)
    #expect(notices.failed(subject(1), because: "SlowDown", at: instant(1)).isNew)
    #expect(notices.failed(subject(1, mirror: "other"), because: "Connect", at: instant(1)).isNew)
    _ = notices.succeeded(subject(1), at: instant(2))
    #expect(notices.failed(subject(1), because: "Connect", at: instant(3)).isNew)
  }

  @Test mutating func `causes without number are one in the end`() {
    var said = 0
    for number in 0..<1000 { said += fail(number..<number + 1, because: "cause \(number)", at: 0).count }
    #expect(said <= 64 + 11)
  }

  @Test mutating func `a failure costs the same however many there are`() {
    let clock = ContinuousClock()
    let few = clock.measure { _ = fail(0..<10_000, at: 0) }
    _ = fail(10_000..<90_000, at: 0)
    let many = clock.measure { _ = fail(90_000..<100_000, at: 0) }
    #expect(many < few * 50, "\(few) for the first, \(many) for the last")
  }
}
