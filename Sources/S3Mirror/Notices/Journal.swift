import Logging
import MirrorModel
import Synchronization
import TransferLog
import Transfers

/// Writes a mirror's actions to the transfer log, the program's log and the observer.
struct Journal: Sendable {
  private let log: TransferLogWriter?
  private let logger: Logger
  private let observer: (@Sendable (MirrorEvent) -> Void)?
  private let bucketURL: String
  private let failures: FailureReporter

  /// - Parameter failures: shared by all mirrors that an outage affects together.
  init(
    log: TransferLogWriter?, logger: Logger, observer: (@Sendable (MirrorEvent) -> Void)?, bucket: String,
    failures: FailureReporter = FailureReporter()
  ) {
    self.log = log
    self.logger = logger
    self.observer = observer
    bucketURL = "s3://\(bucket)/"
    self.failures = failures
  }

  // MARK: Transfers

  func uploaded(_ receipt: UploadReceipt, mirror: String, path: RelativePath, key: String, took: Duration) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .upload, path: path.string, url: bucketURL + key,
        bytes: receipt.byteCount, parts: receipt.parts, partsReused: receipt.partsReused,
        bytesCopied: receipt.bytesCopied > 0 ? receipt.bytesCopied : nil, attempts: receipt.attempts,
        seconds: took.seconds, checksum: Self.text(receipt),
        proof: receipt.proof.rawValue, etag: receipt.etag, requestID: receipt.requestID, outcome: .done))
    tell(
      .transferred(.init(mirror: mirror, operation: "upload", path: path.string, bytes: receipt.byteCount)))
    noteSuccess(of: path, mirror)
  }

  /// The check and the value that it compared.
  private static func text(_ receipt: UploadReceipt) -> String {
    switch receipt.checksum {
    case .crc32, .crc32Parts: "\(receipt.checksum.rawValue):\(receipt.crc32)"
    case .md5, .md5Parts: "\(receipt.checksum.rawValue):\(receipt.etag)"
    case .size, .none: receipt.checksum.rawValue
    }
  }

  func copied(bytes: Int64, etag: String, mirror: String, path: RelativePath, key: String, took: Duration) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .copy, path: path.string, url: bucketURL + key, bytes: bytes,
        seconds: took.seconds, etag: etag, outcome: .done))
    tell(.transferred(.init(mirror: mirror, operation: "copy", path: path.string, bytes: bytes)))
    noteSuccess(of: path, mirror)
  }

  /// Records an object that is no file here: the marker of a directory, or a receipt.
  func publishedOwn(
    bytes: Int64, etag: String, requestID: String?, mirror: String, path: RelativePath, key: String,
    took: Duration
  ) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .upload, path: path.string, url: bucketURL + key,
        bytes: bytes,
        seconds: took.seconds, etag: etag, requestID: requestID, outcome: .done))
    noteSuccess(of: path, mirror)
  }

  func downloaded(
    _ receipt: DownloadReceipt, mirror: String, path: RelativePath, key: String, took: Duration
  ) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .download, path: path.string, url: bucketURL + key,
        bytes: receipt.byteCount, parts: receipt.parts, partsReused: receipt.partsReused,
        attempts: receipt.attempts, seconds: took.seconds, checksum: receipt.checksum.rawValue,
        etag: receipt.etag, requestID: receipt.requestID, outcome: .done))
    tell(
      .transferred(.init(mirror: mirror, operation: "download", path: path.string, bytes: receipt.byteCount)))
    noteSuccess(of: path, mirror)
  }

  /// Records that a multipart upload was aborted because no run would finish it.
  func aborted(_ uploadID: String, mirror: String, key: String, because reason: AbortReason) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .abort, url: bucketURL + key, outcome: .done))
    let what =
      switch reason {
      case .stale: "the stale multipart upload \(uploadID) of \(key)"
      case .unfinished: "the multipart upload \(uploadID) of \(key), which no run would finish"
      }
    logger.info("\(visible("\(mirror): aborted \(what)"))")
  }

  enum AbortReason: Sendable {
    /// An earlier run left it unfinished for longer than `staleUploadAge`.
    case stale
    /// This run began it.
    case unfinished
  }

  func deleted(mirror: String, path: RelativePath, key: String) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .delete, path: path.string, url: bucketURL + key,
        outcome: .done))
    noteSuccess(of: path, mirror)
  }

  func deletedLocally(mirror: String, path: RelativePath) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: mirror, operation: .deleteLocal, path: path.string, outcome: .done))
  }

  /// Records that a path failed.
  ///
  /// In each outage a path has one record in the transfer log, however often it is tried. `OutageNotices`
  /// limits the other reports.
  func failed(
    _ operation: TransferOperation, mirror: String, path: RelativePath, key: String, error: any Error
  ) {
    let reason = cause(of: error)
    let record = TransferRecord(
      time: .now(), mirror: mirror, operation: operation, path: path.string, url: bucketURL + key,
      outcome: .failed, error: reason)
    // A cancelled transfer is not the file's fault. The report at the end names it once.
    guard !(error is CancellationError) else {
      log?.append(record)
      return
    }
    let failure = failures.failed(
      .init(mirror: mirror, path: path.string),
      because: FailureCause.text(of: error, operation: operation.rawValue, path: path.string, key: key))
    if failure.isNew { log?.append(record) }
    for notice in failure.notices {
      if notice == .single {
        logger.warning("\(visible("\(mirror): \(operation.rawValue) of \(path) failed: \(reason)"))")
        tell(.failed(mirror: mirror, operation: operation.rawValue, path: path.string, reason: reason))
      } else {
        say(notice)
      }
    }
  }

  /// Records that a stale multipart upload could not be aborted. As with files, only the first failures of
  /// one cause are named.
  func failedToAbort(mirror: String, key: String, error: any Error) {
    let why = FailureCause.text(of: error, operation: "abort", path: key, key: key)
    for said in failures.failed(.init(mirror: mirror, path: "abort " + key), because: "abort: " + why).notices
    {
      if said == .single {
        notice("\(mirror): the stale multipart upload of \(key) stays: \(error)")
      } else {
        say(said)
      }
    }
  }

  private func noteSuccess(of path: RelativePath, _ mirror: String) {
    failures.succeeded(.init(mirror: mirror, path: path.string)).forEach(say)
  }

  private func say(_ outage: OutageNotices.Notice) {
    if let text = outage.text { notice(text) }
  }

  // MARK: Passes

  func passed(_ summary: PassSummary) {
    log?.append(
      TransferRecord(
        time: .now(), mirror: summary.name, operation: TransferOperation(rawValue: summary.kind.rawValue),
        bytes: summary.publishedBytes, seconds: summary.seconds, files: summary.published,
        deleted: summary.deleted, requests: summary.requests,
        outcome: summary.failures.isEmpty ? .done : .failed))
    logger.debug("\(visible(summary.description))")
    failures.passed().forEach(say)
    tell(.pass(summary))
  }

  func notice(_ text: String) {
    logger.notice("\(visible(text))")
    tell(.notice(text))
  }

  private func tell(_ event: MirrorEvent) {
    observer?(event)
  }
}

extension Duration {
  /// The duration in seconds, for logs and reports.
  var seconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }
}
