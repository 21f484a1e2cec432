import Digests
import FoundationEssentials
import LocalTree
import MirrorModel
import S3Client

/// Names the writer of an object: one directory on one running machine. A mirror adds the mark to the
/// metadata of each object that it makes.
///
/// The mark answers what ETags and dates cannot: which writer an object comes from if the answer to its
/// request was lost, or if the request of a killed run arrived after the next run had begun. The mark is a
/// hash of the kernel's boot ID and the root's device and inode. So two hosts never have the same mark, even
/// if they were made from one image or share a file server. Two containers of one host do not either, because
/// their mounts have different devices.
struct WriterMark: Sendable, Hashable {
  /// The name of the metadata entry, without `x-amz-meta-`.
  static let metadataName = "s3mirror-writer"
  /// 64 bits in hexadecimal.
  static let digitCount = 16

  let text: String

  init(root: TreeRoot.Identity) {
    self.init(boot: Self.boot, root: root)
  }

  /// The mark of a group's member. All attempts of the member have it, on whatever machine, so that each may
  /// delete what an earlier one published.
  ///
  /// - Parameter slot: the member's slot below the remote.
  init(memberWith slot: RelativePath) {
    text = String(hexadecimal(sha256("group\0\(slot.string)")).prefix(Self.digitCount))
  }

  /// - Parameter boot: the boot ID; see `boot`.
  init(boot: String, root: TreeRoot.Identity) {
    text = String(hexadecimal(sha256("\(boot)\0\(root.device)\0\(root.inode)")).prefix(Self.digitCount))
  }

  /// A random ID that is new at every boot (random(4), `/proc/sys/kernel/random/boot_id`). If it cannot be
  /// read, the mark is valid for this process only.
  private static let boot: String = {
    let read = Result { try Data(contentsOf: URL(filePath: "/proc/sys/kernel/random/boot_id")) }
    guard case .success(let bytes) = read, !bytes.isEmpty else { return "\(UInt64.random(in: 0 ... .max))" }
    return String(decoding: bytes, as: UTF8.self)
  }()

  /// The writer that an object's metadata name.
  func signature(in head: ObjectHead) -> Provenance.Signature {
    guard let named = head.metadata[Self.metadataName] else { return .none }
    return named == text ? .own : .other
  }
}
