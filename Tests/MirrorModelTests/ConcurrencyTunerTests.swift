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
    /// Above so many requests in flight the service refuses.
    var refusesAbove = Int.max
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
    _ network: Network, seconds: Double, limit: (Double) -> Int,
    ended: (_ isRefused: Bool, _ inFlight: Int, _ now: Double) -> Void = { _, _, _ in }
  ) -> Run {
    var run = Run()
    var flights: [(wait: Double, rest: Double)] = []
    var now = 0.0
    while now < seconds {
      while flights.count < network.slots(of: limit(now)) {
        flights.append((network.latency, network.requestBytes))
      }
      let inFlight = flights.count
      let moving = flights.count { $0.wait <= 0 }
      let rate = min(network.connection, network.link / Double(max(1, moving)))
      let isTooMany = flights.count > network.refusesAbove
      now += Self.step
      for index in flights.indices.reversed() {
        if flights[index].wait > 0 {
          flights[index].wait -= Self.step
          // The service refuses the latest requests, before their bodies.
          guard isTooMany, index >= network.refusesAbove, flights[index].wait <= 0 else { continue }
          flights.remove(at: index)
          run.requests += 1
          run.refused += 1
          ended(true, inFlight, now)
        } else {
          flights[index].rest -= rate * Self.step
          guard flights[index].rest <= 0 else { continue }
          flights.remove(at: index)
          run.requests += 1
          if now > 1 { run.bytes += network.requestBytes }
          ended(false, inFlight, now)
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
    return run(network, seconds: seconds, limit: { _ in tuned.tuner.limit }) { isRefused, inFlight, now in
      let instant = Int64(now * 1e9)
      if isRefused {
        tuned.tuner.slowDown(at: instant)
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

  @Test(.promise("XFER-13"))
  func `a service that refuses above its limit refuses few requests`() {
    let strict = Network(
      name: "strict", connection: 60e6, link: 3e9, latency: 0.02, requestBytes: 1e6, refusesAbove: 24)
    let found = tuned(strict, seconds: 30)
    #expect(found.refused * 20 <= found.requests, "\(found.refused) of \(found.requests)")
    let steady = found.limits.suffix(10_000)
    #expect(steady.reduce(0, +) / steady.count >= 12)
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
