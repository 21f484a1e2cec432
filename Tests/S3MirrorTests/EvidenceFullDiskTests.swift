import Glibc
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// Run by `evidence on a full disk passes its tests in a namespace of its own`, in a namespace of its own.
@Suite(.enabled(if: MountNamespace.isOwn)) struct EvidenceOnFullDisk {
  @Test func `a disk that fills up keeps the entries that fitted`() throws {
    let directory = try TemporaryDirectory()
    try #require(mount("none", directory.path, "tmpfs", 0, "size=256k") == 0)
    defer { umount(directory.path) }
    let place = EvidencePlace(
      cache: FilePath(directory.path), bucket: "b", prefix: "p/", local: "/tree", machine: "m")
    let root = TreeRoot.Identity(device: 1, inode: 2)
    let tag = String(repeating: "x", count: 90)
    let paths = (0..<10_000).map { RelativePath("f\(String(100_000 + $0))") }
    for _ in 0..<2 {
      let store = EvidenceStore(place, root: root, for: .writing)
      for path in paths { store.note(path, EvidenceEntry(etag: tag)) }
      store.close()
    }
    var stream = EvidenceStore(place, root: root, for: .writing).stream()
    let found = paths.map { stream.entry(of: $0)?.etag }
    #expect(found.allSatisfy { $0 == nil || $0 == tag })
    #expect(found.contains(tag))
    #expect(found.contains(nil))
  }
}

@Suite struct EvidenceOnFullDiskTests {
  @Test(.promise("CHG-16"), .enabled(if: MountNamespace.isPermitted && !MountNamespace.isOwn))
  func `evidence on a full disk passes its tests in a namespace of its own`() throws {
    let (status, output) = try MountNamespace.run(suite: "EvidenceOnFullDisk/")
    #expect(status == 0 && output.contains("passed"), "\(output)")
  }
}
