import Digests
import HTTPTransport
import LocalTree
import LoopThread
import MirrorModel
import S3Client
import Synchronization

/// Publishes one file at a time, whole or not at all.
package final class Uploader: Sendable {
  package let store: any ObjectStore
  package let resources: TransferResources
  package let settings: UploadSettings
  package let pending: PendingUploads
  package let restless = RestlessFiles()
  private let pauses = Atomic<Bool>(false)
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

  /// Whether a file had to wait, such as for a second read that proves it. Files that wait send nothing, so more of
  /// them may be in work than requests need.
  package var hasPaused: Bool { pauses.load(ordering: .relaxed) }

  /// Publishes the file's bytes under `key`, in one request or in parts.
  ///
  /// - Parameters:
  ///   - isCloseSeen: whether the watch reported the close of the last write.
  ///   - openFiles: what to do if a process has the file open for writing.
  ///   - versions: whether a version that is already replaced may be published; the receipt reports it.
  ///   - content: the file that is read, if the path is a link to it. The path may lead elsewhere meanwhile.
  ///   - published: objects whose content is known, the most promising first. What the file has in common with
  ///     one of them is copied from it.
  ///   - whenStaged: called when all bytes of a multipart upload are on the server and proved. The upload is
  ///     completed after it returns.
  ///   - beforePublication: called when the bytes are read and proved. An error ends the upload without a
  ///     publication.
  /// - Throws: `UploadAbandoned` if no whole version could be read; `TreeError`; `S3Error`;
  ///   `CancellationError`.
  package func upload(
    _ path: RelativePath, of root: TreeRoot, to key: String, isCloseSeen: Bool, openFiles: OpenFilePolicy,
    versions: PublishableVersions = .anyWhole, content: RelativePath? = nil,
    over published: [KnownObject] = [],
    whenStaged: WhenStaged? = nil,
    beforePublication: @escaping @Sendable () async throws -> Void = {}
  ) async throws -> UploadReceipt {
    let wanted = Wanted(
      path: path, content: content ?? path, root: root, key: key, isCloseSeen: isCloseSeen,
      openFiles: openFiles, versions: versions, published: published, whenStaged: whenStaged)
    guard resources.copyBytes > 0 else {
      return try await publish(try await openSource(wanted), wanted, beforePublication)
    }
    return try await uploadPersistently(wanted, beforePublication)
  }

  /// Reads the file, or a copy of it, once and publishes it.
  func publish(
    _ source: Source, _ wanted: Wanted, _ beforePublication: @escaping @Sendable () async throws -> Void
  ) async throws -> UploadReceipt {
    let plan = try UploadPlan(
      byteCount: source.file.stamp.size, threshold: settings.singleThreshold, partBytes: settings.partBytes)
    if let delta = try await delta(of: source, wanted, insteadOf: plan),
      let receipt = try await publish(delta, of: source, wanted, beforePublication)
    {
      return receipt
    }
    switch plan {
    case .single:
      return try await uploadSingle(source, wanted, beforePublication: beforePublication)
    case .multipart(let partBytes, let partCount):
      let upload = MultipartUpload(
        uploader: self, source: source, wanted: wanted, partBytes: partBytes, partCount: partCount,
        beforePublication: beforePublication)
      return try await upload.run()
    }
  }

  /// Copies a published file to another key on the server, with the same properties that an upload under that
  /// name would have. A server copy inherits neither storage class nor encryption nor ACL, and the content
  /// type depends on the name.
  package func copy(
    _ source: CopySource, of path: RelativePath, stamp: FileStamp, to key: String
  ) async throws -> ServerCopy.Receipt {
    let copy = ServerCopy(
      store: store, slots: resources.slots, extraHeaders: extraHeaders, pending: pending,
      wallClock: wallClock)
    return try await copy.copy(
      source, byteCount: stamp.size, to: key,
      metadata: .replaced(metadata(for: stamp), contentType: contentType(of: path)))
  }

  /// Writes an empty object that no file has: for an empty directory, or for an in-progress mark that is gone.
  package func uploadEmpty(_ contentType: String?, to key: String) async throws -> PutObject.Output {
    try await resources.slots.withPermit { try await upload([], contentType: contentType, to: key) }
  }

  /// Writes an object that no file has, such as a receipt. It takes no slot, because an upload that holds one
  /// may wait for it.
  ///
  /// - Parameter metadata: nil for that of the settings alone.
  package func upload(
    _ bytes: [UInt8], contentType: String?, metadata: [String: String]? = nil, to key: String
  ) async throws -> PutObject.Output {
    let put = PutObject(
      key: key, body: BytesBody(bytes), contentType: settings.contentTypes == .off ? nil : contentType,
      metadata: metadata ?? settings.metadata, extraHeaders: extraHeaders)
    return try await store.send(put)
  }

  // MARK: Opening

  /// The requested upload: a file, a key, and the acceptable versions.
  struct Wanted: Sendable {
    var path: RelativePath
    /// The file to read: the path itself, or the file to which it leads as a link.
    var content: RelativePath
    var root: TreeRoot
    var key: String
    var isCloseSeen: Bool
    var openFiles: OpenFilePolicy
    var versions: PublishableVersions
    /// Objects whose content is known.
    var published: [KnownObject] = []
    var whenStaged: WhenStaged?
  }

  /// Waits until a staged upload may be completed.
  package typealias WhenStaged = @Sendable () async throws -> Void

  /// The version of the file that is read.
  struct Source: Sendable {
    let root: TreeRoot
    let path: RelativePath
    /// The file to read: the original, or a private copy.
    var file: LocalFile
    /// The check of the original, not of the copy.
    let check: PublicationCheck
    let original: LocalFile
    /// When the file had been opened: nanoseconds since 1970-01-01 UTC.
    let opened: Int64
    /// The proof of a copy, made together with the copy.
    var proof: PublicationProof?

    var isCopy: Bool { proof != nil }
  }

  func openSource(_ wanted: Wanted) async throws -> Source {
    let file = try await openTrusted(wanted)
    let opened = wallClock()
    let stamps: StampTrust = file.stamp.timeUntilTrusted(at: opened) > .zero ? .tooFresh : .trusted
    let check = PublicationCheck(
      root: wanted.root, path: wanted.content, file: file, isCloseSeen: wanted.isCloseSeen, stamps: stamps,
      vigil: file.stamp.size <= PartRead.pieceBytes ? .content : .closes)
    return Source(
      root: wanted.root, path: wanted.path, file: file, check: check, original: file, opened: opened)
  }

  /// The newest version whose stamp would show the next write; if there is none, the newest version.
  ///
  /// A file that is replaced faster than stamps age has no such version under its name. Then the version that
  /// was opened first is used: its stamp has aged in the meantime, and a replaced file is no longer written.
  private func openTrusted(_ wanted: Wanted) async throws -> LocalFile {
    let file = try await open(wanted.content, of: wanted.root)
    let tooFresh = file.stamp.timeUntilTrusted(at: wallClock())
    guard tooFresh > .zero else { return file }
    pauses.store(true, ordering: .relaxed)
    try await TaskThreads.pause(for: tooFresh)
    let newer = try await open(wanted.content, of: wanted.root)
    guard wanted.versions == .anyWhole, newer.stamp.inode != file.stamp.inode,
      newer.stamp.timeUntilTrusted(at: wallClock()) > .zero, try file.isContentUnmoved()
    else { return newer }
    return file
  }

  private func open(_ path: RelativePath, of root: TreeRoot) async throws -> LocalFile {
    do {
      let file = root.isLocal ? try root.open(path) : try await resources.readers.run { try root.open(path) }
      guard let file else { throw UploadAbandoned.vanished }
      return file
    } catch let error as TreeError {
      // The path was a regular file when it was last checked.
      if case .notRegular = error.detail { throw UploadAbandoned.changed }
      throw error
    }
  }

  // MARK: One request

  private func uploadSingle(
    _ source: Source, _ wanted: Wanted, beforePublication: @Sendable () async throws -> Void
  ) async throws -> UploadReceipt {
    let byteCount = source.file.stamp.size
    let holding: PartRead.Holding = resources.fitsInMemory(byteCount) ? .buffered : .streamed(.here)
    return try await resources.withMemory(for: byteCount, holding) {
      let read = try await readWhole(source.file, holding: holding)
      let proof = try await proof(of: source, wanted, on: read)
      try await beforePublication()
      let isSuperseded = try isSuperseded(source, wanted, proof)
      var receipt = try await put(source, read, provedBy: proof, to: wanted.key)
      receipt.isSnapshot = proof == .reread && source.check.hasWriter
      receipt.isSuperseded = isSuperseded
      receipt.stampLasts = stampLasts(of: source, in: receipt)
      return receipt
    }
  }

  /// Whether the stamp of what was published may stand for its content in later runs. That of a copy says when the copy was made,
  /// and the file may have been written to during that.
  func stampLasts(of source: Source, in receipt: UploadReceipt) -> Bool {
    if source.isCopy || receipt.isSnapshot || receipt.isSuperseded { return false }
    return StampedReading(
      stamp: source.file.stamp, began: source.opened, keeping: source.file.stampKeeping,
      writers: receipt.proof == .reread ? .untold : .absent
    ).lasts
  }

  func readWhole(_ file: LocalFile, holding: PartRead.Holding) async throws -> PartRead {
    if let cached = PartRead.cached(file) { return cached }
    return try await resources.readers.run {
      try PartRead.read(file, at: 0, byteCount: file.stamp.size, holding: holding)
    }
  }

  /// Publishes a whole file that was read, in one request.
  func put(_ source: Source, _ read: PartRead, provedBy proof: PublicationProof, to key: String) async throws
    -> UploadReceipt
  {
    let (answer, attempts) = try await AttemptCount.counting { try await put(source, read, to: key) }
    settings.checksums.note(isEchoed: answer.checksumWasEchoed, for: .object)
    let check = try await check(
      read, in: source, against: answer.etag, isEchoed: answer.checksumWasEchoed)
    return UploadReceipt(
      byteCount: read.byteCount, parts: 1, partsReused: 0, attempts: attempts, etag: answer.etag,
      requestID: answer.requestID, answered: answer.serverDate, crc32: read.crc.base64, checksum: check,
      proof: proof,
      stamp: source.file.stamp, isSnapshot: false, blocks: blocks(of: read, etag: answer.etag))
  }

  /// The check that the acknowledged bytes passed.
  func check(_ read: PartRead, in source: Source, against etag: String, isEchoed: Bool) async throws
    -> IntegrityCheck
  {
    try await IntegrityCheck(isEchoed: isEchoed, etag: etag) {
      try await resources.readers.run { try read.md5() }
    }
  }

  /// The SHA-256 for the signature; nil if the signature need not cover the body, or if the store hashes a
  /// small body itself.
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

  private func proof(of source: Source, _ wanted: Wanted, on read: PartRead) async throws
    -> PublicationProof
  {
    if let proof = source.proof { return proof }
    return try await prove(source, wanted, on: read.buffer) {
      try await resources.readers.run { try read.md5() }
    }
  }

  /// Proves that the bytes of a read are one whole version of the file.
  ///
  /// - Parameters:
  ///   - bytes: all bytes, if they are in memory.
  ///   - md5: the MD5 of the read; computed only if the file has to be read a second time.
  func prove(
    _ source: Source, _ wanted: Wanted, on bytes: PartBuffer?, md5: () async throws -> String
  ) async throws -> PublicationProof {
    switch try source.check.verdict(on: bytes, of: wanted.versions) {
    case .proved(let proof): return proof
    case .changed where wanted.openFiles == .wait: throw UploadAbandoned.changed
    case .writerPresent where wanted.openFiles == .wait: throw UploadAbandoned.openForWriting
    case .changed, .writerPresent, .untold:
      let first = try await md5()
      pauses.store(true, ordering: .relaxed)
      try await TaskThreads.pause(for: settings.settle)
      let again = try await resources.readers.run { try md5Hexadecimal(of: source.original) }
      guard again == first, try source.check.confirmsReread(wanted.openFiles, of: wanted.versions) else {
        throw UploadAbandoned.changed
      }
      try await checkBeginning(of: source, wanted.openFiles)
      return .reread
    }
  }

  /// Checks that a snapshot of an open file only adds bytes to the published content, so that a part never
  /// replaces a whole version.
  ///
  /// - Throws: `UploadAbandoned.notAppended`.
  func checkBeginning(of source: Source, _ openFiles: OpenFilePolicy) async throws {
    guard case .append(let published?) = openFiles, source.check.hasWriter else { return }
    guard try await resources.readers.run({ try published.isBeginning(of: source.file) }) else {
      throw UploadAbandoned.notAppended
    }
  }

  /// Whether the name leads to a later version than the one to be published. For a snapshot of a growing file
  /// this is false, because events report its further growth.
  func isSuperseded(_ source: Source, _ wanted: Wanted, _ proof: PublicationProof) throws -> Bool {
    switch try source.check.standing() {
    case .current: return false
    case .changed where proof == .reread: return false
    case .gone where source.isCopy: throw UploadAbandoned.vanished
    case .replaced, .changed, .gone:
      if source.isCopy, wanted.versions == .current { throw UploadAbandoned.changed }
      return true
    }
  }

  // MARK: Properties

  package func contentType(of path: RelativePath) -> String? {
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
