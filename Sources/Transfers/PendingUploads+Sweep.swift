import MirrorModel
import S3Client

extension PendingUploads {
  /// The result of a sweep of stale uploads.
  package struct Sweep: Sendable {
    package var aborted: [(key: String, uploadID: String)] = []
    /// Uploads that could not be aborted. They stay, and are billed, until another run.
    package var failures: [(key: String, error: any Error)] = []
  }

  /// Aborts uploads that began more than `age` ago and have received no part since. No program will finish
  /// them, and their parts are billed without end. An upload of another client that is slow but alive has a
  /// newer part and stays.
  ///
  /// - Parameters:
  ///   - now: nanoseconds since 1970-01-01 UTC.
  ///   - isOurs: whether this mirror is responsible for a key.
  package func sweep(
    _ store: any ObjectStore, olderThan age: Duration, now: Int64, where isOurs: (String) -> Bool
  ) async -> Sweep {
    var sweep = Sweep()
    let oldest = now.subtractingSaturated(age.wholeNanoseconds)
    // 0 means that the server gave no date, so the age is unknown.
    for (key, entry) in all where entry.initiated > 0 && entry.initiated < oldest && isOurs(key) {
      do {
        guard try await isIdle(key, entry.uploadID, in: store, since: oldest) else { continue }
        _ = try await store.send(AbortMultipartUpload(key: key, uploadID: entry.uploadID))
        sweep.aborted.append((key, entry.uploadID))
        remove(entry.uploadID, for: key)
      } catch let error as S3Error where error.isNotFound {
        remove(entry.uploadID, for: key)
      } catch {
        sweep.failures.append((key, error))
      }
    }
    return sweep
  }

  private func isIdle(_ key: String, _ uploadID: String, in store: any ObjectStore, since oldest: Int64)
    async throws -> Bool
  {
    var marker: Int?
    while true {
      let page = try await store.send(ListParts(key: key, uploadID: uploadID, after: marker))
      // A part without a date may be new.
      guard page.parts.allSatisfy({ ($0.lastModified ?? .max) < oldest }) else { return false }
      guard let next = page.next else { return true }
      marker = next
    }
  }
}
