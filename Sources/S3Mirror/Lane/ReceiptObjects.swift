import MirrorModel
import S3Client
import Transfers

/// The objects of receipts: publishes, lists and deletes them.
struct ReceiptObjects: Sendable {
  let name: String
  let mapping: KeyMapping
  let uploader: Uploader
  let journal: Journal

  func publish(_ body: [UInt8], at path: RelativePath) async throws {
    let (start, key) = (ContinuousClock.now, mapping.key(for: path))
    let answer = try await uploader.upload(body, contentType: "application/json", to: key)
    journal.publishedOwn(
      bytes: Int64(body.count), etag: answer.etag, requestID: answer.requestID, mirror: name, path: path,
      key: key, took: .now - start)
  }

  /// The objects below a directory that have paths.
  func paths(below directory: RelativePath) async throws -> [RelativePath] {
    var paths: [RelativePath] = []
    try await Listing(store: uploader.store, prefix: mapping.key(for: directory) + "/").forEachPage { page in
      paths += page.content.objects.compactMap { mapping.path(forKey: $0.key) }
      return true
    }
    return paths
  }

  /// - Returns: whether the server deleted an object, as far as it says.
  func delete(at path: RelativePath) async throws -> Bool {
    do {
      _ = try await uploader.store.send(DeleteObject(key: mapping.key(for: path)))
      return true
    } catch let error as S3Error where error.isMissingKey {
      return false
    }
  }

  func noteDeleted(at path: RelativePath) {
    journal.deleted(mirror: name, path: path, key: mapping.key(for: path))
  }
}
