import S3Client

extension PendingUploads {
  /// What a sweep of stale uploads did.
  package struct Sweep: Sendable {
    package var aborted: [(key: String, uploadID: String)] = []
    /// They stay, and so does what they cost, until another run.
    package var failures: [(key: String, error: any Error)] = []
  }

  /// Aborts the uploads that were begun more than `age` ago and got no part since: nobody will finish them, and their parts are
  /// billed for ever. Another client's upload that is slow but alive has a newer part and stays.
  ///
  /// - Parameters:
  ///   - now: nanoseconds since 1970-01-01 UTC.
  ///   - isOurs: whether a key is this mirror's to keep in order.
  package func sweep(
    _ store: any ObjectStore, olderThan age: Duration, now: Int64, where isOurs: (String) -> Bool
  ) async -> Sweep {
    let (seconds, attoseconds) = age.components
    let (nanoseconds, isForEver) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    var sweep = Sweep()
    guard !isForEver else { return sweep }
    let oldest = now - nanoseconds - attoseconds / 1_000_000_000
    // A server that names no date says nothing of the age: 0.
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
