import LocalTree
import MirrorModel
import S3Client
import Transfers

/// One file of a download: decides whether it must be fetched, and fetches it.
extension DownloadJob {
  /// - Parameter standing: the local markers that cover the file; nil if there can be none.
  func fetch(
    _ wanted: Wanted, to root: TreeRoot, mapping: KeyMapping, under standing: StandingMarkers? = nil
  ) async -> Step {
    let start = Instant.now
    do {
      guard let reason = try await reason(toFetch: wanted, to: root, mapping: mapping) else {
        return .unchanged
      }
      var downloader = Downloader(store: store, resources: resources)
      downloader.rootDepth = rootDepth
      if let standing {
        downloader.beforePublication = {
          try await standing.withdraw(before: reason == .absent ? .newFile : .newContent)
        }
      }
      let receipt = try await downloader.download(
        wanted.key, object: wanted.object, to: wanted.path, of: root)
      journal.downloaded(receipt, mirror: name, path: wanted.path, key: wanted.key, took: .now - start)
      return .fetched(receipt.byteCount, reason)
    } catch {
      journal.failed(.download, mirror: name, path: wanted.path, key: wanted.key, error: error)
      return .failed(.init(path: wanted.path.string, FailureReason(error)))
    }
  }

  /// Whether the file's stamp alone shows that it is unchanged. This holds for most files, so they need no
  /// task.
  func isSeenUnchanged(_ wanted: Wanted, in root: TreeRoot) throws -> Bool {
    guard let stamp = root.stamp(ofFileAt: wanted.path) else { return false }
    let comparison = Comparison(policy: compare)
    switch comparison.download(local: stamp, remote: wanted.object) {
    case .same: return true
    case .suspect: return comparison.isSettled(stamp, wanted.object, by: wanted.known)
    case .copy: return false
    }
  }

  /// What has an object's place here.
  enum Standing: Sendable, Hashable {
    case absent
    case same
    /// A later version. A resumed run keeps it, because it changed after the object was published.
    case later
    case other(CopyReason)
  }

  /// Why the object must be fetched; nil if the local file stays.
  ///
  /// - Parameter root: nil if there is no local directory yet.
  func reason(toFetch wanted: Wanted, to root: TreeRoot?, mapping: KeyMapping) async throws -> CopyReason? {
    switch try await standing(of: wanted, in: root, mapping: mapping) {
    case .absent: .absent
    case .same, .later: nil
    case .other(let reason): reason
    }
  }

  /// - Parameter root: nil if there is no local directory yet.
  func standing(of wanted: Wanted, in root: TreeRoot?, mapping: KeyMapping) async throws -> Standing {
    guard let root, let entry = try root.lookForPlace(at: wanted.path) else { return .absent }
    if entry.kind == .symbolicLink { return try await standing(ofLink: entry.stamp, wanted, in: root) }
    guard entry.kind == .file else {
      throw MirrorError(.local, "something that is no file has its name here")
    }
    let reason: CopyReason
    let comparison = Comparison(policy: compare)
    switch comparison.download(local: entry.stamp, remote: wanted.object) {
    case .same: return .same
    case .copy(let found): reason = found
    case .suspect where comparison.isSettled(entry.stamp, wanted.object, by: wanted.known): return .same
    case .suspect:
      let content = ContentComparison(
        root: root, mapping: mapping, store: store, readers: resources.readers, policy: compare, ledger: nil,
        evidence: notes)
      if try await content.isSame(wanted.path, stamp: entry.stamp, remote: wanted.object) { return .same }
      reason = .content
    }
    return isKept(entry.stamp, against: wanted) ? .later : .other(reason)
  }

  /// What a link is to an object of its name.
  ///
  /// - Throws: `MirrorError` if the object is no link: a download replaces no link by a file.
  private func standing(ofLink stamp: FileStamp, _ wanted: Wanted, in root: TreeRoot) async throws -> Standing
  {
    if Comparison.isPulled(stamp, from: wanted.object), stamp.size == wanted.object.byteCount { return .same }
    let head = try await store.send(HeadObject(key: wanted.key))
    guard LinkObject.isMarked(head.metadata) else {
      // A sync's upload has made the object from the link, so the link is what the run continues with.
      if mode == .resume { return .later }
      throw MirrorError(.local, "something that is no file has its name here")
    }
    if let text = try root.linkText(at: wanted.path), head.isLink(text) { return .same }
    return isKept(stamp, against: wanted) ? .later : .other(.content)
  }

  /// Whether a resumed run keeps the local file, because it changed after the object was published.
  private func isKept(_ stamp: FileStamp, against wanted: Wanted) -> Bool {
    mode == .resume && Comparison(serverSkew: wanted.serverSkew).isLater(stamp, than: wanted.object)
  }
}
