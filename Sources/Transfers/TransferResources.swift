import LocalTree
import LoopThread
import S3Client
import Synchronization

/// What all transfers of a run share: threads that read, slots, and the memory that payloads may hold.
package struct TransferResources: Sendable {
  package let readers: WorkerThreads
  /// Put what was downloaded in place. They wait for disks, and several waits for one disk end together, so there are more
  /// of them; they are started by the first download.
  package let writers: WorkerThreads
  package let slots: FairSemaphore
  package let budget: FairSemaphore
  /// Bytes that private copies of files may take at one time.
  package let copies: FairSemaphore
  /// The largest file that is copied; 0 where none is.
  package let copyBytes: Int64
  /// Where they lie.
  package let copyDirectory: String

  /// The buckets whose multipart tags are no digests.
  let opaqueTags = OpaqueTags()

  /// 96 MiB: six bodies of the largest size that goes in one request by default, under 150 MiB for the process.
  package static let defaultBudgetBytes: Int64 = 96 << 20

  /// 16 GiB: a shard of a large checkpoint. Each copy needs its own size free besides.
  package static let defaultCopyBytes: Int64 = 16 << 30

  /// 1 MiB: bodies up to this size have a share of the memory for themselves.
  private static let smallBytes: Int64 = 1 << 20

  /// What a stretch that is streamed counts for: the piece it is hashed by, and libcurl's buffer, 256 KiB each.
  private static let streamedBytes: Int64 = 512 << 10

  /// - Parameters:
  ///   - workers: transfers in flight across everything.
  ///   - budgetBytes: memory that payloads may hold.
  ///   - copyBytes: disk that private copies may hold.
  ///   - priority: of the threads that read.
  package init(
    workers: Int, budgetBytes: Int64 = defaultBudgetBytes, copyBytes: Int64 = defaultCopyBytes,
    copyDirectory: String = PrivateCopy.standardDirectory, priority: ThreadPriority = .normal
  ) throws {
    self.copyBytes = copyBytes
    self.copyDirectory = copyDirectory
    copies = FairSemaphore(capacity: copyBytes)
    // Two threads keep both cores reading and hashing; more only compete with the trainer.
    readers = try WorkerThreads(count: min(max(workers, 1), 2), name: "s3m-read", priority: priority)
    writers = try WorkerThreads(
      count: min(max(workers, 1), 8), name: "s3m-write", priority: priority, start: .atFirstCall)
    slots = FairSemaphore(capacity: Int64(max(workers, 1)), pauses: .yielding)
    budget = FairSemaphore(capacity: budgetBytes)
  }

  /// Ends the threads, after what is queued.
  package func stop() {
    readers.stop()
    writers.stop()
  }

  // MARK: Slots

  /// Sends a request in one of the slots, and tells how many times it had to be sent.
  package func send<Operation: S3Operation>(
    _ operation: Operation, through store: any ObjectStore, for use: FairSemaphore.Use = .whole
  ) async throws -> (answer: Operation.Output, attempts: Int) {
    let (answer, attempts) = try await AttemptCount.counting {
      try await slots.withPermit(for: use) { try await store.send(operation) }
    }
    return (answer, attempts)
  }

  // MARK: Memory

  /// Whether memory may hold a stretch of so many bytes: a sixth of the budget at the most, so that larger ones neither wait
  /// for one another nor exceed it.
  func fitsInMemory(_ byteCount: Int64) -> Bool {
    byteCount <= max(budget.capacity / 6, min(budget.capacity, UploadPlan.Limit.smallestPart))
  }

  /// Runs `body` while holding the memory that a stretch of so many bytes needs.
  func withMemory<Result: Sendable>(
    for byteCount: Int64, _ holding: PartRead.Holding, _ body: () async throws -> Result
  ) async throws -> Result {
    let amount = holding == .buffered ? byteCount : Self.streamedBytes
    // Large bodies that are not answered leave memory for small ones.
    return try await budget.withPermit(amount, for: amount > Self.smallBytes ? .part : .whole, body)
  }
}

/// The buckets in which the ETag of a multipart object was found to be made of something else than the MD5s of its parts, as some
/// servers have it. To find that out costs a second download, of one object of the bucket.
final class OpaqueTags: Sendable {
  private let buckets = Mutex<Set<String>>([])

  func contains(_ bucket: String) -> Bool { buckets.withLock { $0.contains(bucket) } }

  func insert(_ bucket: String) { buckets.withLock { _ = $0.insert(bucket) } }
}
