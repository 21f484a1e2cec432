import MirrorModel
import S3Client
import Synchronization

/// What becomes of a multipart upload that is cut short.
package enum UnfinishedUploads: Sendable, Hashable {
  /// Nobody will resume it: its parts would be billed for nothing.
  case abort
  /// It stays on S3 for the next run.
  case leave
}

/// The multipart uploads that S3 holds unfinished under a prefix, by key: what an interrupted run left behind, and
/// what this run could not finish. S3 is the truth; this only saves asking again before every file.
package final class PendingUploads: Sendable {
  package struct Entry: Sendable, Hashable {
    package var uploadID: String
    /// Nanoseconds since 1970-01-01 UTC.
    package var initiated: Int64
    /// This run began it or took it over, so it is this run's to end.
    package var isOurs: Bool

    package init(uploadID: String, initiated: Int64, isOurs: Bool = false) {
      self.uploadID = uploadID
      self.initiated = initiated
      self.isOurs = isOurs
    }
  }

  private let entries = Mutex<[RelativePath: [Entry]]>([:])
  private let doubts = Mutex<[RelativePath: Int64]>([:])
  private let onCancel = Mutex(UnfinishedUploads.abort)

  private let isFailureTold = Atomic<Bool>(false)
  private let onFirstFailure: @Sendable (S3Error) -> Void

  /// - Parameter onFirstFailure: told of the first upload whose parts could not be listed, so that a new one was begun.
  package init(onFirstFailure: @escaping @Sendable (S3Error) -> Void = { _ in }) {
    self.onFirstFailure = onFirstFailure
  }

  func tell(_ failure: S3Error) {
    if !isFailureTold.exchange(true, ordering: .relaxed) { onFirstFailure(failure) }
  }

  /// What happens to an upload whose task is cancelled.
  package var whenCancelled: UnfinishedUploads {
    get { onCancel.withLock { $0 } }
    set { onCancel.withLock { $0 = newValue } }
  }

  /// Asks S3 for all unfinished uploads under `prefix`. When a page cannot be had, those before it are known.
  package func load(from store: any ObjectStore, prefix: String) async throws {
    var marker: ListMultipartUploads.Marker?
    var trail = PageTrail()
    while true {
      let page = try await store.send(ListMultipartUploads(prefix: prefix, after: marker))
      for upload in page.uploads {
        add(Entry(uploadID: upload.uploadID, initiated: upload.initiated ?? 0), for: upload.key)
      }
      // A server that leads in a circle would be listed for ever. All that it has to say is known by then.
      guard let next = page.next, !trail.hasCome(to: next.text) else { return }
      marker = next
    }
  }

  package func add(_ entry: Entry, for key: String) {
    entries.withLock { entries in
      var known = entries[RelativePath(key)] ?? []
      if !known.contains(entry) { known.append(entry) }
      entries[RelativePath(key)] = known
    }
  }

  /// Hands the newest unfinished upload of the key to the caller, who finishes it, aborts it or adds it again.
  package func takeNewest(for key: String) -> Entry? {
    entries.withLock { entries in
      guard var known = entries[RelativePath(key)],
        let newest = known.indices.max(by: { known[$0].initiated < known[$1].initiated })
      else { return nil }
      let entry = known.remove(at: newest)
      entries[RelativePath(key)] = known.isEmpty ? nil : known
      return entry
    }
  }

  /// Everything known, for the sweep of stale uploads.
  package var all: [(key: String, entry: Entry)] {
    entries.withLock { entries in
      entries.flatMap { key, known in known.map { (key: key.string, entry: $0) } }
    }
  }

  /// Begins an upload. Where an answer is lost on the way, an upload may be there whose ID nobody here knows, so the key is
  /// remembered for the end of the run.
  ///
  /// Every key is, for a lost answer does not always show: libcurl sends a request again by itself when a connection that it
  /// used before ends without an answer (Curl_retry_request in its lib/transfer.c).
  ///
  /// - Parameter wallClock: nanoseconds since 1970-01-01 UTC.
  func begin(
    _ create: CreateMultipartUpload, in store: any ObjectStore, wallClock: @Sendable () -> Int64
  ) async throws -> String {
    let now = wallClock()
    func doubt() {
      doubts.withLock { doubts in
        let key = RelativePath(create.objectKey)
        doubts[key] = min(doubts[key] ?? now, now)
      }
    }
    do {
      let uploadID = try await store.send(create).uploadID
      doubt()
      return uploadID
    } catch let error as S3Error where error.attempts <= 1 && (400..<500).contains(error.status) {
      // The server says that it did nothing.
      throw error
    } catch {
      doubt()
      throw error
    }
  }

  /// The keys under which an upload may have been begun whose ID was lost, and since when, by this machine's clock.
  var keysInDoubt: [RelativePath: Int64] { doubts.withLock { $0 } }

  package func remove(_ uploadID: String, for key: String) {
    entries.withLock { entries in
      let rest = (entries[RelativePath(key)] ?? []).filter { $0.uploadID != uploadID }
      entries[RelativePath(key)] = rest.isEmpty ? nil : rest
    }
  }
}
