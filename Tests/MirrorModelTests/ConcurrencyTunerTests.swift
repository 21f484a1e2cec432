import MirrorModel
import Testing

/// The number of requests on simulated networks.
@Suite struct ConcurrencyTunerTests {
  /// A network and a service that answer requests of one size.
  struct Network: Sendable, CustomTestStringConvertible {
    var name: String
    /// Bytes per second of one connection, and of all together.
    var connection: Double
    var link: Double
    var latency: Double
    var requestBytes: Double
    /// Above so many requests in flight the service refuses, and above so many a second.
    var refusesAbove = Int.max
    var mostPerSecond = Double.infinity
    /// The parts of files leave a fifth of the slots to whole requests, and more than 64 are never in flight.
    var isOfParts = false

    var testDescription: String { name }

    func slots(of limit: Int) -> Int { isOfParts ? min(limit - max(1, limit / 5), 64) : limit }
  }

  /// What a simulated run did.
  private struct Run {
    var bytes = 0.0
    var refused = 0
    var requests = 0
    var limits: [Int] = []
  }

  private static let step = 0.001

  /// Runs requests for some seconds and counts those that end after the first second. There is always another
  /// request.
  private func run(
    _ network: Network, seconds: Double, limit: (Double) -> Int, cuts: () -> Int = { 0 },
    tick: (_ inFlight: Int, _ now: Double) -> Void = { _, _ in },
    ended: (_ refusedAfter: Int?, _ inFlight: Int, _ now: Double) -> Void = { _, _, _ in }
  ) -> Run {
    var run = Run()
    struct Flight {
      var wait: Double
      var rest: Double
      var cutsBefore: Int
      var isRefused: Bool
    }
    var flights: [Flight] = []
    var now = 0.0
    var allowance = network.mostPerSecond / 10
    while now < seconds {
      allowance = min(allowance + network.mostPerSecond * Self.step, network.mostPerSecond / 10)
      while flights.count < network.slots(of: limit(now)) {
        // The service decides before the body, and a refused request does not count.
        let isRefused = flights.count { !$0.isRefused } >= network.refusesAbove || allowance < 1
        if !isRefused { allowance -= 1 }
        flights.append(
          Flight(
            wait: network.latency, rest: network.requestBytes, cutsBefore: cuts(), isRefused: isRefused))
      }
      let inFlight = flights.count
      tick(inFlight, now)
      let moving = flights.count { $0.wait <= 0 }
      let rate = min(network.connection, network.link / Double(max(1, moving)))
      now += Self.step
      for index in flights.indices.reversed() {
        if flights[index].wait > 0 {
          flights[index].wait -= Self.step
          guard flights[index].isRefused, flights[index].wait <= 0 else { continue }
          let refused = flights.remove(at: index)
          run.requests += 1
          run.refused += 1
          ended(refused.cutsBefore, inFlight, now)
        } else {
          flights[index].rest -= rate * Self.step
          guard flights[index].rest <= 0 else { continue }
          flights.remove(at: index)
          run.requests += 1
          if now > 1 { run.bytes += network.requestBytes }
          ended(nil, inFlight, now)
        }
      }
      run.limits.append(limit(now))
    }
    return run
  }

  /// Shared by the two closures of a run.
  private final class Tuned {
    var tuner: ConcurrencyTuner

    init(most: Int) { tuner = ConcurrencyTuner(most: most) }
  }

  private func tuned(_ network: Network, seconds: Double, most: Int = ConcurrencyTuner.most) -> Run {
    let tuned = Tuned(most: most)
    tuned.tuner.begin(at: 0)
    return run(
      network, seconds: seconds, limit: { _ in tuned.tuner.limit }, cuts: { tuned.tuner.cuts },
      tick: { tuned.tuner.climb(inFlight: $0, at: Int64($1 * 1e9)) }
    ) { refusedAfter, inFlight, now in
      let instant = Int64(now * 1e9)
      if let refusedAfter {
        tuned.tuner.slowDown(begunAfter: refusedAfter, at: instant)
      } else {
        tuned.tuner.succeed(
          byteCount: Int64(network.requestBytes), isContended: true, inFlight: inFlight, at: instant)
      }
    }
  }

