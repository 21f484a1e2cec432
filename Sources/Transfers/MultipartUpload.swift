import Digests
import LocalTree
import MirrorModel
import S3Client

/// One file on its way up in parts.
///
/// An upload that fails because of the network or the end of the run stays on S3 and is resumed from its parts; one
/// whose file changed is aborted at once, for its parts are of no version any more.
struct MultipartUpload: Sendable {
  let uploader: Uploader
  let source: Uploader.Source
  let key: String
  let partBytes: Int64
  let partCount: Int

  private struct Part: Sendable {
    var completed: CompleteMultipartUpload.Part
    var crc: CRC32
    var byteCount: Int64
    var isReused: Bool
  }

  private var store: any ObjectStore { uploader.store }
  private var resources: TransferResources { uploader.resources }
  private var byteCount: Int64 { source.file.stamp.size }

  func run(openFiles: OpenFilePolicy) async throws -> UploadReceipt {
    let firstRead = try await readAheadOfSnapshot(openFiles)
    let (uploadID, existing) = try await begin()
    do {
      let parts = try await sendParts(uploadID: uploadID, existing: existing, expected: firstRead)
      let proof = try prove(isReread: firstRead != nil)
      return try await complete(uploadID: uploadID, parts: parts, proof: proof)
    } catch {
      await end(uploadID: uploadID, after: error)
      throw error
    }
  }

  // MARK: Proof

  /// The checksums of a first read of every part, where only reading twice can prove the file whole; nil where the
  /// probe found no writer.
  private func readAheadOfSnapshot(_ openFiles: OpenFilePolicy) async throws -> [CRC32]? {
    switch source.check.outlook {
    case .proved, .changed: return nil
    case .writerPresent where openFiles == .wait: throw UploadAbandoned.openForWriting
    case .writerPresent, .untold: break
    }
    var checksums: [CRC32] = []
    for number in 1...partCount {
      let (offset, count) = extent(of: number)
      checksums.append(
        try await resources.readers.run { try checksum(of: source.file, from: offset, byteCount: count) })
    }
    try await Task.sleep(for: uploader.settings.settle)
    return checksums
  }

  private func prove(isReread: Bool) throws -> PublicationProof {
    if isReread {
      guard try source.check.isSameFileGrown() else { throw UploadAbandoned.changed }
      return .reread
    }
    switch try source.check.verdict() {
    case .proved(let proof): return proof
    case .writerPresent: throw UploadAbandoned.openForWriting
    case .changed, .untold: throw UploadAbandoned.changed
    }
  }

  // MARK: Beginning

  /// Takes up what an earlier run left of this key, or creates a new upload.
  private func begin() async throws -> (uploadID: String, existing: [Int: ListParts.Part]) {
    while let left = uploader.pending.takeNewest(for: key) {
      do {
        return (left.uploadID, try await listParts(of: left.uploadID))
      } catch let error as S3Error where error.isNotFound {
        continue
      } catch {
        uploader.pending.add(left, for: key)
        throw error
      }
    }
    let create = CreateMultipartUpload(
      key: key, contentType: uploader.contentType(of: source.path),
      metadata: uploader.metadata(for: source.file.stamp), checksum: .fullObjectCRC32,
      extraHeaders: uploader.extraHeaders)
    return (try await store.send(create).uploadID, [:])
  }

  private func listParts(of uploadID: String) async throws -> [Int: ListParts.Part] {
    var parts: [Int: ListParts.Part] = [:]
    var marker: Int?
    while true {
      let page = try await store.send(ListParts(key: key, uploadID: uploadID, after: marker))
      for part in page.parts { parts[part.number] = part }
      guard let next = page.next, next > (marker ?? 0) else { return parts }
      marker = next
    }
  }

  // MARK: Parts

  private func extent(of number: Int) -> (offset: Int64, byteCount: Int64) {
    let offset = Int64(number - 1) * partBytes
    return (offset, min(partBytes, byteCount - offset))
  }

