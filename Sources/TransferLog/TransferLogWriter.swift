// The transfer log: what was transferred, when, and with which proof, in files that survive a kill.
//
// record       one finished or failed transfer: one line of JSON
// batch        the lines that wait in memory for the next sync point
// sync point   the moment at which a batch is written to the file, as one gzip member that ends with a
//                newline
// member       a complete gzip stream; a file is a sequence of members (RFC 1952, 2.2)
// series       the files of one run: one each UTC day, more when they grow large
// tally        what a reading found: records, bad lines, damaged and incomplete files

import Synchronization
import SystemPackage

/// Appends records to the transfer log of one run. It never throws and never waits for the network.
///
/// While `run()` runs, a record waits in memory for at most `syncInterval`; then its batch is written in one
/// write(2). Written lines survive SIGKILL. They are not forced to the disk (fsync), so a power failure may
/// lose the last ones.
///
/// Lines that cannot be written wait for the next sync point, up to `maxPendingBytes`; later records are then
/// dropped and counted. Each kind of trouble is reported once, through `onFailure`.
package final class TransferLogWriter: Sendable {
  /// A kill loses the records of at most one second. Each sync point costs its own gzip member.
  package static let syncInterval = Duration.seconds(1)
  /// A batch of this size is written at once: about 600 records, 5 ms of zlib's work.
  static let batchBytes = 256 * 1024
  /// The memory for lines that could not be written yet: about 10,000 records.
  static let maxPendingBytes = 4 * 1024 * 1024

  private struct Pending {
    var lines: [UInt8] = []
    var records = 0
    /// The UTC day of the batch's first record.
    var day: UTCDay?
    /// The bytes of a running sync, which may come back after a failure.
    var takenBytes = 0
    var hasRung = false
    /// The last sync failed. No record tries again before the next sync point, because each try costs a whole
    /// batch.
    var hasFailed = false
    var isClosed = false
    var dropped = 0
  }

  /// The kinds of trouble. Each is reported once.
  private enum Trouble { case writing, expiring, dropping }

  /// Lock order: `series` before `pending`. `append` locks only `pending`, which is never held during a
  /// system call.
  private let series: Mutex<LogFileSeries>
  private let pending = Mutex(Pending())
  private let said = Mutex(Set<Trouble>())
  private let bell: AsyncStream<Void>
  private let ringer: AsyncStream<Void>.Continuation
  private let keepDays: Int?
  private let lastExpiry: Mutex<UTCDay>
  private let now: @Sendable () -> UTCTime
  private let clock: any Clock<Duration>
  private let onFailure: @Sendable (String) -> Void

  /// Creates the directory and removes this mirror's old files. The first batch creates the first file.
  ///
  /// - Parameters:
  ///   - keepDays: how many days before today are kept; `nil` keeps all.
  ///   - maxFileBytes: the compressed size above which a run begins another file.
  ///   - now: the wall clock, which names the files.
  ///   - clock: the clock for the pauses of `run()`.
  ///   - onFailure: receives the message, once for each kind of trouble, from any thread.
  package init(
    directory: FilePath, mirror: String, keepDays: Int? = 30, maxFileBytes: Int64 = 64 * 1024 * 1024,
    now: @escaping @Sendable () -> UTCTime = UTCTime.now, clock: any Clock<Duration> = ContinuousClock(),
    onFailure: @escaping @Sendable (String) -> Void
  ) {
    let start = now()
    series = Mutex(
      LogFileSeries(directory: directory, mirror: mirror, start: start, maxFileBytes: maxFileBytes))
    (bell, ringer) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    self.keepDays = keepDays.map { max(0, $0) }
    lastExpiry = Mutex(start.day)
    self.now = now
    self.clock = clock
    self.onFailure = onFailure
    do {
      try series.withLock { series throws(TransferLogError) in try series.createDirectory() }
    } catch {
      say(error.description, about: .writing)
    }
    expire(today: start.day)
  }

  /// Adds a record to the batch.
  package func append(_ record: TransferRecord) {
    let line = JSONLine(record).bytes
    let day = now().day
    let endsBatch = pending.withLock { pending in
      pending.records > 0 && !pending.hasFailed
        && (pending.day != day || pending.lines.count >= Self.batchBytes)
    }
    if endsBatch { syncUnlessBusy() }
    enum Effect { case none, ring, drop }
    let effect: Effect = pending.withLock { pending in
      guard !pending.isClosed, pending.lines.count + pending.takenBytes + line.count <= Self.maxPendingBytes
      else {
        pending.dropped += 1
        return .drop
      }
      if pending.records == 0 { pending.day = day }
      pending.lines += line
      pending.records += 1
      if pending.hasRung { return .none }
      pending.hasRung = true
      return .ring
    }
    switch effect {
    case .none: break
    case .ring: ringer.yield()
    case .drop: say("transfer log: records are being dropped, since they cannot be written", about: .dropping)
    }
  }

  /// Writes batches when they are due, until `close()` or a cancellation. Nothing wakes it while no record
  /// waits.
  ///
  /// Run it as a child of the session's task group. A cancellation ends it at once, `close()` within an
  /// interval. Either way it ends with a sync point.
  package func run() async {
    for await _ in bell {
      do {
        try await clock.sleep(for: Self.syncInterval)
      } catch {
        // Cancelled: the batch is written at once.
        break
      }
      sync()
    }
    sync()
  }

  /// Makes a sync point and waits for the local disk. When it returns, every earlier record is in the file,
  /// or its failure was reported.
  package func sync() {
    let failure = series.withLock { series in writeBatch(to: series) }
    finishSync(failure)
  }

  /// Makes the last sync point. `run()` returns, and later records are dropped.
  package func close() {
    pending.withLock { $0.isClosed = true }
    ringer.finish()
    let failures = series.withLock { series -> [TransferLogError] in
      var failures = writeBatch(to: series).map { [$0] } ?? []
      do throws(TransferLogError) {
        try series.close()
      } catch {
        failures.append(error)
      }
      return failures
    }
    finishSync(failures.first)
    pending.withLock { pending in
      pending.dropped += pending.records
      pending.records = 0
      pending.lines = []
    }
  }

  /// How many records will never reach a file.
  package var droppedRecords: Int { pending.withLock { $0.dropped } }

  /// The file that got the last batch.
  package var currentPath: FilePath? { series.withLock { $0.currentPath } }

  /// Syncs, unless a sync is already running, so that a slow disk delays one transfer and not all.
  private func syncUnlessBusy() {
    guard let failure = series.withLockIfAvailable({ series in writeBatch(to: series) }) else { return }
    finishSync(failure)
  }

  /// Takes the batch and writes it. After a failure, puts it back before later records.
  private func writeBatch(to series: LogFileSeries) -> TransferLogError? {
    let batch = pending.withLock { pending -> Pending in
      let batch = pending
      pending.lines = []
      pending.records = 0
      pending.takenBytes = batch.lines.count
      // This happens after a failure too: the next record rings for another try, and nothing wakes until
      // then.
      pending.hasRung = false
      return batch
    }
    guard batch.records > 0, let day = batch.day else { return nil }
    do throws(TransferLogError) {
      try series.write(batch.lines, day: day)
      pending.withLock { pending in
        pending.takenBytes = 0
        pending.hasFailed = false
      }
      return nil
    } catch {
      pending.withLock { pending in
        pending.lines = batch.lines + pending.lines
        pending.records += batch.records
        pending.day = day
        pending.takenBytes = 0
        pending.hasFailed = true
      }
      return error
    }
  }

  private func finishSync(_ failure: TransferLogError?) {
    if let failure { say(failure.description, about: .writing) }
    let today = now().day
    let isNewDay = lastExpiry.withLock { last in
      defer { last = today }
      return last != today
    }
    if isNewDay { expire(today: today) }
  }

  private func expire(today: UTCDay) {
    guard let keepDays else { return }
    do {
      try series.withLock { series throws(TransferLogError) in
        try series.removeFiles(olderThan: keepDays, today: today)
      }
    } catch {
      say(error.description, about: .expiring)
    }
  }

  private func say(_ message: String, about trouble: Trouble) {
    if said.withLock({ $0.insert(trouble).inserted }) { onFailure(message) }
  }
}