  private static let networks: [Network] = [30, 60, 10_000].flatMap { connection in
    [0.0005, 0.015, 0.05].flatMap { latency in
      let link = Network(
        name: "\(connection) MB/s, \(latency) s", connection: connection * 1e6, link: 3e9, latency: latency,
        requestBytes: 4_096)
      var whole = link
      whole.requestBytes = 8_388_608
      whole.name += ", files of 8 MiB"
      var parts = link
      parts.requestBytes = 16_777_216
      parts.isOfParts = true
      parts.name += ", parts"
      return [link, whole, parts]
    }
  }

  @Test(.promise("XFER-13"), arguments: networks)
  func `after the first second the goodput is that of the best fixed number`(network: Network) {
    let best =
      [1, 2, 4, 8, 10, 16, 24, 32, 48, 64, 80, 128, 192, 256].map { fixed in
        run(network, seconds: 8, limit: { _ in fixed }).bytes
      }.max() ?? 0
    let found = tuned(network, seconds: 8)
    #expect(found.bytes * 1.15 >= best, "\(found.bytes / best), \(found.limits.last ?? 0)")
  }

  @Test(.promise("XFER-13"))
  func `a link that one connection fills keeps the first number`() {
    let full = Network(name: "full", connection: 100e6, link: 100e6, latency: 0.005, requestBytes: 1e6)
    let found = tuned(full, seconds: 60)
    #expect((found.limits.last ?? 0) <= ConcurrencyTuner.start)
    #expect(found.limits.max() ?? 0 <= 2 * ConcurrencyTuner.start)
  }

  private static let strict: [Network] = [0.015, 0.05].flatMap { latency in
    [11, 24, 40, 100].flatMap { most in
      let small = Network(
        name: "\(latency) s, \(most) at one time", connection: 60e6, link: 3e9, latency: latency,
        requestBytes: 4_096, refusesAbove: most)
      var parts = small
      parts.requestBytes = 16_777_216
      parts.isOfParts = true
      parts.name += ", parts"
      return [small, parts]
    }
      + [1_000, 3_500].map { most in
        Network(
          name: "\(latency) s, \(most) a second", connection: 60e6, link: 3e9, latency: latency,
          requestBytes: 4_096, mostPerSecond: most)
      }
  }

  @Test(.promise("XFER-20"), arguments: strict)
  func `a service with a limit refuses few requests, and gives most of what it can`(network: Network) {
    // The largest number of which nothing is refused; else the service's own rate.
    let largest = (1...256).last { network.slots(of: $0) <= network.refusesAbove } ?? 1
    let best =
      network.mostPerSecond < .infinity
      ? network.mostPerSecond * 9 * network.requestBytes
      : run(network, seconds: 10, limit: { _ in largest }).bytes
    let found = tuned(network, seconds: 10)
    #expect(found.refused * 20 <= found.requests, "\(found.refused) of \(found.requests)")
    #expect(found.bytes >= best * 0.7, "\(found.bytes / best), \(found.limits.last ?? 0)")
  }

  @Test(.promise("XFER-20"))
  func `requests that are refused together are one sign, and each sign halves, down to one`() {
    var tuner = ConcurrencyTuner(most: 10, isFixed: true)
    #expect(tuner.limit == 10)
    for _ in 0..<10 { tuner.slowDown(begunAfter: 0, at: 0) }
    #expect(tuner.limit == 5)
    var found: [Int] = []
    for cuts in 1..<5 {
      tuner.slowDown(begunAfter: cuts, at: 0)
      found.append(tuner.limit)
    }
    #expect(found == [2, 1, 1, 1])
    #expect(tuner.reason == .slowedDown)
  }

