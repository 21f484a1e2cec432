import LocalTree
import MirrorModel
import S3Client
import Synchronization
import Transfers

// What a member has on S3 of a checkpoint.
extension MemberReceipts {
  struct Draft {
    var objects: [UnitReceipt.Entry] = []
    /// Whether a marker of the checkpoint is not on S3, besides the one that is published next.
    var lacksMarkers = false
    /// Files of which it is not known whether this member has them on S3.
    var omitted = 0
  }

  /// What this member has on S3 of a checkpoint. A file that is being written counts in its published version.
  func draft(
    _ unit: RelativePath, before marker: RelativePath?, after earlier: UnitReceipt?, _ root: TreeRoot
  ) async throws -> Draft {
    var draft = Draft()
    let named = Set(earlier?.objects.map(\.key) ?? [])
    var doubtful: [UnitReceipt.Entry] = []
    var walk = TreeWalk(root: root, start: unit, filter: filter, symlinks: root.symlinks)
    while let item = walk.next() {
      switch item {
      case .file(let path, let stamp), .pointer(let path, let stamp, _), .link(let path, let stamp, _):
        if names.appended.contains(path) || mapping.refusal(of: path) != nil { continue }
        if path == marker {
          // Its ETag is known when it is there. Then the receipt is published once more.
          draft.objects.append(.init(key: path.string, bytes: stamp.size, etag: ""))
        } else if let content = ledger.content(of: path) {
          let entry = UnitReceipt.Entry(
            key: path.string, bytes: content.byteCount, etag: content.etag, crc32: content.crc32)
          if ledger.publication(of: path) != nil || named.contains(path.string) {
            draft.objects.append(entry)
          } else if !others.withLock({ $0.contains(path) }) {
            doubtful.append(entry)
          }
        } else if names.markers.contains(path) {
          draft.lacksMarkers = true
        } else if ledger.hasForgotten {
          draft.omitted += 1
        }
      case .unreadable, .directory, .emptyDirectory, .skipped, .notUTF8: continue
      }
    }
    if doubtful.count > WriterCheck.mostDoubts {
      draft.omitted += doubtful.count
    } else {
      draft.objects += try await own(among: doubtful)
    }
    draft.objects.sort { $0.key < $1.key }
    return draft
  }

  /// Those of the objects, found equal to files here, that an attempt of this member made. A `sync` has fetched
  /// the others.
  private func own(among doubtful: [UnitReceipt.Entry]) async throws -> [UnitReceipt.Entry] {
    let answers = await concurrentEach(doubtful, width: Self.requestsInFlight) {
      entry -> Result<UnitReceipt.Entry?, any Error> in
      let path = RelativePath(entry.key)
      do {
        let head = try await self.uploader.store.send(HeadObject(key: self.mapping.key(for: path)))
        if self.mark.signature(in: head) == .own { return .success(entry) }
        self.others.withLock { _ = $0.insert(path) }
        return .success(nil)
      } catch let error as S3Error where error.isNotFound {
        return .success(nil)
      } catch {
        return .failure(error)
      }
    }
    return try answers.compactMap { try $0.get() }
  }
}
