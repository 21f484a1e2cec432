import LocalTree
import MirrorModel
import S3Client

/// A whole version of a small file, held in memory. It can be published even if the file has been rewritten
/// since.
package struct HeldVersion: Sendable {
  fileprivate let source: Uploader.Source
  fileprivate let read: PartRead
  fileprivate let proof: PublicationProof

  package var path: RelativePath { source.path }

  /// 64 KiB. A commit marker is a name or a list of names.
  static let largestByteCount: Int64 = 64 << 10
}

extension Uploader {
  /// Reads a small file and proves that the bytes are one whole version; nil if this is impossible now.
  package func hold(_ path: RelativePath, of root: TreeRoot, isCloseSeen: Bool) async -> HeldVersion? {
    let wanted = Wanted(
      path: path, content: path, root: root, key: "", isCloseSeen: isCloseSeen, openFiles: .wait,
      versions: .current)
    do {
      let source = try await openSource(wanted)
      guard source.file.stamp.size <= HeldVersion.largestByteCount else { return nil }
      let read = try await readWhole(source.file, holding: .buffered)
      guard case .proved(let proof) = try source.check.verdict(on: read.buffer) else { return nil }
      return HeldVersion(source: source, read: read, proof: proof)
    } catch {
      // The publication itself will fail in the same way and report the error.
      return nil
    }
  }

  /// Publishes a held version, even if the file has a newer one by now.
  ///
  /// - Throws: `S3Error`; `CancellationError`.
  package func upload(_ held: HeldVersion, to key: String) async throws -> UploadReceipt {
    var receipt = try await put(held.source, held.read, provedBy: held.proof, to: key)
    receipt.isSuperseded = true
    return receipt
  }
}