  @Test(.promise("XFER-20"))
  func `a fixed number comes back, the last tenth in steps of ten seconds`() {
    var tuner = ConcurrencyTuner(most: 100, isFixed: true)
    var now: Int64 = 0
    func play(successes: Int, within seconds: Int64) {
      for _ in 0..<successes {
        now += seconds * 1_000_000_000 / Int64(successes)
        tuner.succeed(byteCount: 1, isContended: true, inFlight: tuner.limit, at: now)
      }
    }
    play(successes: 1_000, within: 60)
    #expect(tuner.limit == 100)
    #expect(tuner.reason == .fixed)
    tuner.slowDown(begunAfter: 0, at: now)
    #expect(tuner.limit == 50)
    play(successes: 50, within: 1)
    #expect(tuner.limit == 51)
    play(successes: 10_000, within: 8)
    #expect(tuner.limit == 90)
    #expect(tuner.reason == .slowedDown)
    play(successes: 10_000, within: 40)
    #expect(tuner.limit == 100)
    #expect(tuner.reason == .fixed)
  }

  @Test(.promise("XFER-20"))
  func `a number rises by one for each success, and in an eighth of a second at the latest`() {
    var tuner = ConcurrencyTuner()
    var now: Int64 = 0
    while !tuner.isRising {
      now += 10_000_000
      tuner.succeed(byteCount: 1 << 20, isContended: true, inFlight: 10, at: now)
    }
    #expect(tuner.limit == 10)
    tuner.succeed(byteCount: 1 << 20, isContended: true, inFlight: 10, at: now)
    #expect(tuner.limit == 11)
    tuner.climb(inFlight: 11, at: now + 62_500_000)
    #expect(tuner.limit == 15)
    tuner.climb(inFlight: 15, at: now + 125_000_000)
    #expect(tuner.limit == 20)
    #expect(!tuner.isRising)
  }

  @Test(.promise("XFER-13"))
  func `what waits for nothing is not measured, and no number exceeds the most`() {
    var tuner = ConcurrencyTuner()
    for number in 0..<10_000 {
      tuner.succeed(byteCount: 1 << 20, isContended: false, inFlight: 10, at: Int64(number) * 1_000_000)
    }
    #expect(tuner.limit == ConcurrencyTuner.start)
    #expect(tuned(Self.networks[0], seconds: 5, most: 20).limits.max() == 20)
    #expect(tuned(Self.networks[0], seconds: 5, most: 3).limits.max() == 3)
  }

  @Test(.promise("XFER-13"))
  func `parts that take seconds are no pause`() {
    // A part takes 2.8 s, and eight of them end together.
    let slow = Network(
      name: "slow", connection: 6e6, link: 3e9, latency: 0.05, requestBytes: 16_777_216, isOfParts: true)
    let found = tuned(slow, seconds: 20).limits.last ?? 0
    #expect(slow.slots(of: found) == ConcurrencyTuner.mostParts, "\(found)")
  }

  @Test(.promise("XFER-13"))
  func `bursts with pauses between raise no number that is not shown to bring more`() {
    var tuner = ConcurrencyTuner()
    for burst in 0..<20 {
      let start = Int64(burst) * 10_000_000_000
      tuner.begin(at: start)
      for number in 1...Int64(tuner.limit) {
        tuner.succeed(
          byteCount: 1 << 20, isContended: true, inFlight: tuner.limit, at: start + number * 100_000_000)
      }
      #expect(tuner.limit <= 2 * ConcurrencyTuner.start)
    }
  }

  @Test(.promise("XFER-13"))
  func `a link that shrinks gives back what brings nothing`() {
    var tuner = ConcurrencyTuner()
    var now: Int64 = 0
    func play(_ seconds: Int64, rate: (Int) -> Double) {
      let end = now + seconds * 1_000_000_000
      while now < end {
        now += Int64(1e6 / rate(tuner.limit) * 1e9)
        tuner.succeed(byteCount: 1_000_000, isContended: true, inFlight: tuner.limit, at: now)
      }
    }
    play(5) { Double($0) * 50e6 }
    #expect(tuner.limit == ConcurrencyTuner.most)
    play(300) { _ in 200e6 }
    #expect(tuner.limit <= 16)
    #expect(tuner.reason == .enough)
  }
}