  private func sendParts(uploadID: String, existing: [Int: ListParts.Part], expected: [CRC32]?) async throws
    -> [Part]
  {
    // As many children as can hold memory at one time; more would only wait.
    let width = max(1, min(Int(resources.budget.capacity / partBytes), Int(resources.slots.capacity)))
    return try await withThrowingTaskGroup(of: Part.self) { group in
      var next = 1
      func start() {
        let number = next
        group.addTask {
          try await send(
            number, uploadID: uploadID, existing: existing[number], expected: expected?[number - 1])
        }
        next += 1
      }
      while next <= min(width, partCount) { start() }
      var parts: [Part] = []
      parts.reserveCapacity(partCount)
      while let part = try await group.next() {
        parts.append(part)
        if next <= partCount { start() }
      }
      return parts.sorted { $0.completed.number < $1.completed.number }
    }
  }

  private func send(_ number: Int, uploadID: String, existing: ListParts.Part?, expected: CRC32?) async throws
    -> Part
  {
    let (offset, count) = extent(of: number)
    return try await resources.budget.withPermit(count) {
      let read = try await resources.readers.run {
        try PartRead.read(source.file, at: offset, byteCount: Int(count))
      }
      if let expected, expected != read.crc { throw UploadAbandoned.changed }
      if let existing, isSame(existing, as: read) {
        let completed = CompleteMultipartUpload.Part(
          number: number, etag: existing.etag, checksumCRC32: existing.checksumCRC32.map { _ in read.crc })
        return Part(completed: completed, crc: read.crc, byteCount: count, isReused: true)
      }
      let upload = UploadPart(
        key: key, uploadID: uploadID, number: number, body: PartBody(buffer: read.buffer),
        checksumCRC32: read.crc)
      let answer = try await resources.slots.withPermit { try await store.send(upload) }
      let completed = CompleteMultipartUpload.Part(
        number: number, etag: answer.etag, checksumCRC32: read.crc)
      return Part(completed: completed, crc: read.crc, byteCount: count, isReused: false)
    }
  }

  /// Whether a part that S3 holds is these bytes: by its checksum where the server keeps one, else by its ETag's MD5.
  private func isSame(_ part: ListParts.Part, as read: PartRead) -> Bool {
    guard part.byteCount == Int64(read.buffer.count) else { return false }
    if let checksum = part.checksumCRC32 { return checksum == read.crc.base64 }
    return part.etag.lowercased() == hexadecimal(md5(read.buffer.bytes))
  }

  // MARK: Ending

  private func complete(uploadID: String, parts: [Part], proof: PublicationProof) async throws
    -> UploadReceipt
  {
    let whole = parts.dropFirst().reduce(parts.first?.crc ?? CRC32()) { crc, part in
      crc.combined(with: part.crc, byteCount: part.byteCount)
    }
    let complete = CompleteMultipartUpload(
      key: key, uploadID: uploadID, parts: parts.map(\.completed), fullObjectCRC32: whole,
      byteCount: byteCount)
    let answer = try await resources.slots.withPermit { try await store.send(complete) }
    return UploadReceipt(
      byteCount: byteCount, parts: partCount, partsReused: parts.count { $0.isReused },
      etag: answer.etag, requestID: answer.requestID, crc32: whole.base64, checksum: "crc32",
      proof: proof, stamp: source.file.stamp)
  }

  /// Leaves the upload for resumption, or aborts it when its bytes are worth nothing any more.
  private func end(uploadID: String, after error: any Error) async {
    let isCutShort = error is CancellationError && uploader.pending.whenCancelled == .abort
    guard error is UploadAbandoned || isCutShort else {
      uploader.pending.add(.init(uploadID: uploadID, initiated: .max), for: key)
      return
    }
    // A cancelled task's requests fail at once; the abort is a task of its own, awaited here.
    let abort = AbortMultipartUpload(key: key, uploadID: uploadID)
    let store = store
    do {
      try await Task { try await store.send(abort) }.value
    } catch let failure as S3Error where failure.isNotFound {
      return
    } catch {
      // Not aborted: the next run finds it on S3 and resumes or sweeps it.
      uploader.pending.add(.init(uploadID: uploadID, initiated: .max), for: key)
    }
  }
}
