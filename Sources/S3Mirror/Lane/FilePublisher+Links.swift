import LocalTree
import MirrorModel
import Transfers

// Links that are objects of their own (LINK-11).
extension FilePublisher {
  /// - Parameter stamp: the link's own stamp.
  func publishLink(
    _ path: RelativePath, entry: DirtyEntry?, stamp: FileStamp, withdrawing markers: [RelativePath]
  ) async throws -> Outcome {
    // The plan has ordered the link by the place to which it led when its batch was taken. A recheck follows no
    // change.
    if markerGate.strictness != .stamp, entry?.purpose != .recheck,
      root.place(ofLinkAt: path) != entry?.pointsTo
    {
      return .waiting(.heldBack)
    }
    let start = Instant.now
    let key = mapping.key(for: path)
    guard let text = try root.linkText(at: path), try root.look(at: path)?.stamp == stamp else {
      return .waiting(.changed)
    }
    try await prepareAppearance(of: path, withdrawing: markers)
    let receipt = try await uploader.uploadLink(text, stamp: stamp, to: key)
    note(receipt, of: path, key: key, since: start)
    return .published(bytes: receipt.byteCount, by: .upload)
  }
}
