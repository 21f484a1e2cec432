import Glibc
import Testing

@testable import S3MirrorCLI

/// Which signal is the second.
@Suite struct SupervisorTests {
  private let start = ContinuousClock.now

  @Test func `the same signal at the same moment is one, as timeout(1) sends it`() async {
    #expect(await second(after: [(SIGTERM, .zero), (SIGTERM, .milliseconds(1))]) == nil)
  }

  @Test func `the same signal later is the second`() async {
    #expect(await second(after: [(SIGTERM, .zero), (SIGTERM, Supervisor.echoWindow)]) == SIGTERM)
  }

  @Test func `another signal is the second at once`() async {
    #expect(await second(after: [(SIGINT, .zero), (SIGTERM, .milliseconds(1))]) == SIGTERM)
  }

  @Test func `a key pressed twice is two signals, however fast`() async {
    let keys: [(Int32, Duration)] = [(SIGINT, .zero), (SIGINT, .milliseconds(1))]
    #expect(await second(after: keys, isFromTerminal: true) == SIGINT)
  }

  @Test func `a signal between two reactions waits for the next`() async {
    let (arrivals, continuation) = AsyncStream<SignalStream.Arrival>.makeStream()
    let (seen, see) = AsyncStream<String>.makeStream()
    let supervisor = Supervisor(to: arrivals)
    supervisor.react { _ in see.yield("entry") }
    supervisor.reactToSecond { _ in see.yield("second") }
    supervisor.suspendReaction()
    continuation.yield(.init(number: SIGTERM, isFromTerminal: false))
    continuation.yield(.init(number: SIGHUP, isFromTerminal: false))
    var order = seen.makeAsyncIterator()
    #expect(await order.next() == "second")
    supervisor.react { _ in see.yield("child") }
    #expect(await order.next() == "child")
  }

  /// The supervisor's second signal after these, and before a SIGHUP that marks the end.
  private func second(after signals: [(Int32, Duration)], isFromTerminal: Bool = false) async -> Int32? {
    let (arrivals, continuation) = AsyncStream<SignalStream.Arrival>.makeStream()
    let (counted, count) = AsyncStream<Int32>.makeStream()
    let supervisor = Supervisor(to: arrivals)
    supervisor.react { _ in }
    supervisor.reactToSecond { count.yield($0.number) }
    for (number, delay) in signals {
      continuation.yield(.init(number: number, isFromTerminal: isFromTerminal, instant: start + delay))
    }
    continuation.yield(.init(number: SIGHUP, isFromTerminal: isFromTerminal, instant: start + .seconds(9)))
    for await number in counted {
      return number == SIGHUP ? nil : number
    }
    return nil
  }
}
