import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// Random notes, runs and restarts, beside a dictionary that should know the same.
@Suite struct EvidenceModelTests {
  private static let now: Int64 = 1_700_000_000_000_000_000

  @Test(.promise("CHG-16"), arguments: 0..<12)
  func `evidence holds what a dictionary would hold`(seed: Int) throws {
    var random = SplitMix64(seed: UInt64(seed))
    let directory = try TemporaryDirectory()
    let place = EvidencePlace(
      cache: FilePath(directory.path), bucket: "b", prefix: "p/", local: "/tree", machine: "m")
    let root = TreeRoot.Identity(device: 1, inode: 2)
    func open(_ access: EvidenceStore.Access = .writing) -> EvidenceStore {
      EvidenceStore(
        place, root: root, for: access,
        sortLength: [200, 3_000, 1 << 20].randomElement(using: &random) ?? 200,
        wallClock: { Self.now })
    }
    let paths = (0..<400).map { number in
      RelativePath(["", "a/", "a-", "é/"][number % 4] + String(number * 7_919 % 1_000))
    }
    var known: [RelativePath: EvidenceEntry] = [:]
    var store = open()
    for _ in 0..<300 {
      switch Int.random(in: 0..<20, using: &random) {
      case 0:
        store.close()
        store = open()
        #expect(all(store.stream(), paths) == known)
      case 1:
        store.flush()
        #expect(all(open(.reading).stream(), paths) == known)
      case 2: #expect(all(store.streamToNow(), paths) == known)
      default:
        for _ in 0..<Int.random(in: 1..<40, using: &random) {
          guard let path = paths.randomElement(using: &random) else { continue }
          if Bool.random(using: &random) {
            store.noteDeleted(path)
            known[path] = nil
          } else {
            let entry = EvidenceEntry(
              etag: String(UInt64.random(in: 0 ... .max, using: &random)),
              stamp: .init(inode: .random(in: 0 ... .max, using: &random), size: 1, modified: 2, changed: 3))
            store.note(path, entry)
            known[path] = entry
          }
        }
      }
    }
  }

  private func all(_ stream: EvidenceStream, _ paths: [RelativePath]) -> [RelativePath: EvidenceEntry] {
    var stream = stream
    return Dictionary(
      uniqueKeysWithValues: paths.sorted().compactMap { path in stream.entry(of: path).map { (path, $0) } })
  }
}
