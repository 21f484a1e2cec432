import Digests
import LocalTree
import MirrorModel
import S3Client

/// Sizes for downloads.
package struct DownloadSettings: Sendable {
  /// The largest object that is fetched in one response, and the length of the ranges of larger objects, in
  /// bytes.
  package var rangeBytes: Int64 = 16 << 20

  package init() {}

  /// - Throws: `TransferSettingsError`, which names the value and the valid range.
  package func validate() throws(TransferSettingsError) {
    // Smaller ranges would send mostly requests, with response heads larger than the content.
    try TransferSettingsError.check(
      rangeBytes, "the range size", in: 1 << 16...UploadPlan.Limit.largestPart,
      meaning: "ranges are from 64 KiB to 5 GiB")
  }
}

/// The result of a successful download.
package struct DownloadReceipt: Sendable, Hashable {
  package var byteCount: Int64
  package var parts: Int
  /// Ranges that an earlier attempt had fetched.
  package var partsReused = 0
  package var etag: String
  package var requestID: String?
  /// The largest number of requests for one range.
  package var attempts: Int
  /// The check that the content passed: `crc32`, `md5`, the digest of the parts' CRC-32s or MD5s, or `size`
  /// if the server gives nothing else or its part sizes cannot be found.
  package var checksum: IntegrityCheck
}

/// The object differs from the requested or listed one.
package struct DownloadMismatch: Error, Sendable, Hashable, CustomStringConvertible {
  package var key: String
  package var reason: String
  /// The CRC-32 of a body of the right size with wrong content. Another attempt may get the right content.
  var damaged: CRC32?

  package var description: String { "\(key): \(reason)" }
}

/// An object is a symbolic link that a download does not make.
package struct LinkRefused: Error, Sendable, Hashable, CustomStringConvertible {
  package var path: RelativePath
  package var reason: LinkObject.Refusal

  package var description: String { "the object is a symbolic link that is not made here: \(reason)" }
}

