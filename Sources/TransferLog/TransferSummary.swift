import MirrorModel

/// The totals of some records: counts and bytes by operation and outcome.
package struct TransferSummary: Sendable, Hashable {
  package struct Row: Sendable, Hashable {
    package var count = 0
    package var bytes: Int64 = 0
    /// The sum of the transfers' times. Concurrent transfers count separately.
    package var seconds = 0.0
    /// Rounded, for a table.
    package var wholeSeconds: Int64 { Int64(saturating: seconds) }
    /// How many requests were sent beyond each transfer's first.
    package var retries = 0
    package var parts = 0
    package var partsReused = 0
    /// The bytes of uploads that the server copied from the objects that were replaced.
    package var bytesCopied: Int64 = 0

    package init() {}

    /// The bytes that passed through this host.
    package var bytesMoved: Int64 { bytes - bytesCopied }

    /// The average rate of one transfer in 10⁶ bytes a second; `nil` without bytes or time.
    package var megabytesPerSecond: Double? {
      bytesMoved > 0 && seconds > 0 ? Double(bytesMoved) / 1e6 / seconds : nil
    }
  }

  package struct Kind: Sendable, Hashable, Comparable {
    package var operation: TransferOperation
    package var outcome: TransferOutcome

    package init(_ operation: TransferOperation, _ outcome: TransferOutcome) {
      self.operation = operation
      self.outcome = outcome
    }

    package static func < (left: Kind, right: Kind) -> Bool {
      (left.operation.rawValue, left.outcome.rawValue) < (right.operation.rawValue, right.outcome.rawValue)
    }
  }

  package private(set) var rows: [Kind: Row] = [:]
  package private(set) var total = Row()
  /// When the first transfer began, computed from its record.
  package private(set) var first: UTCTime?
  /// When the last transfer ended.
  package private(set) var last: UTCTime?

  package init() {}

  package init(_ records: some Sequence<TransferRecord>) {
    for record in records { add(record) }
  }

  package mutating func add(_ record: TransferRecord) {
    rows[Kind(record.operation, record.outcome), default: Row()].add(record)
    total.add(record)
    // A line of another program may hold any number, so it is limited to a year.
    let seconds = min(max(record.seconds ?? 0, 0), 366 * 86_400)
    let begin = UTCTime(milliseconds: record.time.milliseconds - Int64(seconds * 1000))
    first = first.map { min($0, begin) } ?? begin
    last = last.map { max($0, record.time) } ?? record.time
  }

  package subscript(operation: TransferOperation, outcome: TransferOutcome) -> Row {
    rows[Kind(operation, outcome)] ?? Row()
  }

  /// Seconds from the beginning of the first transfer to the end of the last one.
  package var elapsedSeconds: Double {
    guard let first, let last else { return 0 }
    return Double(last.milliseconds - first.milliseconds) / 1000
  }

  /// The rate of all finished uploads and downloads together over the elapsed time, in 10⁶ bytes a second.
  /// Server-side copies do not count, because their bytes do not pass through this host.
  package var megabytesPerSecond: Double? {
    let bytes = self[.upload, .done].bytesMoved.addingSaturated(self[.download, .done].bytes)
    return bytes > 0 && elapsedSeconds > 0 ? Double(bytes) / 1e6 / elapsedSeconds : nil
  }
}

extension TransferSummary.Row {
  fileprivate mutating func add(_ record: TransferRecord) {
    count += 1
    bytes = bytes.addingSaturated(max(0, record.bytes ?? 0))
    seconds += record.seconds.map { max(0, $0) } ?? 0
    retries = retries.addingSaturated(max(1, record.attempts ?? 1) - 1)
    parts = parts.addingSaturated(max(0, record.parts ?? 0))
    partsReused = partsReused.addingSaturated(max(0, record.partsReused ?? 0))
    // A line of another program may hold any number.
    let copied = min(max(0, record.bytesCopied ?? 0), max(0, record.bytes ?? 0))
    bytesCopied = min(bytesCopied.addingSaturated(copied), bytes)
  }
}
