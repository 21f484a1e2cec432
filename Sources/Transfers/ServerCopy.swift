import Digests
import HTTPTransport
import LoopThread
import S3Client

/// A copy from one key to another in the same bucket, made by the server without a transfer.
///
/// CopyObject copies up to 5 GiB. A larger object is copied by UploadPartCopy; each part is tied to the
/// source's version.
package struct ServerCopy: Sendable {
  /// 512 MiB a part: a few requests for an object just over the limit, and 10,000 of them reach 4.8 TiB
  /// before the parts grow.
  package static let defaultPartBytes: Int64 = 512 << 20

  private let store: any ObjectStore
  private let slots: FairSemaphore
  private let largestSingle: Int64
  private let partBytes: Int64
  private let extraHeaders: HTTPHeaders
  private let pending: PendingUploads
  private let wallClock: @Sendable () -> Int64

  /// - Parameters:
  ///   - extraHeaders: storage class, encryption and other properties, which a copy does not inherit.
  ///   - pending: receives an unfinished copy that could not be aborted.
  ///   - largestSingle: the largest object for one CopyObject, in bytes.
  package init(
    store: any ObjectStore, slots: FairSemaphore, extraHeaders: HTTPHeaders = [:],
    pending: PendingUploads, wallClock: @escaping @Sendable () -> Int64,
    largestSingle: Int64 = UploadPlan.Limit.largestSingle, partBytes: Int64 = defaultPartBytes
  ) {
    self.store = store
    self.slots = slots
    self.extraHeaders = extraHeaders
    self.pending = pending
    self.wallClock = wallClock
    self.largestSingle = largestSingle
    self.partBytes = partBytes
  }

  package struct Receipt: Sendable, Hashable {
    package var etag: String
    package var parts: Int
    package var requestID: String?
    /// When the server answered, by the server's clock: nanoseconds since 1970-01-01 UTC.
    package var answered: Int64?
  }

  /// - Parameters:
  ///   - source: with the ETag of the version to copy.
  ///   - metadata: the metadata of the copy, including the content type.
  /// - Throws: `S3Error`: 412 if the source has another version by now. An unfinished copy is aborted.
  package func copy(
    _ source: CopySource, byteCount: Int64, to key: String, metadata: CopyObject.Metadata = .copied
  ) async throws -> Receipt {
    let plan = try UploadPlan(byteCount: byteCount, threshold: largestSingle, partBytes: partBytes)
    switch plan {
    case .single:
      let copy = CopyObject(
        key: key, source: source, metadata: metadata, extraHeaders: extraHeaders, byteCount: byteCount)
      let answer = try await slots.withPermit { try await store.send(copy) }
      return Receipt(etag: answer.etag, parts: 1, requestID: answer.requestID, answered: answer.serverDate)
    case .multipart(let partBytes, let partCount):
      return try await copyParts(
        source, byteCount: byteCount, partBytes: partBytes, partCount: partCount, to: key,
        metadata: metadata)
    }
  }

  private func copyParts(
    _ source: CopySource, byteCount: Int64, partBytes: Int64, partCount: Int, to key: String,
    metadata: CopyObject.Metadata
  ) async throws -> Receipt {
    // CopyObject copies the metadata by itself; for CreateMultipartUpload they must be given.
    let head = try await store.send(HeadObject(key: source.key))
    let crc = head.fullObjectCRC32
    let (values, contentType) =
      switch metadata {
      case .copied: (head.metadata, head.contentType)
      case .replaced(let values, let contentType): (values, contentType)
      }
    let create = CreateMultipartUpload(
      key: key, contentType: contentType, metadata: values,
      checksum: crc == nil ? .none : .fullObjectCRC32, extraHeaders: extraHeaders)
    let uploadID = try await pending.begin(create, in: store, wallClock: wallClock)
    do {
      let parts = try await withThrowingTaskGroup(of: CompleteMultipartUpload.Part.self) { group in
        var next = 1
        func begin() {
          guard next <= partCount else { return }
          let number = next
          next += 1
          group.addTask {
            let first = Int64(number - 1) * partBytes
            return try await copyPart(
              number, range: first...(min(first + partBytes, byteCount) - 1), of: source, to: key, uploadID)
          }
        }
        for _ in 0..<slots.partsUnderWay { begin() }
        var parts: [CompleteMultipartUpload.Part] = []
        while let part = try await group.next() {
          parts.append(part)
          begin()
        }
        return parts.sorted { $0.number < $1.number }
      }
      let complete = CompleteMultipartUpload(
        key: key, uploadID: uploadID, parts: parts, fullObjectCRC32: crc, byteCount: byteCount)
      let answer = try await slots.withPermit(for: .part) { try await store.send(complete) }
      return Receipt(
        etag: answer.etag, parts: partCount, requestID: answer.requestID, answered: answer.serverDate)
    } catch {
      await abort(key, uploadID)
      throw error
    }
  }

  private func copyPart(
    _ number: Int, range: ClosedRange<Int64>, of source: CopySource, to key: String, _ uploadID: String
  ) async throws -> CompleteMultipartUpload.Part {
    let copy = UploadPartCopy(
      key: key, uploadID: uploadID, number: number, source: source, range: range)
    let answer = try await slots.withPermit(for: .part) { try await store.send(copy) }
    return CompleteMultipartUpload.Part(
      number: number, etag: answer.etag,
      checksumCRC32: answer.checksumCRC32.flatMap { CRC32(base64: $0) })
  }

  /// The abort runs in a task of its own, because a cancelled task cannot send requests.
  private func abort(_ key: String, _ uploadID: String) async {
    let abort = AbortMultipartUpload(key: key, uploadID: uploadID)
    let store = store
    do {
      try await Task(executorPreference: TaskThreads.current) { _ = try await store.send(abort) }.value
    } catch let failure as S3Error where failure.isNotFound {
      return
    } catch {
      pending.add(.init(uploadID: uploadID, initiated: .max, isOurs: true), for: key)
    }
  }
}
