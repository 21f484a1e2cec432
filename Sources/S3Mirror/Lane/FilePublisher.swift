import LocalTree
import MirrorModel
import S3Client
import Transfers

/// Publishes single files of one upload, each in the cheapest safe way, and records each result.
///
/// A class, because each publication holds it, and a copy of its parts would fill a page of the memory of each.
final class FilePublisher: Sendable {
  /// The result for one path.
  enum Outcome: Sendable {
    /// - Parameter copied: the bytes that were not sent, because the server copied them.
    case published(bytes: Int64, by: Way, copied: Int64 = 0)
    /// Nothing has this name: either its object must be deleted, or there is nothing to do.
    case absent
    /// A directory has this name now.
    case isDirectory
    /// A symbolic link, socket, FIFO or device.
    case skipped(EntryKind)
    /// There is nothing to do: the marker is on S3, or the directory is not empty.
    case unneeded
    /// The path cannot be a key, or exceeds S3's limits.
    case refused(String)
    /// No whole version could be read; the path stays dirty.
    case waiting(UploadAbandoned)
    case failed(FailureReason, FailureScope)

    /// The result as the plan of a pass takes it.
    var fact: PassPlan.Publication {
      switch self {
      case .published(_, .briefMark, _): .shown
      case .published(_, let way, _): .published(way.version)
      case .absent: .absent
      case .isDirectory: .isDirectory
      case .skipped, .unneeded: .needless
      case .refused: .refused
      case .waiting(let reason): .waiting(isOpen: reason == .openForWriting)
      case .failed: .failed
      }
    }
  }

  /// What a pass does with files that a program has open for writing.
  enum OpenFiles: Sendable {
    /// Such files stay dirty until they are closed.
    case wait
    /// Open files of `appendNames` are published as snapshots.
    case snapshot
  }

  enum Way: Sendable {
    case upload
    /// An upload of a file that a process still had open for writing.
    case snapshot
    /// An upload of a version that has been replaced; the newer version is still to be published.
    case superseded
    /// An upload of a replaced version that was held since the pass began. It does not name the files whose
    /// objects the pass deletes.
    case held
    case copy
    /// The marker of a directory; it does not count as a file.
    case marker
    /// An in-progress mark whose file has come and gone; it does not count as a file.
    case briefMark

    var version: PassPlan.Version {
      switch self {
      case .upload, .copy, .marker, .briefMark: .latest
      case .snapshot: .snapshot
      case .superseded: .superseded
      case .held: .held
      }
    }
  }

  let name: String
  let root: TreeRoot
  let filter: PathFilter
  let mapping: KeyMapping
  let store: any ObjectStore
  let uploader: Uploader
  let ledger: PublishedLedger
  let journal: Journal
  let activity: LaneActivity
  /// Names whose files may be published while a program has them open for writing.
  let appendNames: NamePatterns
  /// Compares the target of a pointer with its object.
  let content: ContentComparison
  /// The last check of a marker, after its bytes are read and before they are sent.
  let markerGate: MarkerGate
  let withdrawal: MarkerWithdrawal
  /// Nil if no receipts are published.
  let receipts: (any CheckpointReceipts)?
  /// Receives each symbolic link that is skipped: a path in the batch, or a directory above one.
  let linkMet: @Sendable (RelativePath) -> Void

  /// How many markers are held through a pass. This is far more than programs usually rewrite, and a small
  /// part of the 1,024 files that a process may have open by default (getrlimit(2), RLIMIT_NOFILE).
  private static let largestHeld = 64

  init(
    name: String, root: TreeRoot, filter: PathFilter, mapping: KeyMapping, store: any ObjectStore,
    uploader: Uploader, ledger: PublishedLedger, journal: Journal, activity: LaneActivity,
    appendNames: NamePatterns, content: ContentComparison, markerGate: MarkerGate,
    withdrawal: MarkerWithdrawal, receipts: (any CheckpointReceipts)?,
    linkMet: @escaping @Sendable (RelativePath) -> Void
  ) {
    self.name = name
    self.root = root
    self.filter = filter
    self.mapping = mapping
    self.store = store
    self.uploader = uploader
    self.ledger = ledger
    self.journal = journal
    self.activity = activity
    self.appendNames = appendNames
    self.content = content
    self.markerGate = markerGate
    self.withdrawal = withdrawal
    self.receipts = receipts
    self.linkMet = linkMet
  }

  /// The executors of publications: the threads of their requests, if checking a file never waits for a
  /// network; otherwise none.
  var executors: [any TaskExecutor] { root.isLocalThroughout ? store.executors : [] }

