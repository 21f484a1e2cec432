import Credentials
import Foundation
import SigV4
import Synchronization
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

  @Test func `credentials are fetched again 5 minutes before they end`() async throws {
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
    #expect(try await provider.credentials().accessKeyID == "AK5")
  }

  @Test func `a failure is not kept`() async throws {
    let source = Source()
    let provider = source.provider
    source.fail(true)
    await #expect(throws: CredentialsError.self) { try await provider.credentials() }
    source.fail(false)
    #expect(try await provider.credentials().accessKeyID == "AK2")
  }

  @Test func `callers that come together share one fetch`() async throws {
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
