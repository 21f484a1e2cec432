import LoopThread

/// What all transfers of a run share: threads that read, slots, and the memory that payloads may hold.
package struct TransferResources: Sendable {
  package let readers: WorkerThreads
  package let slots: FairSemaphore
  package let budget: FairSemaphore

  /// 96 MiB: six parts of the default size in flight, under 150 MiB for the process.
  package static let defaultBudgetBytes: Int64 = 96 << 20

  /// What a stretch that is streamed counts for: the piece it is hashed by, and libcurl's buffer of 256 KiB.
  private static let streamedBytes: Int64 = 1 << 20

  /// - Parameters:
  ///   - workers: transfers in flight across everything.
  ///   - budgetBytes: memory that payloads may hold.
  ///   - priority: of the threads that read.
  package init(
    workers: Int, budgetBytes: Int64 = defaultBudgetBytes, priority: ThreadPriority = .normal
  ) throws {
    // Two threads keep both cores reading and hashing; more only compete with the trainer.
    readers = try WorkerThreads(count: min(max(workers, 1), 2), name: "s3m-read", priority: priority)
    slots = FairSemaphore(capacity: Int64(max(workers, 1)))
    budget = FairSemaphore(capacity: budgetBytes)
  }

  /// Ends the threads, after what is queued.
  package func stop() {
    readers.stop()
  }

  // MARK: Memory

  /// How a stretch of so many bytes is held: a sixth of the budget at the most is in memory, so that larger parts neither
  /// wait for one another nor exceed it.
  func holding(_ byteCount: Int64) -> PartRead.Holding {
    byteCount <= max(budget.capacity / 6, min(budget.capacity, UploadPlan.Limit.smallestPart))
      ? .buffered : .streamed
  }

  /// The stretches of so many bytes that can be in flight at one time.
  func width(forStretchesOf byteCount: Int64) -> Int {
    max(1, Int(min(budget.capacity / max(memory(for: byteCount), 1), slots.capacity)))
  }

  /// Runs `body` while holding the memory that a stretch of so many bytes needs.
  func withMemory<Result: Sendable>(for byteCount: Int64, _ body: () async throws -> Result) async throws
    -> Result
  {
    try await budget.withPermit(memory(for: byteCount), body)
  }

  private func memory(for byteCount: Int64) -> Int64 {
    holding(byteCount) == .buffered ? byteCount : Self.streamedBytes
  }
}
