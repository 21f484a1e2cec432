import Digests
import HTTPTransport
import LocalTree
import LoopThread
import MirrorModel
import S3Client

/// Publishes one file at a time, whole or not at all.
package struct Uploader: Sendable {
  package let store: any ObjectStore
  package let resources: TransferResources
  package let settings: UploadSettings
  package let pending: PendingUploads
  /// Nanoseconds since 1970-01-01 UTC.
  let wallClock: @Sendable () -> Int64

  package init(
    store: any ObjectStore, resources: TransferResources, settings: UploadSettings,
    pending: PendingUploads, wallClock: @escaping @Sendable () -> Int64
  ) {
    self.store = store
    self.resources = resources
    self.settings = settings
    self.pending = pending
    self.wallClock = wallClock
  }

  /// Publishes the file's bytes under `key`, in one request or in parts.
  ///
  /// - Parameters:
  ///   - isCloseSeen: whether the watch saw the last write being closed.
  ///   - openFiles: what to do when somebody has the file open for writing.
  ///   - beforePublication: called when the bytes are read and proved; what it throws ends the upload unpublished.
  /// - Throws: `UploadAbandoned` when no whole version could be read; `TreeError`; `S3Error`; `CancellationError`.
  package func upload(
    _ path: RelativePath, of root: TreeRoot, to key: String, isCloseSeen: Bool, openFiles: OpenFilePolicy,
    beforePublication: @escaping @Sendable () async throws -> Void = {}
  ) async throws -> UploadReceipt {
    let source = try await openSource(path, of: root, isCloseSeen: isCloseSeen)
    let plan = try UploadPlan(
      byteCount: source.file.stamp.size, threshold: settings.singleThreshold, partBytes: settings.partBytes)
    switch plan {
    case .single:
      return try await uploadSingle(
        source, to: key, openFiles: openFiles, beforePublication: beforePublication)
    case .multipart(let partBytes, let partCount):
      let upload = MultipartUpload(
        uploader: self, source: source, key: key, partBytes: partBytes, partCount: partCount,
        beforePublication: beforePublication)
      return try await upload.run(openFiles: openFiles)
    }
  }

  /// Copies a file that is on S3 already, under another key, with the very properties that an upload under its name would
  /// get: a copy takes over neither storage class nor encryption nor ACL, and the type belongs to the name.
  package func copy(
    _ source: CopySource, of path: RelativePath, stamp: FileStamp, to key: String
  ) async throws -> ServerCopy.Receipt {
    let copy = ServerCopy(store: store, slots: resources.slots, extraHeaders: extraHeaders)
    return try await copy.copy(
      source, byteCount: stamp.size, to: key,
      metadata: .replaced(metadata(for: stamp), contentType: contentType(of: path)))
  }

  /// Writes an empty object for a directory that has nothing else to show it. There are no bytes to be checked.
  package func uploadDirectoryMarker(to key: String) async throws -> PutObject.Output {
    let put = PutObject(
      key: key, body: BytesBody([]),
      contentType: settings.contentTypes == .off ? nil : "application/x-directory",
      metadata: settings.metadata, extraHeaders: extraHeaders)
    return try await resources.slots.withPermit { try await store.send(put) }
  }

  // MARK: Opening

  struct Source: Sendable {
    let root: TreeRoot
    let path: RelativePath
    let file: LocalFile
    let check: PublicationCheck
  }

  private func openSource(_ path: RelativePath, of root: TreeRoot, isCloseSeen: Bool) async throws -> Source {
    var file = try await open(path, of: root)
    let tooFresh = file.stamp.timeUntilTrusted(at: wallClock())
    if tooFresh > .zero {
      try await TaskThreads.pause(for: tooFresh)
      file = try await open(path, of: root)
    }
    let stamps: StampTrust =
      file.stamp.timeUntilTrusted(at: wallClock()) > .zero ? .tooFresh : .trusted
    let check = PublicationCheck(
      root: root, path: path, file: file, isCloseSeen: isCloseSeen, stamps: stamps,
      vigil: file.stamp.size <= PartRead.pieceBytes ? .content : .closes)
    return Source(root: root, path: path, file: file, check: check)
  }

  private func open(_ path: RelativePath, of root: TreeRoot) async throws -> LocalFile {
    do {
      let file = root.isLocal ? try root.open(path) : try await resources.readers.run { try root.open(path) }
      guard let file else { throw UploadAbandoned.vanished }
      return file
    } catch let error as TreeError {
      // It was a file when it was looked at.
      if case .notRegular = error.detail { throw UploadAbandoned.changed }
      throw error
    }
  }

  // MARK: One request

  private func uploadSingle(
    _ source: Source, to key: String, openFiles: OpenFilePolicy,
    beforePublication: @Sendable () async throws -> Void
  ) async throws -> UploadReceipt {
    let byteCount = source.file.stamp.size
    let holding: PartRead.Holding = resources.fitsInMemory(byteCount) ? .buffered : .streamed(.here)
    return try await resources.withMemory(for: byteCount, holding) {
      let read =
        if let cached = PartRead.cached(source.file) {
          cached
        } else {
          try await resources.readers.run {
            try PartRead.read(source.file, at: 0, byteCount: byteCount, holding: holding)
          }
        }
      let proof = try await proveSingle(source, read, openFiles: openFiles)
      try await beforePublication()
      let (answer, attempts) = try await AttemptCount.counting {
        try await put(source, read, to: key)
      }
      settings.checksums.note(isEchoed: answer.checksumWasEchoed, for: .object)
      let check = try await check(
        read, in: source, against: answer.etag, isEchoed: answer.checksumWasEchoed)
      return UploadReceipt(
        byteCount: byteCount, parts: 1, partsReused: 0, attempts: attempts, etag: answer.etag,
        requestID: answer.requestID, crc32: read.crc.base64, checksum: check, proof: proof,
        stamp: source.file.stamp, isSnapshot: proof == .reread && source.check.hasWriter)
    }
  }

  /// Which check the bytes passed that an answer says were taken.
  func check(_ read: PartRead, in source: Source, against etag: String, isEchoed: Bool) async throws
    -> IntegrityCheck
  {
    try await IntegrityCheck(isEchoed: isEchoed, etag: etag) {
      try await resources.readers.run { try read.md5() }
    }
  }

  /// What a signature must cover; nil where it need not, or where the store takes a small one's in passing.
  func payloadSHA256(of read: PartRead) async throws -> String? {
    guard store.signsBodies, read.byteCount > PartRead.pieceBytes else { return nil }
    return try await resources.readers.run { try read.sha256() }
  }

  private func put(_ source: Source, _ read: PartRead, to key: String) async throws -> PutObject.Output {
    let isChecked = settings.checksums.isSent
    var put = PutObject(
      key: key, body: read.body, contentType: contentType(of: source.path),
      metadata: metadata(for: source.file.stamp), checksumCRC32: isChecked ? read.crc : nil,
      payloadSHA256: try await payloadSHA256(of: read), extraHeaders: extraHeaders)
    return try await resources.slots.withPermit {
      do {
        return try await store.send(put)
      } catch let error as S3Error {
        guard isChecked, S3ErrorTriage.refusesChecksum(error) else { throw error }
        settings.checksums.noteRefusal()
        put.checksumCRC32 = nil
        return try await store.send(put)
      }
    }
  }

  private func proveSingle(_ source: Source, _ read: PartRead, openFiles: OpenFilePolicy) async throws
    -> PublicationProof
  {
    switch try source.check.verdict(on: read.buffer) {
    case .proved(let proof): return proof
    case .changed where openFiles == .wait: throw UploadAbandoned.changed
    case .writerPresent where openFiles == .wait: throw UploadAbandoned.openForWriting
    case .changed, .writerPresent, .untold:
      let first = try await resources.readers.run { try read.md5() }
      try await TaskThreads.pause(for: settings.settle)
      let again = try await resources.readers.run { try md5Hexadecimal(of: source.file) }
      guard again == first, try source.check.confirmsReread(openFiles) else {
        throw UploadAbandoned.changed
      }
      try await checkBeginning(of: source, openFiles)
      return .reread
    }
  }

  /// Makes sure that a snapshot of an open file only adds to what is published, so that no whole version gives way to a part.
  ///
  /// - Throws: `UploadAbandoned.notAppended`.
  func checkBeginning(of source: Source, _ openFiles: OpenFilePolicy) async throws {
    guard case .append(let published?) = openFiles, source.check.hasWriter else { return }
    guard try await resources.readers.run({ try published.isBeginning(of: source.file) }) else {
      throw UploadAbandoned.notAppended
    }
  }

  // MARK: Properties

  func contentType(of path: RelativePath) -> String? {
    settings.contentTypes == .off ? nil : ContentType.guess(for: path)
  }

  func metadata(for stamp: FileStamp) -> [String: String] {
    var all = settings.metadata
    all[ModificationTime.metadataName] = ModificationTime.text(nanoseconds: stamp.modified)
    return all
  }

  var extraHeaders: HTTPHeaders {
    var headers = HTTPHeaders()
    for (name, value) in settings.extraHeaders.sorted(by: { $0.key < $1.key }) { headers.add(name, value) }
    return headers
  }
}
