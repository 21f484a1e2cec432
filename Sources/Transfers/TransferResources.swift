import LocalTree
import LoopThread
import S3Client
import Synchronization

/// The resources that all transfers of a run share: reader threads, slots, and memory for payloads.
package struct TransferResources: Sendable {
  package let readers: WorkerThreads
  /// Threads that put downloads in place. They wait for disks, and several waits for one disk can overlap, so
  /// there are more of these threads. The first download starts them.
  package let writers: WorkerThreads
  package let slots: FairSemaphore
  package let budget: FairSemaphore
  /// The bytes that private copies of files may occupy at one time.
  package let copies: FairSemaphore
  /// The largest file that is copied; 0 turns copies off.
  package let copyBytes: Int64
  /// The directory of the copies.
  package let copyDirectory: String

  /// The buckets whose multipart ETags are no digests.
  let opaqueTags = OpaqueTags()

  /// 96 MiB: six bodies of the largest default size of a single request, with less than 150 MiB for the
  /// process.
  package static let defaultBudgetBytes: Int64 = 96 << 20

  /// 16 GiB: a shard of a large checkpoint. Each copy also needs its size in free disk space.
  package static let defaultCopyBytes: Int64 = 16 << 30

  /// 1 MiB. A share of the memory is kept for bodies up to this size.
  private static let smallBytes: Int64 = 1 << 20

  /// The memory for a streamed stretch: the piece being hashed, and libcurl's buffer, 256 KiB each.
  private static let streamedBytes: Int64 = 512 << 10

  /// - Parameters:
  ///   - workers: how many transfers may be in flight.
  ///   - limit: whether the number in flight is fixed, or measured up to that number.
  ///   - budgetBytes: the memory for payloads.
  ///   - copyBytes: the disk space for private copies.
  ///   - priority: the priority of the threads.
  package init(
    workers: Int, limit: FairSemaphore.Limit = .fixed, budgetBytes: Int64 = defaultBudgetBytes,
    copyBytes: Int64 = defaultCopyBytes,
    copyDirectory: String = PrivateCopy.standardDirectory, priority: ThreadPriority = .normal
  ) throws {
    self.copyBytes = copyBytes
    self.copyDirectory = copyDirectory
    copies = FairSemaphore(capacity: copyBytes)
    // Two threads keep both cores busy with reading and hashing; more would only compete with the trainer.
    readers = try WorkerThreads(count: min(max(workers, 1), 2), name: "s3m-read", priority: priority)
    writers = try WorkerThreads(
      count: min(max(workers, 1), 8), name: "s3m-write", priority: priority, start: .atFirstCall)
    slots = FairSemaphore(capacity: Int64(max(workers, 1)), pauses: .yielding, limit: limit)
    budget = FairSemaphore(capacity: budgetBytes)
  }

  /// Ends the threads after their queued work.
  package func stop() {
    readers.stop()
    writers.stop()
  }

  // MARK: Slots

  /// Sends a request in one of the slots. Returns how often it had to be sent.
  package func send<Operation: S3Operation>(
    _ operation: Operation, through store: any ObjectStore, for use: FairSemaphore.Use = .whole
  ) async throws -> (answer: Operation.Output, attempts: Int) {
    let (answer, attempts) = try await inSlot(for: use) { try await store.send(operation) }
    return (answer, attempts)
  }

  /// Runs `body` in one of the slots. Returns how often it had to send a request.
  func inSlot<Result: Sendable>(
    for use: FairSemaphore.Use, _ body: () async throws -> Result
  ) async throws -> (result: Result, attempts: Int) {
    let (result, attempts) = try await AttemptCount.counting { try await slots.withPermit(for: use, body) }
    return (result, attempts)
  }

  // MARK: Memory

  /// Whether a stretch of this size may be held in memory: at most a sixth of the budget, so that larger
  /// stretches neither wait for one another nor exceed the budget.
  func fitsInMemory(_ byteCount: Int64) -> Bool {
    byteCount <= max(budget.capacity / 6, min(budget.capacity, UploadPlan.Limit.smallestPart))
  }

  /// Runs `body` while holding the memory for a stretch of this size.
  func withMemory<Result: Sendable>(
    for byteCount: Int64, _ holding: PartRead.Holding, _ body: () async throws -> Result
  ) async throws -> Result {
    let amount = holding == .buffered ? byteCount : Self.streamedBytes
    // Large bodies without an answer leave memory for small ones.
    return try await budget.withPermit(amount, for: amount > Self.smallBytes ? .part : .whole, body)
  }
}

/// The buckets in which the ETag of a multipart object is not made of the MD5s of its parts, as on some
/// servers. Each discovery costs a second download of one object of the bucket.
final class OpaqueTags: Sendable {
  private let buckets = Mutex<Set<String>>([])

  func contains(_ bucket: String) -> Bool { buckets.withLock { $0.contains(bucket) } }

  func insert(_ bucket: String) { buckets.withLock { _ = $0.insert(bucket) } }
}
