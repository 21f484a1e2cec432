import Credentials
import Foundation
import SigV4
import Synchronization
import TestSupport
import Testing

@Suite struct RefreshingCredentialsTests {
  /// A clock and a source that gives a new key at each fetch, good for an hour.
  private final class Source: Sendable {
    private struct State {
      var now = Date(timeIntervalSince1970: 1_000_000)
      var fetches = 0
      var fails = false
    }
    private let state = Mutex(State())

    var fetches: Int { state.withLock { $0.fetches } }
    func advance(minutes: Double) { state.withLock { $0.now += minutes * 60 } }
    func fail(_ fails: Bool) { state.withLock { $0.fails = fails } }

    func fetch() throws -> AWSCredentials {
      try state.withLock { state in
        state.fetches += 1
        if state.fails { throw CredentialsError(source: "test", cause: "down", remedy: "none") }
        return AWSCredentials(
          accessKeyID: "AK\(state.fetches)", secretAccessKey: "s",
          expiration: state.now.addingTimeInterval(3600))
      }
    }

    var provider: RefreshingCredentials {
      RefreshingCredentials(now: { self.state.withLock { $0.now } }, fetch: { try self.fetch() })
    }
  }

  @Test(.promise("CRED-1"))
  func `credentials are fetched again 5 minutes before they end`() async throws {
    let source = Source()
    let provider = source.provider
    #expect(try await provider.credentials().accessKeyID == "AK1")
    source.advance(minutes: 54.9)
    #expect(try await provider.credentials().accessKeyID == "AK1")
    source.advance(minutes: 0.2)
    #expect(try await provider.credentials().accessKeyID == "AK2")
    #expect(source.fetches == 2)
  }

  @Test func `while the source is down what is still good is used to its end`() async throws {
    let source = Source()
    let provider = source.provider
    _ = try await provider.credentials()
    source.fail(true)
    source.advance(minutes: 56)
    #expect(try await provider.credentials().accessKeyID == "AK1")
    #expect(try await provider.credentials().accessKeyID == "AK1")
    #expect(source.fetches == 2)
    source.advance(minutes: 1.1)
    #expect(try await provider.credentials().accessKeyID == "AK1")
    #expect(source.fetches == 3)
    source.advance(minutes: 3)
    await #expect(throws: CredentialsError.self) { try await provider.credentials() }
    source.fail(false)
    source.advance(minutes: 1)
    #expect(try await provider.credentials().accessKeyID == "AK5")
  }

  @Test(.promise("CRED-1"))
  func `a source that fails is asked again after a second, then after twice as long each time`()
    async throws
  {
    let source = Source()
    let provider = source.provider
    source.fail(true)
    var asked: [Int] = []
    for second in 0..<130 {
      let before = source.fetches
      await #expect(throws: CredentialsError.self) { try await provider.credentials() }
      if source.fetches > before { asked.append(second) }
      source.advance(minutes: 1.0 / 60)
    }
    #expect(asked == [0, 1, 3, 7, 15, 31, 63, 123])
    source.fail(false)
    source.advance(minutes: 1)
    #expect(try await provider.credentials().accessKeyID == "AK9")
  }

  @Test(.promise("CRED-1"))
  func `refused credentials are renewed, however good they seem`() async throws {
    let source = Source()
    let provider = source.provider
    let first = try await provider.credentials()
    let second = try await provider.credentials(after: first)
    #expect(second.accessKeyID == "AK2")
    // Whoever comes late with the old ones gets the new ones, and the source is not asked.
    #expect(try await provider.credentials(after: first) == second)
    #expect(try await provider.credentials() == second)
    #expect(source.fetches == 2)
  }

  @Test(.promise("CRED-1"))
  func `a source without new credentials is asked once for the refused ones, and again after a minute`()
    async throws
  {
    let time = Mutex(Date(timeIntervalSince1970: 0))
    let fetches = Mutex(0)
    let old = AWSCredentials(accessKeyID: "OLD", secretAccessKey: "s")
    let provider = RefreshingCredentials(now: { time.withLock { $0 } }) {
      fetches.withLock { $0 += 1 }
      return old
    }
    #expect(try await provider.credentials() == old)
    for _ in 0..<100 { #expect(try await provider.credentials(after: old) == old) }
    #expect(fetches.withLock { $0 } == 2)
    time.withLock { $0 += 61 }
    #expect(try await provider.credentials(after: old) == old)
    #expect(fetches.withLock { $0 } == 3)
  }

  @Test func `a renewal that fails says why, and is not tried again at once`() async throws {
    let source = Source()
    let provider = source.provider
    let first = try await provider.credentials()
    source.fail(true)
    await #expect(throws: CredentialsError.self) { try await provider.credentials(after: first) }
    #expect(try await provider.credentials(after: first) == first)
    #expect(source.fetches == 2)
  }

  @Test func `a caller that is cancelled stops waiting, and the fetch ends with the last`() async throws {
    let (begun, begin) = AsyncStream.makeStream(of: Void.self)
    let (ended, end) = AsyncStream.makeStream(of: Void.self)
    let provider = RefreshingCredentials(now: { Date(timeIntervalSince1970: 0) }) {
      begin.yield()
      do {
        try await Task.sleep(for: .seconds(600))
      } catch {
        end.yield()
        throw error
      }
      return AWSCredentials(accessKeyID: "A", secretAccessKey: "s")
    }
    let first = Task { try await provider.credentials() }
    for await _ in begun { break }
    let second = Task.immediate { try await provider.credentials() }
    second.cancel()
    await #expect(throws: CancellationError.self) { try await second.value }
    first.cancel()
    await #expect(throws: CancellationError.self) { try await first.value }
    for await _ in ended { break }
  }

  @Test func `a fetch that was given up does not answer those who come after it`() async throws {
    let (begun, begin) = AsyncStream.makeStream(of: Void.self)
    let fetches = Mutex(0)
    let provider = RefreshingCredentials(now: { Date(timeIntervalSince1970: 0) }) {
      let number = fetches.withLock {
        $0 += 1
        return $0
      }
      begin.yield()
      if number == 1 { try await Task.sleep(for: .seconds(600)) }
      return AWSCredentials(accessKeyID: "AK\(number)", secretAccessKey: "s")
    }
    let given = Task { try await provider.credentials() }
    for await _ in begun { break }
    given.cancel()
    await #expect(throws: CancellationError.self) { try await given.value }
    #expect(try await provider.credentials().accessKeyID == "AK2")
  }

  @Test(.promise("CRED-1"))
  func `callers that come together share one fetch`() async throws {
    let (gate, open) = AsyncStream.makeStream(of: Void.self)
    let fetches = Mutex(0)
    let provider = RefreshingCredentials(now: { Date(timeIntervalSince1970: 0) }) {
      let number = fetches.withLock {
        $0 += 1
        return $0
      }
      for await _ in gate { break }
      return AWSCredentials(accessKeyID: "AK\(number)", secretAccessKey: "s")
    }
    let keys = try await withThrowingTaskGroup(of: String.self) { group in
      for _ in 0..<50 { group.addTask { try await provider.credentials().accessKeyID } }
      open.yield()
      return try await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(keys == ["AK1"])
    #expect(fetches.withLock { $0 } == 1)
  }
}
