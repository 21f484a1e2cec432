import LoopThread
import MirrorModel
import S3Client

extension PendingUploads {
  /// What became of the uploads that were unfinished at the end of a run.
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
      /// Its file is not published yet, and the next run takes up its parts.
      case resumable
      /// It was there at the entry, and nothing says that this mirror began it.
      case foreign
      /// It could not be aborted.
      case failed(String)
    }

    package var aborted: [(key: String, uploadID: String)] = []
    package var left: [Left] = []
    /// Why it is not known whether uploads are left; nil when it is.
    package var unlisted: String?

    package init() {}
  }

  /// Ends what nobody will finish: parts of uploads are billed until they are completed or aborted.
  ///
  /// Aborted is only what is sure to be this run's: what it began or took over, and under a key of which it has begun uploads
  /// one that was begun since, has no part, and whose ID this run does not know: its answer was lost. What lay there at the entry
  /// may be another writer's, on another host, and alive: it is told.
  ///
  /// - Parameters:
  ///   - isUnderPrefix: whether a key is this mirror's.
  ///   - isResumable: whether the key's file is still to be published.
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

  /// - Parameter since: by this machine's clock, which the server's may be behind.
  private func settleDoubt(
    _ entry: Entry, of key: String, since: Int64, in store: any ObjectStore,
    noting settlement: inout Settlement
  ) async {
    do {
      let parts = try await store.send(ListParts(key: key, uploadID: entry.uploadID, limit: 1))
      // A part, or an earlier beginning, means another writer.
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

  /// 15 minutes: S3 refuses requests whose clock is further off than that (RequestTimeTooSkewed).
  private static let clockAllowance: Int64 = 15 * 60 * 1_000_000_000

  private func abort(
    _ uploadID: String, of key: String, in store: any ObjectStore, noting settlement: inout Settlement
  ) async {
    do {
      _ = try await store.send(AbortMultipartUpload(key: key, uploadID: uploadID))
      settlement.aborted.append((key, uploadID))
    } catch let error as S3Error where error.isNotFound {
      // Completed or aborted by somebody, or by a request of ours whose answer was lost.
    } catch {
      settlement.left.append(.init(key: key, uploadID: uploadID, reason: .failed(String(describing: error))))
      return
    }
    remove(uploadID, for: key)
  }
}
