import Digests
import FoundationEssentials
import LocalTree
import MirrorModel
import S3Client

/// Who wrote an object: one directory on one running machine. Each object that a mirror makes has the mark in its metadata.
///
/// The mark settles what ETags and dates cannot: whose an object is whose request was never answered, and whose request of a killed
/// run arrived when the next run had begun. It is a hash of the kernel's boot ID and the root's device and inode, so two hosts never
/// share one, even if they were made from one image or share a file server; nor do two containers of one host, whose mounts have
/// devices of their own.
struct WriterMark: Sendable, Hashable {
  /// The metadata's name, without `x-amz-meta-`.
  static let metadataName = "s3mirror-writer"
  /// 64 bits in hexadecimal.
  static let digitCount = 16

  let text: String

  init(root: TreeRoot.Identity) {
    self.init(boot: Self.boot, root: root)
  }

  /// - Parameter boot: see `boot`.
  init(boot: String, root: TreeRoot.Identity) {
    text = String(hexadecimal(sha256("\(boot)\0\(root.device)\0\(root.inode)")).prefix(Self.digitCount))
  }

  /// Random, and new with every boot of this machine (random(4), `/proc/sys/kernel/random/boot_id`). Where it cannot be read, a mark
  /// stands for this process alone.
  private static let boot: String = {
    let read = Result { try Data(contentsOf: URL(filePath: "/proc/sys/kernel/random/boot_id")) }
    guard case .success(let bytes) = read, !bytes.isEmpty else { return "\(UInt64.random(in: 0 ... .max))" }
    return String(decoding: bytes, as: UTF8.self)
  }()

  /// Whom an object's metadata name.
  func signature(in head: ObjectHead) -> Provenance.Signature {
    guard let named = head.metadata[Self.metadataName] else { return .none }
    return named == text ? .own : .other
  }
}
