import Digests
import LocalTree
import MirrorModel
import S3Client
import Synchronization

/// The download of one large object in ranges. If-Match ties each range to one version.
///
/// After every range, the record behind the partial file's content is updated, so an interrupted download can
/// be resumed. A resumed download reads the ranges on disk again and compares their checksums, because after
/// a power failure the record may be on disk without the bytes.
final class RangedDownload: Sendable {
  private let downloader: Downloader
  private let key: String
  private let object: RemoteObject
  private let file: PartialFile
  /// The positions of the ranges. They are kept apart from the ledger, because a writer may lock the ledger
  /// while it waits for the disk.
  private let layout: RangeLedger
  private let ledger: Mutex<RangeLedger>

  private var resources: TransferResources { downloader.resources }

  /// - Parameter object: with the ETag that every range must have.
  init(downloader: Downloader, key: String, object: RemoteObject, file: PartialFile) {
    self.downloader = downloader
    self.key = key
    self.object = object
    self.file = file
    var ledger = RangeLedger(object: object, rangeBytes: downloader.settings.rangeBytes)
    if let record = file.progress { ledger.adopt(record) }
    layout = ledger
    self.ledger = Mutex(ledger)
  }

  struct Outcome: Sendable {
    var crc: CRC32
    var ranges: Int
    var reused: Int
    var attempts: Int
  }

  func run() async throws -> Outcome {
    try await confirmAdopted()
    let start = ledger.withLock { $0 }
    let missing = (0..<start.rangeCount).filter { start.checksums[$0] == nil }
    let attempts = try await withThrowingTaskGroup(of: Int.self) { group in
      var rest = missing[...]
      func begin() {
        if let index = rest.popFirst() { group.addTask { try await self.fetch(index) } }
      }
      for _ in 0..<resources.slots.partsUnderWay { begin() }
      var most = 1
      while let attempts = try await group.next() {
        most = max(most, attempts)
        begin()
      }
      return most
    }
    guard let crc = ledger.withLock({ $0.whole }) else { preconditionFailure("a range is missing") }
    return Outcome(
      crc: crc, ranges: start.rangeCount, reused: start.rangeCount - missing.count, attempts: attempts)
  }

  /// Reads the ranges of an earlier attempt again. A range that differs is fetched again.
  private func confirmAdopted() async throws {
    let adopted = ledger.withLock { $0 }
    for (index, expected) in adopted.checksums {
      let (offset, byteCount) = adopted.extent(of: index)
      let found = try await resources.readers.run { [file] in
        try checksum(of: file, from: offset, byteCount: byteCount)
      }
      if found != expected { ledger.withLock { $0.forget(index) } }
    }
  }

  private func fetch(_ index: Int) async throws -> Int {
    let (offset, byteCount) = layout.extent(of: index)
    let sink = FileSink(file: file, offset: offset, byteCount: byteCount, content: .range)
    let get = GetObject(
      key: key, range: offset...(offset + byteCount - 1), ifMatch: downloader.ifMatch(object), sink: sink)
    let (_, attempts) = try await resources.send(get, through: downloader.store, for: .part)
    try downloader.requireSize(sink.received.byteCount, of: byteCount, key: key)
    let crc = sink.received.crc
    try await resources.writers.run { [self] in
      // Done under the lock, so that an older record never replaces a newer one.
      try ledger.withLock { ledger in
        ledger.note(crc, for: index)
        try file.record(progress: ledger.record)
      }
    }
    return attempts
  }
}
