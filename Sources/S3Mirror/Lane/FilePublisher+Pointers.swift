import LocalTree
import MirrorModel
import S3Client
import Transfers

// Pointers: links to files inside of the root, whose objects are copies of the files' objects.
extension FilePublisher {
  /// Copies the target's object on the server.
  ///
  /// - Parameter stamp: the stamp of the target.
  /// - Returns: nil if there is no object that is known to have the target's present content. The caller
  ///   then sends the bytes.
  /// - Throws: `UploadAbandoned` if the pointer must wait.
  func publish(
    _ path: RelativePath, pointingTo target: RelativePath, stamp: FileStamp,
    withdrawing markers: [RelativePath]
  ) async throws -> Outcome? {
    if filter.excludes(target, .file) { return nil }
    if ledger.record(of: target, matching: stamp, allowing: .renamed) == nil {
      try await markerGate.check(pointerTo: target, isPublished: { false })
      guard await isOnS3(target, stamp) else { return nil }
    }
    // A pointer may have the name of a marker. A copy does not ask for this later, as an upload does.
    try await markerGate.check(path)
    try await publishReceipts(before: path)
    let outcome = await copy(path, from: target, of: target, stamp: stamp, withdrawing: markers)
    guard case .published(let bytes, .copy, _) = outcome, pointee(of: path) != target else { return outcome }
    return .published(bytes: bytes, by: .superseded, copied: bytes)
  }

  /// The file to which a link leads now; nil if the path is no such link. A link may move on while its object is
  /// written, and the object then shows the file to which the link led before.
  func pointee(of link: RelativePath) -> RelativePath? {
    guard case .success(let found) = Result(catching: { try root.look(at: link) }) else { return nil }
    return found?.pointer?.target
  }

  /// Whether the file's present version is on S3 under its own name.
  func isPublished(_ path: RelativePath) -> Bool {
    guard let stamp = root.stamp(ofFileAt: path) else { return false }
    return ledger.record(of: path, matching: stamp, allowing: .renamed) != nil
  }

  /// Whether an object that this run has not published has the file's content. If so, the ledger knows it
  /// from now on. One HeadObject, and a reading of the file, cost less than an upload.
  private func isOnS3(_ path: RelativePath, _ stamp: FileStamp) async -> Bool {
    do {
      let head = try await store.send(HeadObject(key: mapping.key(for: path)))
      guard head.byteCount == stamp.size else { return false }
      let object = RemoteObject(
        byteCount: head.byteCount, etag: head.etag, lastModified: head.lastModified ?? .min)
      return try await content.isSame(path, stamp: stamp, remote: object)
        && ledger.record(of: path, matching: stamp, allowing: .renamed) != nil
    } catch {
      // There is no object, or it cannot be read. The upload that follows shows any other error.
      return false
    }
  }
}
