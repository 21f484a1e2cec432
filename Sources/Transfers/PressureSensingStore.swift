import LoopThread
import MirrorModel
import S3Client

/// A store that reports the server's pressure to the slots. It is placed below the retries, which would hide
/// the pressure.
package final class PressureSensingStore: ObjectStore {
  private let store: any ObjectStore
  private let slots: FairSemaphore
  /// A monotonic clock in nanoseconds.
  private let clock: @Sendable () -> Int64

  package init(_ store: any ObjectStore, slots: FairSemaphore, clock: @escaping @Sendable () -> Int64) {
    self.store = store
    self.slots = slots
    self.clock = clock
  }

  package var bucket: String { store.bucket }
  package var executors: [any TaskExecutor] { store.executors }
  package var signsBodies: Bool { store.signsBodies }
  package var takesTrailers: Bool { store.takesTrailers }

  package func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let payload = RequestPayload(of: operation)
    let cuts = slots.begin(hasPayload: payload != nil, at: clock)
    do {
      let output = try await store.send(operation)
      if let payload, slots.succeed(byteCount: payload.byteCount(answeredBy: output), at: clock()) { climb() }
      return output
    } catch let error as S3Error {
      if S3ErrorTriage.isThrottling(error) { slots.slowDown(begunAfter: cuts, at: clock()) }
      throw error
    }
  }

  /// Carries a rise of the limit on until its end, about an eighth of a second.
  private func climb() {
    Task(executorPreference: TaskThreads.current) { [slots, clock] in
      repeat {
        try await TaskThreads.pause(for: .nanoseconds(ConcurrencyTuner.climbPause))
      } while slots.climb(at: clock())
    }
  }
}
