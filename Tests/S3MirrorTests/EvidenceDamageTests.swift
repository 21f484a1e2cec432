import Foundation
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// Files of evidence that were damaged, cut short, or written elsewhere.
@Suite struct EvidenceDamageTests: EvidenceFiles {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func damage(_ file: FilePath, _ change: (inout Data) -> Void) throws {
    let url = URL(fileURLWithPath: file.string)
    var data = try Data(contentsOf: url)
    change(&data)
    try data.write(to: url)
  }

  /// Whether nothing is known that was never noted, and how much of it is known.
  private func remainder(_ count: Int = 3_000) -> Int {
    let all = expected(0..<count)
    let found = known(store(.reading), count)
    for (path, entry) in found { #expect(all[path] == entry) }
    // Opened for writing it is mended, and what is noted then is found.
    let mended = store()
    #expect(known(mended, count) == found)
    mended.note("new", EvidenceEntry(etag: "new"))
    mended.close()
    var stream = store().stream()
    #expect(stream.entry(of: "new") == EvidenceEntry(etag: "new"))
    return found.count
  }

  @Test(.promise("CHG-16"), arguments: [false, true], 0..<10)
  func `a flipped bit loses only the entries of its block`(folded: Bool, seed: Int) throws {
    try noted(folded: folded)
    let file = folded ? place().file : place().journal
    var random = SplitMix64(seed: UInt64(seed))
    try damage(file) { data in
      data[Int.random(in: 0..<data.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    }
    #expect(remainder() <= 3_000)
  }

  @Test(.promise("CHG-16"), arguments: [false, true], 0..<10)
  func `a file that was cut short keeps the entries before the cut`(folded: Bool, seed: Int) throws {
    try noted(folded: folded)
    var random = SplitMix64(seed: UInt64(seed))
    try damage(folded ? place().file : place().journal) { data in
      data = data.prefix(Int.random(in: 0..<data.count, using: &random))
    }
    #expect(remainder() < 3_000)
  }

  /// A kill in the middle of a write, of the last of several.
  @Test(.promise("CHG-16"))
  func `half a chunk ends the journal, and the chunks before it stay`() throws {
    let store = store()
    store.note("a", EvidenceEntry(etag: "1"))
    store.flush()
    store.note("b", EvidenceEntry(etag: "2"))
    store.close()
    try damage(place().journal) { $0.removeLast() }
    var stream = self.store(.reading).stream()
    #expect(stream.entry(of: "a") == EvidenceEntry(etag: "1"))
    #expect(stream.entry(of: "b") == nil)
    #expect(remainder(0) == 0)
  }

  @Test(.promise("CHG-16"))
  func `blocks of another file are not taken for those of this one`() throws {
    try noted(folded: true)
    let other = EvidencePlace(
      cache: FilePath(directory.path), bucket: "https://s3/b", prefix: "q/", local: "/tree", machine: "m")
    let second = store(place: other)
    for number in 0..<3_000 { second.note(path(number), EvidenceEntry(etag: "other")) }
    second.close()
    store(place: other).close()
    let foreign = try Data(contentsOf: URL(fileURLWithPath: other.file.string))
    try damage(place().file) { data in
      data.replaceSubrange(
        EvidenceHeader.byteCount..<EvidenceHeader.byteCount + EvidenceLayer.blockBytes,
        with: foreign[EvidenceHeader.byteCount..<EvidenceHeader.byteCount + EvidenceLayer.blockBytes])
    }
    #expect(remainder() < 3_000)
  }

  @Test(.promise("CHG-16", "DOWN-10"), arguments: [false, true])
  func `evidence of another root or machine is ignored`(folded: Bool) throws {
    try noted(folded: folded)
    #expect(known(store(.reading, root: .init(device: 1, inode: 3)), 3_000).isEmpty)
    #expect(known(store(.reading, root: .init(device: 2, inode: 2)), 3_000).isEmpty)
    #expect(known(store(.reading, place: place(machine: "n")), 3_000).isEmpty)
    // A copied home directory, where the files have the names that another machine's would have.
    for (from, to) in [
      (place().file, place(machine: "n").file), (place().journal, place(machine: "n").journal),
    ]
    where FileManager.default.fileExists(atPath: from.string) {
      try FileManager.default.copyItem(atPath: from.string, toPath: to.string)
    }
    #expect(known(store(.reading, place: place(machine: "n")), 3_000).isEmpty)
    #expect(known(store(.writing, root: .init(device: 1, inode: 3)), 3_000).isEmpty)
  }

  @Test(.promise("CHG-15"), arguments: [false, true])
  func `evidence that was written by a clock ahead of this one is ignored`(folded: Bool) throws {
    try noted(folded: folded)
    #expect(known(store(.reading, now: Self.now - 3_600_000_000_000), 3_000).isEmpty)
    #expect(known(store(.reading, now: Self.now - 500_000_000), 3_000).count == 3_000)
  }
}
