import HTTPTransport
import TestSupport
import Testing

/// A bucket and a clock that stands until it is moved.
@Suite struct RatePacerTests {
  private static let millisecond: Int64 = 1_000_000

  @Test func `a quantum is free at the start, and no burst`() {
    var pacer = RatePacer(bytesPerSecond: 1_000_000, at: 0)
    #expect(pacer.take(upTo: 1_000_000, at: 0) == 20_000)
    #expect(pacer.take(upTo: 1, at: 0) == 0)
    #expect(pacer.nanosecondsUntilFree(at: 0) == 20 * Self.millisecond)
  }

  @Test func `what waited too long is lost beyond a tenth of a second`() {
    var pacer = RatePacer(bytesPerSecond: 1_000_000, at: 0)
    #expect(pacer.take(upTo: .max, at: 3_600_000 * Self.millisecond) == 100_000)
  }

  @Test func `a piece that came whole leaves a debt that is waited for`() {
    var pacer = RatePacer(bytesPerSecond: 1_000_000, at: 0)
    let admitted = pacer.admit(220_000, at: 0)
    #expect(admitted)
    // 200,000 of debt and a quantum.
    #expect(pacer.nanosecondsUntilFree(at: 0) == 220 * Self.millisecond)
    let early = pacer.admit(1, at: 219 * Self.millisecond)
    #expect(!early)
    let due = pacer.admit(1, at: 220 * Self.millisecond)
    #expect(due)
  }

  @Test func `a clock that stands still or goes back gives nothing`() {
    var pacer = RatePacer(bytesPerSecond: 1_000, at: 500)
    _ = pacer.take(upTo: 20, at: 500)
    #expect(pacer.take(upTo: 20, at: 500) == 0)
    #expect(pacer.take(upTo: 20, at: 0) == 0)
  }

  /// Loops that wake late, by whatever their timer and the scheduler add.
  @Test(arguments: [1_000, 100_000, 10_000_000, 1_000_000_000] as [Int64], [0, 1, 7, 50] as [Int64])
  func `the average over ten seconds is the rate within a hundredth`(rate: Int64, lateness: Int64) {
    var pacer = RatePacer(bytesPerSecond: rate, at: 0)
    var now: Int64 = 0
    var sent: Int64 = 0
    while now < 10_000 * Self.millisecond {
      let taken = pacer.take(upTo: 256 << 10, at: now)
      sent += Int64(taken)
      if taken == 0 { now += pacer.nanosecondsUntilFree(at: now) + lateness * Self.millisecond }
    }
    #expect(abs(Double(sent) / 10 - Double(rate)) <= Double(rate) / 100)
  }

  @Test(arguments: [1_000, 100_000, 10_000_000] as [Int64])
  func `no tenth of a second passes more than two tenths' worth`(rate: Int64) {
    var pacer = RatePacer(bytesPerSecond: rate, at: 0)
    var window: [(at: Int64, bytes: Int64)] = []
    for step in 0..<2_000 {
      let now = Int64(step) * 5 * Self.millisecond
      // Idle for a second in the middle: what was not used may not all come at once.
      if (200..<400).contains(step) { continue }
      window.append((now, Int64(pacer.take(upTo: .max, at: now))))
      window.removeAll { $0.at <= now - 100 * Self.millisecond }
      #expect(window.reduce(0) { $0 + $1.bytes } <= rate / 5)
    }
  }
}

@Suite struct PacedTransferTests {
  /// What may pass at once before the rate counts: a tenth of a second's worth, and a piece that came whole.
  private static func shortestSeconds(_ byteCount: Int, at rate: Int64) -> Double {
    Double(byteCount - 256 << 10) / Double(rate) - 0.1
  }

  @Test func `uploads keep to one rate together, and arrive whole`() async throws {
    let rate: Int64 = 8 << 20
    var configuration = CurlClient.Configuration()
    configuration.uploadLimit = RateLimit(bytesPerSecond: rate)
    try await withServer(configuration, script: answering { String($0.contentLength) }) { server, client in
      let start = ContinuousClock.now
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<3 {
          group.addTask {
            let body = PatternBody(byteCount: 1 << 20)
            let response = try await client.send(HTTPRequest(method: .put, url: server.url, body: body))
            #expect(response.body == Array(String(1 << 20).utf8))
          }
        }
        try await group.waitForAll()
      }
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      #expect(seconds >= Self.shortestSeconds(3 << 20, at: rate))
    }
  }

  @Test func `downloads keep to one rate together, and arrive whole`() async throws {
    let rate: Int64 = 8 << 20
    var configuration = CurlClient.Configuration()
    configuration.downloadLimit = RateLimit(bytesPerSecond: rate)
    let text = String(repeating: "0123456789abcdef", count: 1 << 16)
    try await withServer(configuration, script: answering { _ in text }) { server, client in
      let start = ContinuousClock.now
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<3 {
          group.addTask {
            let response = try await client.send(HTTPRequest(method: .get, url: server.url))
            #expect(response.body == Array(text.utf8))
          }
        }
        try await group.waitForAll()
      }
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      #expect(seconds >= Self.shortestSeconds(3 << 20, at: rate))
    }
  }

  @Test func `a transfer that is held up can be cancelled`() async throws {
    var configuration = CurlClient.Configuration()
    // An hour for the body.
    configuration.uploadLimit = RateLimit(bytesPerSecond: 1_000)
    try await withServer(configuration, script: answering { _ in "" }) { server, client in
      let task = Task {
        try await client.send(
          HTTPRequest(method: .put, url: server.url, body: PatternBody(byteCount: 3_600_000)))
      }
      try await eventually("the transfer is held up") { await client.pausedCount > 0 }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(await client.pausedCount == 0)
    }
  }
}