  /// - Parameters:
  ///   - entry: what the watch reported of the path; nil if a comparison found the path.
  ///   - openFiles: what to do with the file while a program has it open for writing.
  ///   - whenStaged: called when all bytes of a multipart upload are on the server; the object appears after
  ///     it returns. Nil if the file does not have to wait for its unit.
  ///   - markers: the markers to remove from S3 just before the object appears.
  func publish(
    _ path: RelativePath, entry: DirtyEntry?, openFiles: OpenFiles, whenStaged: Uploader.WhenStaged? = nil,
    withdrawing markers: [RelativePath] = []
  ) async -> Outcome {
    if let marker = DirectoryMarker(path) { return await publish(marker) }
    do {
      switch try firstLook(at: path, entry) {
      case .settled(let outcome): return outcome
      case .briefMark: return await publishBriefMark(path)
      case .link(let stamp):
        return try await publishLink(path, entry: entry, stamp: stamp, withdrawing: markers)
      case .file(let found):
        activity.began(path, bytes: found.stamp.size)
        defer { activity.ended(path) }
        if let outcome = try await copyOfKnownObject(path, found, entry?.renamedFrom, withdrawing: markers) {
          return outcome
        }
        let content = found.pointer?.target ?? path
        let policy =
          try isOpenAppended(path, content, openFiles) ? await policyForAppended(path) : .wait
        if try waitsForWriter(path, content, found, entry, policy) { return .waiting(.openForWriting) }
        return try await upload(
          path, entry: entry, stamp: found.stamp, openFiles: policy, whenStaged, withdrawing: markers,
          pointingTo: found.pointer?.target)
      }
    } catch {
      return outcome(of: path, after: error)
    }
  }

  /// Publishes the file by a copy on the server; nil if there is no object to copy from.
  private func copyOfKnownObject(
    _ path: RelativePath, _ found: TreeRoot.Entry, _ origin: RelativePath?,
    withdrawing markers: [RelativePath]
  ) async throws -> Outcome? {
    if let target = found.pointer?.target,
      let outcome = try await publish(path, pointingTo: target, stamp: found.stamp, withdrawing: markers)
    {
      return outcome
    }
    guard let origin, !markerGate.isMarker(path) else { return nil }
    return await copy(path, from: origin, stamp: found.stamp, withdrawing: markers)
  }

  /// Reads the markers of a pass before their data are published. Each marker can then be published in this
  /// version even if it is rewritten during the pass.
  ///
  /// Such a version names data that were closed before the pass began, and the pass publishes these data.
  /// Without held versions, a program that writes checkpoints faster than a pass takes would never have a
  /// marker on S3: each marker is rewritten, and names newer data, before its turn comes.
  ///
  /// Each held marker keeps a file open. If there are too many, those nearest to the root are held, because
  /// they cover the most data.
  func hold(_ markers: [RelativePath: DirtyEntry]) async -> [RelativePath: HeldVersion] {
    guard markerGate.strictness == .marker else { return [:] }
    var held: [RelativePath: HeldVersion] = [:]
    let files = markers.keys.filter { DirectoryMarker($0) == nil }
    let nearest = files.sorted { ($0.ancestors.count, $0) < ($1.ancestors.count, $1) }
    for path in nearest.prefix(Self.largestHeld) {
      held[path] = await uploader.hold(
        path, of: root, isCloseSeen: markers[path]?.writer == .closed)
    }
    guard !held.isEmpty else { return [:] }
    // A marker that was rewritten since the batch was taken may name data that are not in the batch.
    return await markerGate.untouched(held)
  }

  /// Publishes a marker in the version that was read when the pass began.
  func publish(_ version: HeldVersion) async -> Outcome {
    let (start, path) = (Instant.now, version.path)
    let key = mapping.key(for: path)
    do {
      try await publishReceipts(before: path)
      let receipt = try await uploader.upload(version, to: key)
      note(receipt, of: path, key: key, since: start)
      return .published(bytes: receipt.byteCount, by: .held)
    } catch {
      return failed(path, error)
    }
  }

  private func upload(
    _ path: RelativePath, entry: DirtyEntry?, stamp: FileStamp, openFiles: OpenFilePolicy,
    _ whenStaged: Uploader.WhenStaged?,
    withdrawing markers: [RelativePath], pointingTo target: RelativePath?
  ) async throws -> Outcome {
    let start = Instant.now
    let key = mapping.key(for: path)
    var receipt = try await uploader.upload(
      path, of: root, to: key, isCloseSeen: entry?.writer == .closed, openFiles: openFiles,
      versions: markerGate.publishableVersions(of: path), content: target,
      over: publishedObjects(alike: path, fileBytes: stamp.size),
      whenStaged: whenStaged,
      beforePublication: { [self] in
        try await prepareAppearance(of: path, pointingTo: target, withdrawing: markers)
      })
    if let target, pointee(of: path) != target { receipt.isSuperseded = true }
    note(receipt, of: path, key: key, since: start)
    let way: Way = receipt.isSuperseded ? .superseded : receipt.isSnapshot ? .snapshot : .upload
    return .published(bytes: receipt.byteCount, by: way, copied: receipt.bytesCopied)
  }

