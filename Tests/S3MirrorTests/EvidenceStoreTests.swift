import Foundation
import Glibc
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// The files of evidence: what is read back, whatever became of them.
@Suite struct EvidenceStoreTests {
  private let directory: TemporaryDirectory
  private let root = TreeRoot.Identity(device: 1, inode: 2)
  private static let now: Int64 = 1_700_000_000_000_000_000

  init() throws { directory = try TemporaryDirectory() }

  private func place(machine: String = "m") -> EvidencePlace {
    EvidencePlace(
      cache: FilePath(directory.path), bucket: "https://s3/b", prefix: "p/", local: "/tree", machine: machine)
  }

  private func store(
    _ access: EvidenceStore.Access = .writing, root: TreeRoot.Identity? = nil, place: EvidencePlace? = nil,
    now: Int64 = now, sortLength: Int = EvidenceSorter.standardLength
  ) -> EvidenceStore {
    EvidenceStore(
      place ?? self.place(), root: root ?? self.root, for: access, sortLength: sortLength, wallClock: { now })
  }

  private func entry(_ number: Int) -> EvidenceEntry {
    EvidenceEntry(
      etag: number.isMultiple(of: 3) ? "\(String(repeating: "0a", count: 16))-\(number + 1)" : "tag\(number)",
      stamp: number.isMultiple(of: 5)
        ? nil
        : .init(inode: .max - UInt64(number), size: Int64(number), modified: -Int64(number), changed: .max),
      crc32: number.isMultiple(of: 2) ? nil : UInt32(truncatingIfNeeded: number &* 0x9E37_79B9))
  }

  private func path(_ number: Int) -> RelativePath { RelativePath("d\(number % 7)/é\(number)") }

  /// What a store knows of these paths, asked for in key order.
  private func known(_ store: EvidenceStore, _ count: Int) -> [RelativePath: EvidenceEntry] {
    var stream = store.stream()
    var found: [RelativePath: EvidenceEntry] = [:]
    for path in (0..<count).map(path).sorted() { found[path] = stream.entry(of: path) }
    return found
  }

  private func expected(_ numbers: some Sequence<Int>) -> [RelativePath: EvidenceEntry] {
    Dictionary(uniqueKeysWithValues: numbers.map { (path($0), entry($0)) })
  }

  // MARK: What is read back

  @Test(
    arguments: [
      "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef-1",
      "0123456789abcdef0123456789abcdef-10000", "0123456789abcdef0123456789abcdef-0",
      "0123456789abcdef0123456789abcdef-01", "0123456789ABCDEF0123456789ABCDEF",
      "0123456789abcdef0123456789abcdef-", "0123456789abcdef0123456789abcdefg", "short", "", "é-1",
      "0123456789abcdef0123456789abcdef-99999999999999999999",
    ])
  func `an ETag comes back as it was, letter by letter`(etag: String) {
    for entry in [
      EvidenceEntry(etag: etag),
      EvidenceEntry(
        etag: etag, stamp: .init(inode: .max, size: .max, modified: .min, changed: -1), crc32: .max),
    ] {
      let bytes = EvidenceBody.bytes(of: entry)
      #expect(EvidenceBody.entry(in: bytes, at: bytes.indices) == entry)
    }
  }

