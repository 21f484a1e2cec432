import MirrorModel
import S3Client
import Synchronization

/// What happens to a multipart upload that is interrupted.
package enum UnfinishedUploads: Sendable, Hashable {
  /// It is aborted. No run will resume it, and its parts would be billed for nothing.
  case abort
  /// It stays on S3 for the next run.
  case leave
}

/// The unfinished multipart uploads under a prefix, by key: those that an interrupted run left, and those
/// that this run could not finish. S3 has the authoritative list; this one saves a request before every file.
package final class PendingUploads: Sendable {
  package struct Entry: Sendable, Hashable {
    package var uploadID: String
    /// Nanoseconds since 1970-01-01 UTC.
    package var initiated: Int64
    /// Whether this run began or resumed the upload, and so has to end it.
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

  /// - Parameter onFirstFailure: called for the first upload whose parts could not be listed, so that a new
  ///   upload was begun.
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

  /// Lists all unfinished uploads under `prefix`. If a page fails, the uploads of the pages before it are
  /// known.
  package func load(from store: any ObjectStore, prefix: String) async throws {
    var marker: ListMultipartUploads.Marker?
    var trail = PageTrail()
    while true {
      let page = try await store.send(ListMultipartUploads(prefix: prefix, after: marker))
      for upload in page.uploads {
        add(Entry(uploadID: upload.uploadID, initiated: upload.initiated ?? 0), for: upload.key)
      }
      // A server that repeats a page would be listed without end. All of its uploads are known by then.
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

  /// Removes the newest unfinished upload of the key and returns it. The caller finishes it, aborts it or
  /// adds it again.
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

  /// All known uploads, for the sweep of stale uploads.
  package var all: [(key: String, entry: Entry)] {
    entries.withLock { entries in
      entries.flatMap { key, known in known.map { (key: key.string, entry: $0) } }
    }
  }

  /// Begins an upload. If the answer is lost, an upload with an unknown ID may exist. So the key is
  /// remembered for the end of the run.
  ///
  /// Every key is remembered, because a lost answer is not always visible: libcurl itself repeats a request
  /// if a reused connection ends without an answer (Curl_retry_request in its lib/transfer.c).
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
      // The server's answer shows that it began no upload.
      throw error
    } catch {
      doubt()
      throw error
    }
  }

  /// The keys under which an upload with a lost ID may exist, and since when, by this machine's clock.
  var keysInDoubt: [RelativePath: Int64] { doubts.withLock { $0 } }

  package func remove(_ uploadID: String, for key: String) {
    entries.withLock { entries in
      let rest = (entries[RelativePath(key)] ?? []).filter { $0.uploadID != uploadID }
      entries[RelativePath(key)] = rest.isEmpty ? nil : rest
    }
  }
}
