import LoopThread
import MirrorModel
import S3Client

extension PendingUploads {
  /// The result for uploads that were unfinished at the end of a run.
  package struct Settlement: Sendable {
    package struct Left: Sendable, Hashable {
      package var key: String
      package var uploadID: String
      package var reason: Reason

      package init(key: String, uploadID: String, reason: Reason) {
        self.key = key
        self.uploadID = uploadID
        self.reason = reason
      }
    }

    package enum Reason: Sendable, Hashable {
      /// Its file is not published yet, and the next run resumes the upload.
      case resumable
      /// It existed at entry, and nothing shows that this mirror began it.
      case foreign
      /// It could not be aborted.
      case failed(String)
    }

    package var aborted: [(key: String, uploadID: String)] = []
    package var left: [Left] = []
    /// Why it is unknown whether uploads are left; nil if it is known.
    package var unlisted: String?

    package init() {}
  }

  /// Ends uploads that no run will finish, because parts are billed until their upload is completed or
  /// aborted.
  ///
  /// Only uploads that certainly belong to this run are aborted: those that it began or resumed, and new
  /// uploads with no part and an unknown ID under a key for which this run began an upload, because the
  /// answer may have been lost. Uploads that existed at entry may belong to a live writer on another host, so
  /// they are only reported.
  ///
  /// - Parameters:
  ///   - isUnderPrefix: whether a key belongs to this mirror.
  ///   - isResumable: whether the key's file is still unpublished.
  package func settle(
    _ store: any ObjectStore, prefix: String, isUnderPrefix: (String) -> Bool, isResumable: (String) -> Bool
  ) async -> Settlement {
    var settlement = Settlement()
    for (key, entry) in all where entry.isOurs {
      if isResumable(key) {
        settlement.left.append(.init(key: key, uploadID: entry.uploadID, reason: .resumable))
      } else {
        await abort(entry.uploadID, of: key, in: store, noting: &settlement)
      }
    }
    let (found, doubts) = (all.filter { !$0.entry.isOurs && isUnderPrefix($0.key) }, keysInDoubt)
    if found.isEmpty && doubts.isEmpty { return settlement }
    let present = PendingUploads()
    do {
      try await present.load(from: store, prefix: prefix)
    } catch {
      settlement.unlisted = String(describing: error)
      return settlement
    }
    let known = Set(all.map(\.entry.uploadID)).union(settlement.left.map(\.uploadID))
    let foundIDs = Set(found.map(\.entry.uploadID))
    for (key, entry) in present.all.sorted(by: { ($0.key, $0.entry.uploadID) < ($1.key, $1.entry.uploadID) })
    {
      if foundIDs.contains(entry.uploadID) {
        settlement.left.append(.init(key: key, uploadID: entry.uploadID, reason: .foreign))
      } else if let since = doubts[RelativePath(key)], !known.contains(entry.uploadID) {
        await settleDoubt(entry, of: key, since: since, in: store, noting: &settlement)
      }
    }
    return settlement
  }

  /// - Parameter since: by this machine's clock; the server's clock may be behind.
  private func settleDoubt(
    _ entry: Entry, of key: String, since: Int64, in store: any ObjectStore,
    noting settlement: inout Settlement
  ) async {
    do {
      let parts = try await store.send(ListParts(key: key, uploadID: entry.uploadID, limit: 1))
      // An upload with a part, or with an earlier start, belongs to another writer.
      guard parts.parts.isEmpty, entry.initiated >= since - Self.clockAllowance else {
        settlement.left.append(.init(key: key, uploadID: entry.uploadID, reason: .foreign))
        return
      }
    } catch let error as S3Error where error.isNotFound {
      return
    } catch {
      settlement.left.append(
        .init(key: key, uploadID: entry.uploadID, reason: .failed(String(describing: error))))
      return
    }
    await abort(entry.uploadID, of: key, in: store, noting: &settlement)
  }

  /// 15 minutes: S3 refuses requests from clocks that differ by more (RequestTimeTooSkewed).
  private static let clockAllowance: Int64 = 15 * 60 * 1_000_000_000

  private func abort(
    _ uploadID: String, of key: String, in store: any ObjectStore, noting settlement: inout Settlement
  ) async {
    do {
      _ = try await store.send(AbortMultipartUpload(key: key, uploadID: uploadID))
      settlement.aborted.append((key, uploadID))
    } catch let error as S3Error where error.isNotFound {
      // The upload was completed or aborted elsewhere, or by a request of this run whose answer was lost.
    } catch {
      settlement.left.append(.init(key: key, uploadID: uploadID, reason: .failed(String(describing: error))))
      return
    }
    remove(uploadID, for: key)
  }
}