  private func blocks(_ count: Int) throws -> ContentBlocks {
    let digests = (0..<count).map {
      ContentBlocks.Digest(crc32: .max - UInt32($0), md5: Array(repeating: UInt8($0 & 0xFF), count: 16))
    }
    return try #require(
      ContentBlocks(BlockGrid(blockBytes: 16 << 20, byteCount: Int64(count) << 24 - 1), digests: digests))
  }

  @Test(.promise("XFER-17"), arguments: [1, 700, 701])
  func `the blocks of an object come back, if they fit into a record`(count: Int) throws {
    let long = RelativePath(String(repeating: "p", count: 1_024))
    var entry = EvidenceEntry(
      etag: String(repeating: "0a", count: 16) + "-10000",
      stamp: .init(inode: .max, size: .max, modified: .min, changed: -1), crc32: .max,
      blocks: try blocks(count))
    let store = store()
    store.note(long, entry)
    store.note("b", EvidenceEntry(etag: "b"))
    store.close()
    if count > EvidenceBody.mostBlocks { entry.blocks = nil }
    let next = self.store()
    #expect(next.entry(of: long) == entry)
    #expect(next.entry(of: "b") == EvidenceEntry(etag: "b"))
    #expect(next.entry(of: "a") == nil)
    #expect(next.entry(of: "z") == nil)
  }

  @Test func `malformed blocks are no evidence`() throws {
    let bytes = EvidenceBody.bytes(of: EvidenceEntry(etag: "t", blocks: try blocks(2)))
    for count in 0..<bytes.count {
      #expect(EvidenceBody.entry(in: Array(bytes[..<count]), at: 0..<count) == nil)
    }
    for index in 1..<bytes.count {
      var changed = bytes
      changed[index] ^= 0xFF
      // Whatever is read, it does not trap.
      _ = EvidenceBody.entry(in: changed, at: changed.indices)
    }
  }

  /// Of a run's journal sorted in one piece or in many, and of several runs.
  @Test(.promise("CHG-16"), arguments: [1, 500, 20_000, EvidenceSorter.standardLength])
  func `everything comes back in key order, across runs and layers`(sortLength: Int) {
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
  func `the last word about a path counts, in one run and across runs`(sortLength: Int) {
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

  @Test func `paths are found in any order, and those between are told once`() {
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

  @Test func `a comparison of a part begins there`() {
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
  func `a run can ask for what it has noted itself`(sortLength: Int) {
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

  // MARK: What becomes of files

  private func noted(_ count: Int = 3_000, folded: Bool) throws {
    let first = store()
    for number in 0..<count { first.note(path(number), entry(number)) }
    first.close()
    if folded { store().close() }
    #expect(FileManager.default.fileExists(atPath: place().file.string) == folded)
  }

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
  func `a flipped bit costs what is in its block and nothing else`(folded: Bool, seed: Int) throws {
    try noted(folded: folded)
    let file = folded ? place().file : place().journal
    var random = SplitMix64(seed: UInt64(seed))
    try damage(file) { data in
      data[Int.random(in: 0..<data.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    }
    #expect(remainder() <= 3_000)
  }

  @Test(.promise("CHG-16"), arguments: [false, true], 0..<10)
  func `a file that was cut keeps what stands before the cut`(folded: Bool, seed: Int) throws {
    try noted(folded: folded)
    var random = SplitMix64(seed: UInt64(seed))
    try damage(folded ? place().file : place().journal) { data in
      data = data.prefix(Int.random(in: 0..<data.count, using: &random))
    }
    #expect(remainder() < 3_000)
  }

  /// A kill in the middle of a write, of the last of several.
  @Test(.promise("CHG-16"))
  func `half a chunk ends the journal, and what came before it stays`() throws {
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
  func `evidence of another root or machine says nothing`(folded: Bool) throws {
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
  func `evidence of a clock that was ahead is not believed`(folded: Bool) throws {
    try noted(folded: folded)
    #expect(known(store(.reading, now: Self.now - 3_600_000_000_000), 3_000).isEmpty)
    #expect(known(store(.reading, now: Self.now - 500_000_000), 3_000).count == 3_000)
  }

  // MARK: Several runs, and no room

  @Test(.promise("CHG-16"))
  func `of two runs at once one writes, and the other reads what was there`() {
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
  func `who reads keeps reading what there was`() throws {
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
  func `where the new file cannot be made the old ones serve`() throws {
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
  func `where nothing can be written there is no evidence, and nothing else is wrong`() throws {
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

/// Run by `disks that are full`, in a namespace of its own.
@Suite(.enabled(if: MountNamespace.isOwn)) struct EvidenceOnFullDisk {
  @Test func `a disk that fills up keeps what fitted`() throws {
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
  func `disks that are full`() throws {
    let (status, output) = try MountNamespace.run(suite: "EvidenceOnFullDisk/")
    #expect(status == 0 && output.contains("passed"), "\(output)")
  }
}

/// Random notes, runs and restarts, beside a dictionary that should know the same.
@Suite struct EvidenceModelTests {
  private static let now: Int64 = 1_700_000_000_000_000_000

  @Test(.promise("CHG-16"), arguments: 0..<12)
  func `evidence knows what a dictionary would`(seed: Int) throws {
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

  @Test(.promise("CHG-16"))
  func `no bytes end the program`() throws {
    let entry = EvidenceEntry(
      etag: String(repeating: "0a", count: 16) + "-3",
      stamp: .init(inode: 1, size: 2, modified: 3, changed: 4), crc32: 5)
    let corpus = [EvidenceBody.bytes(of: entry), EvidenceBody.bytes(of: EvidenceEntry(etag: "é")), [0]]
    try Fuzzer("evidence", corpus: corpus, tokens: ["\u{f}", "\u{1}"]).run { bytes in
      if let entry = EvidenceBody.entry(in: bytes, at: bytes.indices),
        EvidenceBody.entry(in: EvidenceBody.bytes(of: entry), at: EvidenceBody.bytes(of: entry).indices)
          != entry
      {
        throw Fuzzer.Complaint("\(entry) is read back as something else")
      }
    }
  }
}
