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
    let (start, key) = (Instant.now, mapping.key(for: path))
    let answer = try await uploader.upload(body, contentType: "application/json", to: key)
    journal.publishedOwn(
      bytes: Int64(body.count), etag: answer.etag, requestID: answer.requestID, mirror: name, path: path,
      key: key, took: .now - start)
  }

  /// The objects below a directory that have paths.
  func paths(below directory: RelativePath) async throws -> [RelativePath] {
    Array(try await tags(below: directory).keys)
  }

  /// The same with their ETags.
  func tags(below directory: RelativePath) async throws -> [RelativePath: String] {
    var tags: [RelativePath: String] = [:]
    try await Listing(store: uploader.store, prefix: mapping.key(for: directory) + "/").forEachPage { page in
      for object in page.content.objects {
        if let path = mapping.path(forKey: object.key) { tags[path] = object.etag }
      }
      return true
    }
    return tags
  }

  /// A receipt on S3; nil if there is none that can be used.
  func read(at path: RelativePath) async throws -> UnitReceipt? {
    do {
      let answer = try await uploader.store.send(GetObject(key: mapping.key(for: path)))
      return try UnitReceipt(json: answer.body)
    } catch let error as S3Error where error.isNotFound {
      return nil
    } catch is UnreadableReceipt {
      return nil
    }
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
