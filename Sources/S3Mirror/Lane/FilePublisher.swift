import LocalTree
import MirrorModel
import S3Client
import Transfers

/// Publishes single files of one upload, by the cheapest way that is sure, and writes each result down.
struct FilePublisher: Sendable {
  /// What came of one path.
  enum Outcome: Sendable {
    case published(bytes: Int64, by: Way)
    /// Nothing is there: a delete, or nothing to do.
    case absent
    /// A directory has taken the name.
    case isDirectory
    /// A symbolic link, socket, FIFO or device.
    case skipped(EntryKind)
    /// There is nothing to do: the marker is there, or the directory is not empty.
    case unneeded
    /// The path cannot be a key, or is beyond S3's limits.
    case refused(String)
    /// No whole version could be read; it stays dirty.
    case waiting(UploadAbandoned)
    case failed(FailureReason, FailureScope)

    /// What the plan of a pass learns of it.
    var fact: PassPlan.Publication {
      switch self {
      case .published(_, let way): .published(way.version)
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
    /// They stay dirty until they are closed.
    case wait
    /// Those of `appendNames` go as snapshots.
    case snapshot
  }

  enum Way: Sendable {
    case upload
    /// An upload of what a writer was still at.
    case snapshot
    /// An upload of a version that another one has replaced, which is still to be published.
    case superseded
    /// The same of a version that was held since the pass began: what the pass deletes it does not name.
    case held
    case copy
    /// A directory's; it counts as no file.
    case marker

    var version: PassPlan.Version {
      switch self {
      case .upload, .copy, .marker: .latest
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
  /// What may go while a program has it open for writing.
  let appendNames: NamePatterns
  /// Looks once more, with a marker's bytes in hand, whether it may speak for its directory now.
  let markerGate: MarkerGate
  let withdrawal: MarkerWithdrawal
  /// Told of each symbolic link that is skipped: a path in the batch, or a directory above one.
  var linkMet: @Sendable (RelativePath) -> Void = { _ in }

  /// Markers that are held through a pass: far more than a program rewrites all the time, and a small part of the 1,024 files that a
  /// process may have open by default (getrlimit(2), RLIMIT_NOFILE).
  private static let largestHeld = 64

  /// What publications run on: the threads of their requests, where a look at a file cannot wait for a network.
  var executors: [any TaskExecutor] { root.isLocalThroughout ? store.executors : [] }

  /// - Parameters:
  ///   - entry: what the watch knows of the path; nil when a comparison found it.
  ///   - openFiles: what to do with it while a program has it open for writing.
  ///   - whenStaged: called when all bytes of a multipart upload are on the server; the object appears after it returns. Nil where the
  ///     file has no unit to wait for.
  ///   - markers: those to remove from S3 just before the object appears.
  func publish(
    _ path: RelativePath, entry: DirtyEntry?, openFiles: OpenFiles, whenStaged: Uploader.WhenStaged? = nil,
    withdrawing markers: [RelativePath] = []
  ) async -> Outcome {
    if let marker = DirectoryMarker(path) { return await publish(marker) }
    let refusal = mapping.refusal(of: path)
    do {
      if entry?.purpose == .undecodable {
        return try root.holdsUndecodable(path) ? .refused(KeyMapping.undecodableName) : .unneeded
      }
      // What is gone and never had an object asks for nothing.
      guard let found = try root.look(at: path) else { return refusal == nil ? .absent : .unneeded }
      if let refusal { return .refused(refusal) }
      switch found.kind {
      case .directory: return .isDirectory
      case .symbolicLink:
        linkMet(path)
        return .skipped(.symbolicLink)
      case .special: return .skipped(.special)
      case .file: break
      }
      // A marker that was to be removed, had its data changed.
      if entry?.purpose == .recheck, markerGate.isMarker(path),
        ledger.record(of: path, matching: found.stamp, allowing: .none) != nil
      {
        return .unneeded
      }
      activity.began(path, bytes: found.stamp.size)
      defer { activity.ended(path) }
      if let origin = entry?.renamedFrom, !markerGate.isMarker(path),
        let outcome = await copy(path, from: origin, stamp: found.stamp, withdrawing: markers)
      {
        return outcome
      }
      if entry?.isWrittenElsewhere == true, ledger.holdsSnapshot(of: path, found.stamp),
        try root.open(path)?.probeWriters() == .present
      {
        return .waiting(.openForWriting)
      }
      let policy = try await policy(for: path, openFiles)
      // Where the kernel cannot say whether a writer is there, the watch's word stands.
      if policy == .wait, entry?.isOpen == true, let file = try root.open(path),
        file.probeWriters() != .none
      {
        return .waiting(.openForWriting)
      }
      return try await upload(path, entry: entry, openFiles: policy, whenStaged, withdrawing: markers)
    } catch let abandoned as UploadAbandoned {
      if case .restless(let restlessness) = abandoned, uploader.restless.takeNews(of: path, restlessness) {
        journal.notice("\(name): \(path) waits: \(abandoned)")
      }
      return abandoned == .vanished ? .absent : .waiting(abandoned)
    } catch {
      if let link = (error as? TreeError)?.linkAbove {
        linkMet(link)
        return .skipped(.symbolicLink)
      }
      return failed(path, error)
    }
  }

  /// Those of the paths whose files go in parts and take long, as far as that can be seen now.
  func large(among paths: [RelativePath]) -> Set<RelativePath> {
    let threshold = max(uploader.settings.singleThreshold, uploader.settings.stagedThreshold)
    return Set(
      paths.filter { path in
        guard case .success(let found?) = Result(catching: { try root.look(at: path) }) else { return false }
        return found.kind == .file && found.stamp.size > threshold
      })
  }

  /// The sizes of files, as far as these can be seen now.
  func sizes(of paths: [RelativePath]) -> [RelativePath: Int64] {
    var sizes: [RelativePath: Int64] = [:]
    for path in paths { sizes[path] = root.stamp(ofFileAt: path)?.size }
    return sizes
  }

  /// Reads the markers of a pass before their data go, so that each can go in this version though it is rewritten meanwhile.
  ///
  /// Such a version names data that were closed before the pass began, and the pass publishes those. Without it a program
  /// that writes checkpoints faster than a pass takes would never have a marker on S3: each one is rewritten, and names newer
  /// data, before its own turn comes.
  ///
  /// Of many markers those are held that stand for most, nearest to the root: each one keeps a file open.
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
    // What was rewritten since the batch was taken may name data that are not in the batch.
    return await markerGate.untouched(held)
  }

  /// Publishes a marker in the version that the pass began with.
  func publish(_ version: HeldVersion) async -> Outcome {
    let (start, path) = (ContinuousClock.now, version.path)
    let key = mapping.key(for: path)
    do {
      let receipt = try await uploader.upload(version, to: key)
      note(receipt, of: path, key: key, since: start)
      return .published(bytes: receipt.byteCount, by: .held)
    } catch {
      return failed(path, error)
    }
  }

  private func upload(
    _ path: RelativePath, entry: DirtyEntry?, openFiles: OpenFilePolicy, _ whenStaged: Uploader.WhenStaged?,
    withdrawing markers: [RelativePath]
  ) async throws -> Outcome {
    let start = ContinuousClock.now
    let key = mapping.key(for: path)
    let (gate, withdrawal) = (markerGate, withdrawal)
    let receipt = try await uploader.upload(
      path, of: root, to: key, isCloseSeen: entry?.writer == .closed, openFiles: openFiles,
      versions: gate.publishableVersions(of: path), whenStaged: whenStaged,
      beforePublication: {
        try await gate.check(path)
        try await withdrawal.carryOut(markers)
      })
    note(receipt, of: path, key: key, since: start)
    let way: Way = receipt.isSuperseded ? .superseded : receipt.isSnapshot ? .snapshot : .upload
    return .published(bytes: receipt.byteCount, by: way)
  }

  private func note(
    _ receipt: UploadReceipt, of path: RelativePath, key: String, since start: ContinuousClock.Instant
  ) {
    // The stamp of a file that was replaced vouches for nothing: its inode may be another file's by now.
    ledger.note(
      .init(
        stamp: receipt.stamp, etag: receipt.etag, crc32: receipt.crc32,
        isSnapshot: receipt.isSnapshot || receipt.isSuperseded, stampLasts: receipt.stampLasts,
        answered: receipt.answered),
      for: path)
    journal.uploaded(receipt, mirror: name, path: path, key: key, took: .now - start)
  }

  func failed(_ path: RelativePath, _ error: any Error) -> Outcome {
    journal.failed(.upload, mirror: name, path: path, key: mapping.key(for: path), error: error)
    return .failed(FailureReason(error), FailureScope(error))
  }

  /// What may be done with a file while it is open: only names that are appended to may go, and only with more at their end.
  private func policy(for path: RelativePath, _ openFiles: OpenFiles) async throws -> OpenFilePolicy {
    guard openFiles == .snapshot, appendNames.contains(path), !markerGate.isMarker(path),
      let file = try root.open(path), file.probeWriters() != .none
    else { return .wait }
    if let known = ledger.content(of: path) { return .append(to: known) }
    do {
      let head = try await store.send(HeadObject(key: mapping.key(for: path)))
      return .append(
        to: PublishedContent(
          byteCount: head.byteCount, etag: head.etag, crc32: head.fullObjectCRC32?.base64))
    } catch let error as S3Error where error.isNotFound {
      return .append(to: nil)
    } catch let error as S3Error where error.isAccessDenied {
      // What is published cannot be known, so it is not replaced by a part of a file.
      return .wait
    }
  }

  /// Copies on the server when the file is, but for its name, the version that this run published under `origin`.
  /// Nil when in doubt: then the bytes are sent.
  private func copy(
    _ path: RelativePath, from origin: RelativePath, stamp: FileStamp, withdrawing markers: [RelativePath]
  ) async -> Outcome? {
    guard let record = ledger.record(of: origin, matching: stamp, allowing: .renamed) else { return nil }
    let start = ContinuousClock.now
    let key = mapping.key(for: path)
    do {
      // What is copied must be there.
      try await withdrawal.carryOut(markers.filter { $0 != origin })
      let source = CopySource(bucket: store.bucket, key: mapping.key(for: origin), ifMatch: record.etag)
      let answer = try await uploader.copy(source, of: path, stamp: stamp, to: key)
      guard let after = try root.look(at: path), after.stamp.isSameVersion(as: stamp) else { return nil }
      ledger.note(
        .init(
          stamp: stamp, etag: answer.etag, crc32: record.crc32,
          // A rename of the file itself moves ctime, and would hide a write before it.
          stampLasts: record.stampLasts && record.stamp.isSameVersion(as: stamp), answered: answer.answered),
        for: path)
      journal.copied(
        bytes: stamp.size, etag: answer.etag, mirror: name, path: path, key: key, took: .now - start)
      return .published(bytes: stamp.size, by: .copy)
    } catch {
      // Replaced, deleted or not copyable there: the upload that follows says so if it is more than that.
      return nil
    }
  }
}
