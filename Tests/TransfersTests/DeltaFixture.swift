import Digests
import Foundation
import MirrorModel
import S3Client
import Synchronization
import TestSupport
import Testing
import Transfers

/// One file that is published again and again by a run that remembers what it published.
final class DeltaFixture: Sendable {
  static let name: RelativePath = "a"

  let files: TransferFixture
  /// The reasons for which deltas ended.
  let notices = Mutex<[String]>([])
  private let known = Mutex<KnownObject?>(nil)
  private let run: Mutex<UploadSettings>
  private let wrapped: any ObjectStore

  /// - Parameters:
  ///   - threshold: the largest file for one request. Parts have 5 MiB, S3's smallest size, unless it is larger.
  ///   - wrap: a store that answers wrongly.
  init(
    checksums: FakeBucket.Checksums = .verified, threshold: Int64 = UploadPlan.Limit.smallestPart,
    workers: Int = 4, wrap: (FakeObjectStore) -> any ObjectStore = { $0 }
  ) throws {
    files = try TransferFixture(workers: workers, behaviour: FakeBucket.Behaviour(checksums: checksums))
    var settings = files.settings
    settings.singleThreshold = threshold
    settings.partBytes = max(threshold, UploadPlan.Limit.smallestPart)
    run = Mutex(settings)
    wrapped = wrap(files.store)
  }

  var store: FakeObjectStore { files.store }

  var settings: UploadSettings { run.withLock { $0 } }

  /// Another run begins, which has seen so far that the checksum of a file in one request is compared.
  func beginRun() {
    run.withLock { settings in
      settings.checksums = ChecksumSupport()
      settings.checksums.note(isEchoed: true, for: .object)
      settings.deltaSupport = DeltaSupport()
    }
  }

  var uploader: Uploader {
    var settings = settings
    settings.whenDeltasEnd = { [weak self] reason in self?.notices.withLock { $0.append(reason) } }
    return files.uploader(settings, store: wrapped)
  }

  /// Publishes the file, and remembers its blocks.
  @discardableResult
  func publish(
    openFiles: OpenFilePolicy = .wait, whenStaged: Uploader.WhenStaged? = nil,
    beforePublication: @escaping @Sendable () async throws -> Void = {}
  ) async throws -> UploadReceipt {
    let receipt = try await uploader.upload(
      Self.name, of: files.root, to: "a", isCloseSeen: openFiles == .wait, openFiles: openFiles,
      over: known.withLock { $0.map { [$0] } ?? [] }, whenStaged: whenStaged,
      beforePublication: beforePublication)
    known.withLock { known in
      known = receipt.blocks.map { KnownObject(etag: receipt.etag, blocks: $0) }
    }
    return receipt
  }

  /// Writes the file and publishes it, and counts only what comes after.
  func begin(with bytes: [UInt8]) async throws {
    try files.write("a", bytes)
    try await publish()
    await store.forgetCalls()
  }

  /// Puts other tags in the place of the MD5s.
  ///
  /// - Parameter keepingKeyed: whether the digests under this process's key stay.
  func forgetMD5s(keepingKeyed: Bool = false) {
    known.withLock { known in
      guard let object = known else { return }
      let digests = (0..<object.blocks.count).map { index in
        ContentBlocks.Digest(crc32: object.blocks[index].crc32, md5: Array(repeating: 7, count: 16))
      }
      var blocks = ContentBlocks(object.blocks.grid, digests: digests) ?? object.blocks
      let keyed = (0..<blocks.count).compactMap { index in
        object.blocks.keyedDigest(of: index).map { (index, $0) }
      }
      if keepingKeyed { blocks.note(keyedDigests: Dictionary(uniqueKeysWithValues: keyed)) }
      known?.blocks = blocks
    }
  }

  func forget() { known.withLock { $0 = nil } }

  func append(_ bytes: [UInt8]) throws {
    let writer = try SoleWriter(files.url("a").path, O_APPEND)
    try writer.write(bytes)
    try writer.close()
  }

  /// Whether the object has the file's bytes.
  func isPublished() async throws -> Bool { await store.bytes("a") == (try files.read("a")) }

  var copies: Int { get async { await store.count(of: "UploadPartCopy") } }
  var sends: Int { get async { await store.count(of: "UploadPart") + store.count(of: "PutObject") } }
}

/// A server whose copies of parts, or whose completions, are wrong in one way.
struct WrongCopies: ObjectStore {
  enum Fault: Sendable {
    /// The whole source is copied.
    case range
    /// The source is copied whatever version it has.
    case condition
    /// The answer to a copy has no checksum, and that to a completion has none either.
    case noChecksums
    /// As `noChecksums`, and HeadObject returns none either.
    case noChecksumsAtAll
    /// As `noChecksums`, and the parts begin one byte later.
    case shiftedWithoutChecksums
    /// The ETag of a completion is not that of the object.
    case completionTag
  }

  let base: any ObjectStore
  let fault: Fault

  var bucket: String { base.bucket }

  private var hidesChecksums: Bool {
    [.noChecksums, .noChecksumsAtAll, .shiftedWithoutChecksums].contains(fault)
  }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let output: any Sendable
    switch operation {
    case var copy as UploadPartCopy:
      switch fault {
      case .range: copy.range = nil
      case .condition: copy.source.ifMatch = nil
      case .shiftedWithoutChecksums: copy.range = copy.range.map { $0.lowerBound + 1...$0.upperBound + 1 }
      case .noChecksums, .noChecksumsAtAll, .completionTag: break
      }
      var answer = try await base.send(copy)
      if hidesChecksums { answer.checksumCRC32 = nil }
      output = answer
    case let complete as CompleteMultipartUpload:
      var answer = try await base.send(complete)
      if hidesChecksums { answer.checksumWasEchoed = false }
      if fault == .completionTag { answer.etag = String(answer.etag.reversed()) }
      output = answer
    case let head as HeadObject where fault == .noChecksumsAtAll:
      if let fake = base as? FakeObjectStore, let key = head.key { await fake.forgetChecksum(of: key) }
      output = try await base.send(head)
    default: return try await base.send(operation)
    }
    guard let answer = output as? Operation.Output else { throw refusal(Operation.name, code: "WrongOutput") }
    return answer
  }
}
