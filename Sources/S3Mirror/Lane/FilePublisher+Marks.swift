import MirrorModel
import S3Client
import Transfers

// In-progress marks that have come and gone since the last pass (CLS-3).
extension FilePublisher {
  /// Publishes an empty object under the name of a mark. The pass deletes the object after the paths that the mark
  /// announces.
  func publishBriefMark(_ path: RelativePath) async -> Outcome {
    do {
      let answer = try await publishEmpty(path, uploader.contentType(of: path))
      // No file has this stamp.
      let stamp = FileStamp(device: 0, inode: 0, size: 0, modified: 0, changed: 0)
      ledger.note(
        .init(stamp: stamp, etag: answer.etag, isSnapshot: true, answered: answer.serverDate), for: path)
      return .published(bytes: 0, by: .briefMark)
    } catch {
      return failed(path, error)
    }
  }

  /// Publishes an empty object that no file has.
  func publishEmpty(_ path: RelativePath, _ contentType: String?) async throws -> PutObject.Output {
    let (start, key) = (Instant.now, mapping.key(for: path))
    let answer = try await uploader.uploadEmpty(contentType, to: key)
    journal.publishedOwn(
      bytes: 0, etag: answer.etag, requestID: answer.requestID, mirror: name, path: path, key: key,
      took: .now - start)
    return answer
  }
}