/// Fetches one object at a time into a temporary file, verifies it and renames it to its target.
package struct Downloader: Sendable {
  package let store: any ObjectStore
  package let resources: TransferResources
  package let settings: DownloadSettings
  /// Called when a file is complete and verified, just before its rename. An error ends the download.
  package var beforePublication: (@Sendable () async throws -> Void)?
  /// How deep the root lies below the directory that no link may leave.
  package var rootDepth = 0

  package init(store: any ObjectStore, resources: TransferResources, settings: DownloadSettings = .init()) {
    self.store = store
    self.resources = resources
    self.settings = settings
  }

  /// Fetches the version of `key` that was listed as `object` to `path`. The file gets the object's date as
  /// its mtime.
  ///
  /// If a large object cannot be fetched completely, the ranges that arrived stay beside the target for the
  /// next attempt. A body that was damaged in transit is fetched again, at most twice.
  ///
  /// - Throws: `DownloadMismatch` if the content is not the object's; `TreeError`; `S3Error` (412 if the
  ///   object was replaced since it was listed); `CancellationError`.
  package func download(
    _ key: String, object: RemoteObject, to path: RelativePath, of root: TreeRoot
  ) async throws -> DownloadReceipt {
    var damaged: CRC32?
    var failures = 0
    while true {
      do {
        var receipt = try await fetch(key, object: object, to: path, of: root, after: damaged)
        receipt.attempts += failures
        return receipt
      } catch let mismatch as DownloadMismatch where mismatch.damaged != nil && failures < Self.refetches {
        damaged = mismatch.damaged
        failures += 1
      }
    }
  }

  /// Two: a body that is damaged three times in a row is damaged in the store, or by this machine.
  private static let refetches = 2

  /// - Parameter damaged: the CRC-32 of an earlier body that seemed damaged.
  private func fetch(
    _ key: String, object: RemoteObject, to path: RelativePath, of root: TreeRoot, after damaged: CRC32?
  ) async throws -> DownloadReceipt {
    if object.byteCount <= Self.smallBytes {
      return try await downloadSmall(key, object: object, to: path, of: root, after: damaged)
    }
    let isWhole = object.byteCount <= settings.rangeBytes
    let file = try await resources.writers.run {
      try PartialFile(
        root: root, target: path, byteCount: object.byteCount, beginning: isWhole ? .fresh : .resume)
    }
    do {
      let receipt =
        isWhole
        ? try await fetchWhole(key, object: object, into: file, after: damaged)
        : try await fetchRanges(key, object: object, into: file, after: damaged)
      try await beforePublication?()
      try await resources.writers.run { try file.publish(modified: object.lastModified) }
      return receipt
    } catch {
      // Ranges that arrived are kept, unless the object has changed since.
      if isWhole || !canResume(after: error) { discard(file) } else { file.release() }
      throw error
    }
  }

  /// 64 KiB. An object up to this size is received in memory and verified before a file is made.
  private static let smallBytes: Int64 = 64 << 10

  private func downloadSmall(
    _ key: String, object: RemoteObject, to path: RelativePath, of root: TreeRoot, after damaged: CRC32?
  ) async throws -> DownloadReceipt {
    let get = GetObject(key: key, ifMatch: ifMatch(object))
    let (answer, attempts) = try await resources.send(get, through: store)
    let bytes = answer.body
    try requireSize(Int64(bytes.count), of: object.byteCount, key: key)
    let checksum = try await verify(
      key, crc: CRC32(bytes), head: answer.head, object: object, after: damaged, md5: hexadecimal(md5(bytes))
    ) { tag, partSizes in
      var check = CompositeCheck(tag, byteCount: object.byteCount, partSizes: partSizes)
      check.update(bytes)
      return check.finish()
    }
    let isLink = LinkObject.isMarked(answer.head.metadata)
    if isLink, let refusal = LinkObject.refusal(of: bytes, at: path, below: rootDepth) {
      throw LinkRefused(path: path, reason: refusal)
    }
    try await beforePublication?()
    try await resources.writers.run {
      if isLink { return try root.makeLink(path, text: bytes, modified: object.lastModified) }
      let file = try PartialFile(root: root, target: path, byteCount: object.byteCount)
      do {
        try file.write(bytes, at: 0)
        try file.publish(modified: object.lastModified)
      } catch {
        discard(file)
        throw error
      }
    }
    return DownloadReceipt(
      byteCount: object.byteCount, parts: 1, etag: answer.head.etag, requestID: answer.head.requestID,
      attempts: attempts, checksum: checksum)
  }

  /// If the removal fails, the temporary file stays under a name that every walk ignores. The earlier error
  /// is the one to report.
  private func discard(_ file: PartialFile) {
    do { try file.discard() } catch {}
  }

  private func canResume(after error: any Error) -> Bool {
    switch error {
    case let error as S3Error: error.status != 412 && !error.isNotFound && error.code != "RangeIgnored"
    case is CancellationError: true
    default: false
    }
  }

  private func fetchWhole(
    _ key: String, object: RemoteObject, into file: PartialFile, after damaged: CRC32?
  ) async throws -> DownloadReceipt {
    let sink = FileSink(
      file: file, offset: 0, byteCount: object.byteCount,
      content: object.possibleMD5 == nil ? .whole : .wholeWithMD5)
    let get = GetObject(key: key, ifMatch: ifMatch(object), sink: sink)
    let (answer, attempts) = try await resources.send(get, through: store)
    let received = sink.received
    try requireSize(received.byteCount, of: object.byteCount, key: key)
    let checksum = try await verify(
      key, crc: received.crc, head: answer.head, object: object, after: damaged, md5: sink.md5()
    ) { try await isContent(file, of: $0, by: $1) }
    return DownloadReceipt(
      byteCount: received.byteCount, parts: 1, etag: answer.head.etag, requestID: answer.head.requestID,
      attempts: attempts, checksum: checksum)
  }

  private func fetchRanges(
    _ key: String, object: RemoteObject, into file: PartialFile, after damaged: CRC32?
  ) async throws -> DownloadReceipt {
    let head = try await store.send(HeadObject(key: key))
    guard head.byteCount == object.byteCount, object.etag.isEmpty || head.etag == object.etag else {
      throw DownloadMismatch(key: key, reason: "it was replaced since it was listed")
    }
    let pinned = RemoteObject(
      byteCount: object.byteCount, etag: head.etag, lastModified: object.lastModified)
    let download = RangedDownload(downloader: self, key: key, object: pinned, file: file)
    let outcome = try await download.run()
    var digest: String?
    if head.fullObjectCRC32 == nil, pinned.possibleMD5 != nil {
      digest = try await resources.readers.run { try md5Hexadecimal(of: file) }
    }
    let checksum = try await verify(
      key, crc: outcome.crc, head: head, object: pinned, after: damaged, md5: digest
    ) { try await isContent(file, of: $0, by: $1) }
    return DownloadReceipt(
      byteCount: object.byteCount, parts: outcome.ranges, partsReused: outcome.reused, etag: head.etag,
      requestID: head.requestID, attempts: outcome.attempts, checksum: checksum)
  }

  // MARK: Verification

  /// If-Match selects the version that was listed. Some servers list no ETag.
  func ifMatch(_ object: RemoteObject) -> String? {
    object.etag.isEmpty ? nil : object.etag
  }

  func requireSize(_ received: Int64, of expected: Int64, key: String) throws {
    guard received == expected else {
      throw DownloadMismatch(key: key, reason: "\(received) of \(expected) bytes arrived")
    }
  }
}
