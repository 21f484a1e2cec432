import LoopThread

/// What all transfers of a run share: threads that read, slots, and the memory that payloads may hold.
package struct TransferResources: Sendable {
  package let readers: WorkerThreads
  package let slots: FairSemaphore
  package let budget: FairSemaphore

  /// 96 MiB: six parts of the default size in flight, under 150 MiB for the process.
  package static let defaultBudgetBytes: Int64 = 96 << 20

  /// - Parameters:
  ///   - workers: transfers in flight across everything.
  ///   - budgetBytes: memory that payloads may hold.
  package init(workers: Int, budgetBytes: Int64 = defaultBudgetBytes) throws {
    // Two threads keep both cores reading and hashing; more only compete with the trainer.
    readers = try WorkerThreads(count: min(max(workers, 1), 2), name: "s3m-read")
    slots = FairSemaphore(capacity: Int64(max(workers, 1)))
    budget = FairSemaphore(capacity: budgetBytes)
  }

  /// Ends the threads, after what is queued.
  package func stop() {
    readers.stop()
  }
}
