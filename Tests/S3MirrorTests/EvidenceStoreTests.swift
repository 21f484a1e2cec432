import Foundation
import Glibc
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// What the runs of a mirror know of earlier runs.
@Suite struct EvidenceStoreTests: EvidenceFiles {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  /// Of a run's journal sorted in one piece or in many, and of several runs.
  @Test(.promise("CHG-16"), arguments: [1, 500, 20_000, EvidenceSorter.standardLength])
  func `all entries are read back in key order, across runs and layers`(sortLength: Int) {
    let count = 3_000
    for start in [0, 1_000, 2_000] {
      let store = store(sortLength: sortLength)
      for number in (start..<start + 1_000).reversed() { store.note(path(number), entry(number)) }
      store.close()
      // What this run noted is not in what earlier runs knew, and a plan knows it at once.
      #expect(known(store, count) == expected(0..<start))
      #expect(known(self.store(.reading, sortLength: sortLength), count) == expected(0..<start + 1_000))
    }
    #expect(known(store(sortLength: sortLength), count) == expected(0..<count))
  }

  @Test(.promise("CHG-16"), arguments: [100, EvidenceSorter.standardLength])
  func `the last entry of a path counts, in one run and across runs`(sortLength: Int) {
    for etag in ["1", "2"] {
      let store = store(sortLength: sortLength)
      store.note("a", EvidenceEntry(etag: "0"))
      store.note("a", EvidenceEntry(etag: etag))
      store.note("gone", EvidenceEntry(etag: etag))
      store.noteDeleted("gone")
      store.close()
    }
    var stream = store(sortLength: sortLength).stream()
    #expect(stream.entry(of: "a") == EvidenceEntry(etag: "2"))
    #expect(stream.entry(of: "gone") == nil)
  }

  @Test func `paths are found in any order, and the paths between them are passed once`() {
    let store = store()
    for number in 0..<2_000 { store.note(path(number), entry(number)) }
    store.close()
    let index = EvidenceIndex(self.store())
    var random = SplitMix64(seed: 3)
    for _ in 0..<500 {
      let number = Int.random(in: 0..<2_500, using: &random)
      #expect(index.entry(of: path(number)) == (number < 2_000 ? entry(number) : nil))
    }
    let sorted = (0..<2_000).map(path).sorted()
    let asked = sorted.enumerated().filter { $0.offset.isMultiple(of: 3) }.map(\.element)
    var stream = self.store(.reading).stream()
    var passed: [RelativePath] = []
    for path in asked { stream.go(to: path) { passed.append($0) } }
    stream.finish { passed.append($0) }
    #expect(passed == sorted.filter { !asked.contains($0) })
  }

  @Test func `a stream of one directory begins at that directory`() {
    let store = store()
    for number in 0..<5_000 { store.note(path(number), entry(number)) }
    store.close()
    var stream = self.store().stream(from: "d3")
    var passed: [RelativePath] = []
    stream.go(to: "d4") { passed.append($0) }
    #expect(Set(passed) == Set((0..<5_000).map(path).filter { $0.string.hasPrefix("d3/") }))
  }

  /// For a run that publishes more than its memory holds.
  @Test(.promise("CHG-16"), arguments: [300, EvidenceSorter.standardLength])
  func `a run can read what it has noted itself`(sortLength: Int) {
    let store = store(sortLength: sortLength)
    for round in 0..<40 {
      for number in round * 10..<round * 10 + 10 { store.note(path(number), entry(number)) }
      store.note("twice", EvidenceEntry(etag: "\(round)"))
      if round == 20 { store.noteDeleted(path(3)) }
      var stream = store.streamToNow()
      #expect(stream.entry(of: path(round * 10)) == entry(round * 10))
      #expect(stream.entry(of: path(3)) == (round < 20 ? entry(3) : nil))
      #expect(stream.entry(of: "twice") == EvidenceEntry(etag: "\(round)"))
    }
    store.close()
    #expect(known(self.store(), 400) == expected((0..<400).filter { $0 != 3 }))
  }

  @Test(.promise("CHG-16"))
  func `of two runs at one time one writes, and the other reads the earlier entries`() {
    let earlier = store()
    earlier.note("a", EvidenceEntry(etag: "1"))
    earlier.close()
    let first = store()
    first.note("b", EvidenceEntry(etag: "2"))
    let second = store()
    second.note("c", EvidenceEntry(etag: "3"))
    second.close()
    var stream = second.stream()
    #expect(stream.entry(of: "a") == EvidenceEntry(etag: "1"))
    #expect(stream.entry(of: "c") == nil)
    first.note("d", EvidenceEntry(etag: "4"))
    first.close()
    var both = store().stream()
    let found = ["a", "b", "c", "d"].map { both.entry(of: RelativePath($0))?.etag }
    #expect(found == ["1", "2", nil, "4"])
  }

  /// A process that reads on while another one writes a new file.
  @Test(.promise("CHG-16"))
  func `a reader goes on with the old file when a new one is written`() throws {
    try noted(folded: true)
    let reader = store(.reading)
    var stream = reader.stream()
    #expect(stream.entry(of: (0..<3_000).map(path).sorted()[0]) != nil)
    let writer = store()
    for number in 0..<3_000 { writer.noteDeleted(path(number)) }
    writer.close()
    store().close()
    #expect(known(reader, 3_000) == expected(0..<3_000))
    #expect(known(store(), 3_000).isEmpty)
  }

  @Test(.promise("CHG-16"))
  func `the old files are used if a new file cannot be made`() throws {
    try noted(100, folded: true)
    try FileManager.default.createDirectory(
      atPath: place().file.string + ".new", withIntermediateDirectories: true)
    let writer = store()
    for number in 100..<3_000 { writer.note(path(number), entry(number)) }
    writer.close()
    for _ in 0..<2 {
      let next = store()
      #expect(known(next, 3_000) == expected(0..<3_000))
      next.close()
    }
  }

  @Test(.promise("CHG-16"))
  func `without a writable directory there is no evidence, and no error`() throws {
    try directory.write("evidence", "a file")
    let store = store()
    store.note("a", EvidenceEntry(etag: "1"))
    store.flush()
    var stream = store.streamToNow()
    #expect(stream.entry(of: "a") == nil)
    #expect(try directory.text("evidence") == "a file")
  }

  /// About 70 bytes a file, as the page on operating says.
  @Test func `a file of a tree takes less than 80 bytes`() throws {
    let store = store()
    let count = 20_000
    for number in 0..<count {
      let name = String(1_000_000 + number).dropFirst()
      store.note(
        RelativePath("d\(String(10_000 + number / 100).dropFirst())/f\(name)"),
        EvidenceEntry(
          etag: String(repeating: "0a", count: 16),
          stamp: .init(inode: UInt64(5_000_000 + number), size: 4_096, modified: Self.now, changed: Self.now),
          crc32: .max))
    }
    store.close()
    self.store().close()
    var status = stat()
    try #require(stat(place().file.string, &status) == 0)
    #expect(Int(status.st_size) < 80 * count)
    #expect(Int(status.st_size) > 40 * count)
  }
}
