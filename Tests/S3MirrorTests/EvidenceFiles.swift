import Foundation
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// A suite whose tests write and read the evidence of one upload, in a directory of their own.
protocol EvidenceFiles {
  var directory: TemporaryDirectory { get }
}

extension EvidenceFiles {
  /// What the store's clock shows: nanoseconds since 1970-01-01 UTC.
  static var now: Int64 { 1_700_000_000_000_000_000 }

  func place(machine: String = "m") -> EvidencePlace {
    EvidencePlace(
      cache: FilePath(directory.path), bucket: "https://s3/b", prefix: "p/", local: "/tree", machine: machine)
  }

  func store(
    _ access: EvidenceStore.Access = .writing, root: TreeRoot.Identity = .init(device: 1, inode: 2),
    place: EvidencePlace? = nil, now: Int64? = nil, sortLength: Int = EvidenceSorter.standardLength
  ) -> EvidenceStore {
    EvidenceStore(
      place ?? self.place(), root: root, for: access, sortLength: sortLength,
      wallClock: { now ?? Self.now })
  }

  func entry(_ number: Int) -> EvidenceEntry {
    EvidenceEntry(
      etag: number.isMultiple(of: 3) ? "\(String(repeating: "0a", count: 16))-\(number + 1)" : "tag\(number)",
      stamp: number.isMultiple(of: 5)
        ? nil
        : .init(inode: .max - UInt64(number), size: Int64(number), modified: -Int64(number), changed: .max),
      crc32: number.isMultiple(of: 2) ? nil : UInt32(truncatingIfNeeded: number &* 0x9E37_79B9))
  }

  func path(_ number: Int) -> RelativePath { RelativePath("d\(number % 7)/é\(number)") }

  /// What a store knows of these paths, asked for in key order.
  func known(_ store: EvidenceStore, _ count: Int) -> [RelativePath: EvidenceEntry] {
    var stream = store.stream()
    var found: [RelativePath: EvidenceEntry] = [:]
    for path in (0..<count).map(path).sorted() { found[path] = stream.entry(of: path) }
    return found
  }

  func expected(_ numbers: some Sequence<Int>) -> [RelativePath: EvidenceEntry] {
    Dictionary(uniqueKeysWithValues: numbers.map { (path($0), entry($0)) })
  }

  /// Notes as many entries, in the journal or folded into the sorted file.
  func noted(_ count: Int = 3_000, folded: Bool) throws {
    let first = store()
    for number in 0..<count { first.note(path(number), entry(number)) }
    first.close()
    if folded { store().close() }
    #expect(FileManager.default.fileExists(atPath: place().file.string) == folded)
  }
}