  /// The objects from which parts of a file may be copied.
  private func publishedObjects(alike path: RelativePath, fileBytes: Int64) -> [KnownObject] {
    ledger.objects(alike: path, fileBytes: fileBytes).map { other, object in
      var object = object
      if other != path { object.key = mapping.key(for: other) }
      return object
    }
  }

  func note(
    _ receipt: UploadReceipt, of path: RelativePath, key: String, since start: Instant
  ) {
    // If the file was replaced, its stamp proves nothing: another file may have its inode number by now.
    ledger.note(
      .init(
        stamp: receipt.stamp, etag: receipt.etag, crc32: receipt.crc32,
        isSnapshot: receipt.isSnapshot || receipt.isSuperseded, stampLasts: receipt.stampLasts,
        answered: receipt.answered),
      blocks: receipt.blocks, for: path)
    receipts?.note(published: path)
    journal.uploaded(receipt, mirror: name, path: path, key: key, took: .now - start)
  }

  /// Does what must be done when the content of a path is read, and before its object appears: the last checks of
  /// a marker and of a pointer, the receipts that a marker needs, and the removal of markers over data.
  func prepareAppearance(
    of path: RelativePath, pointingTo target: RelativePath? = nil, withdrawing markers: [RelativePath]
  ) async throws {
    try await markerGate.check(path)
    if let target { try await markerGate.check(pointerTo: target, isPublished: { isPublished(target) }) }
    try await publishReceipts(before: path)
    try await withdrawal.carryOut(markers)
  }

  /// Publishes the receipts of the checkpoints to which a marker may lead.
  func publishReceipts(before path: RelativePath) async throws {
    guard markerGate.isMarker(path) else { return }
    try await receipts?.publish(below: path.parent, before: path, in: root)
  }

  func failed(_ path: RelativePath, _ error: any Error) -> Outcome {
    journal.failed(.upload, mirror: name, path: path, key: mapping.key(for: path), error: error)
    return .failed(FailureReason(error), FailureScope(error))
  }

  /// The policy for a file of `appendNames` that a program has open: it may be published if the new content begins
  /// with the published content.
  private func policyForAppended(_ path: RelativePath) async throws -> OpenFilePolicy {
    if let known = ledger.content(of: path) { return .append(to: known) }
    do {
      let head = try await store.send(HeadObject(key: mapping.key(for: path)))
      return .append(
        to: PublishedContent(
          byteCount: head.byteCount, etag: head.etag, crc32: head.fullObjectCRC32?.base64))
    } catch let error as S3Error where error.isNotFound {
      return .append(to: nil)
    } catch let error as S3Error where error.isAccessDenied {
      // The published content is not known, so a part of a file does not replace it.
      return .wait
    }
  }

  /// Copies the object on the server if the file is the version that this run published under `origin`, and
  /// only its name changed. Returns nil in doubt; then the caller sends the bytes.
  ///
  /// - Parameter content: the file whose content the object has; nil for the path itself.
  func copy(
    _ path: RelativePath, from origin: RelativePath, of content: RelativePath? = nil, stamp: FileStamp,
    withdrawing markers: [RelativePath]
  ) async -> Outcome? {
    guard let record = ledger.record(of: origin, matching: stamp, allowing: .renamed) else { return nil }
    let start = Instant.now
    let key = mapping.key(for: path)
    do {
      // The origin is the source of the copy, so it must not be removed.
      try await withdrawal.carryOut(markers.filter { $0 != origin })
      let source = CopySource(bucket: store.bucket, key: mapping.key(for: origin), ifMatch: record.etag)
      let answer = try await uploader.copy(source, of: path, stamp: stamp, to: key)
      guard let after = try root.look(at: content ?? path), after.stamp.isSameVersion(as: stamp) else {
        return nil
      }
      ledger.note(
        .init(
          stamp: stamp, etag: answer.etag, crc32: record.crc32,
          // Renaming a file moves its ctime, which would hide an earlier write.
          stampLasts: record.stampLasts && record.stamp.isSameVersion(as: stamp), answered: answer.answered),
        blocks: ledger.object(of: origin, fileBytes: stamp.size)?.blocks, for: path)
      receipts?.note(published: path)
      journal.copied(
        bytes: stamp.size, etag: answer.etag, mirror: name, path: path, key: key, took: .now - start)
      return .published(bytes: stamp.size, by: .copy, copied: stamp.size)
    } catch {
      // The object was replaced or deleted, or cannot be copied. Any other error shows in the upload that
      // follows.
      return nil
    }
  }
}
