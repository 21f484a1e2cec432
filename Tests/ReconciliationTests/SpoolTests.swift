import MirrorModel
import TestSupport
import Testing

@testable import S3Mirror

@Suite struct SpoolTests {
  private func entry(_ number: Int) -> RemoteEntry {
    RemoteEntry(
      path: RelativePath("dir/\(number)é"),
      object: RemoteObject(byteCount: Int64(number), etag: "e\(number)", lastModified: -Int64(number)))
  }

  @Test(.promise("CHG-11"), arguments: [0, 1, 9, 10, 11, 4_000])
  func `records come back in their order, from memory and from disk, as often as asked`(count: Int)
    async throws
  {
    var spool = Spool<RemoteEntry>(memoryLimit: 10)
    for number in 0..<count { try spool.append(entry(number)) }
    for _ in 0..<2 {
      var read: [RemoteEntry] = []
      try await spool.forEachBatch(of: 7) { batch in
        #expect(batch.count <= 7)
        read += batch
      }
      #expect(read.map(\.path) == (0..<count).map { entry($0).path })
      #expect(read.map(\.object) == (0..<count).map { entry($0).object })
    }
    #expect(spool.count == count)
  }

  @Test(.promise("CHG-12"))
  func `what is held on disk has no name`() throws {
    let directory = try TemporaryDirectory()
    let file = try ScratchFile(in: directory.path)
    let range = try file.append([1, 2, 3])
    #expect(directory.everything() == [])
    #expect(try file.read(range) == [1, 2, 3])
  }

  @Test func `differences keep all they hold on disk`() async throws {
    let stamp = FileStamp(device: .max, inode: 2, size: 3, modified: -4, changed: 5, links: 6)
    let file = LocalEntry(path: "a/b", stamp: stamp)
    let object = RemoteObject(byteCount: 1, etag: "", lastModified: 2)
    var spool = Spool<Difference>(memoryLimit: 1)
    try spool.append(.copy(file, .size, object))
    try spool.append(.suspect(file, object))
    let marker = DirectoryMarker(of: "a/b")
    try spool.append(.marker(marker))
    var texts: [String] = []
    try await spool.forEachBatch(of: 10) { texts += $0.map { String(describing: $0) } }
    #expect(
      texts == [
        String(describing: Difference.copy(file, .size, object)),
        String(describing: Difference.suspect(file, object)),
        String(describing: Difference.marker(marker)),
      ])
  }

  @Test(.promise("CHG-11"), arguments: [1, 2, 10, 1000])
  func `an external sort yields key order, each key once`(runLength: Int) throws {
    var random = SplitMix64(seed: 7)
    var runs = SortedRuns(runLength: runLength)
    var expected: Set<RelativePath> = []
    for _ in 0..<300 {
      let entry = entry(Int.random(in: 0..<200, using: &random))
      expected.insert(entry.path)
      try runs.append(entry)
    }
    var merged = try runs.merged()
    var paths: [RelativePath] = []
    while let entry = try merged.next() { paths.append(entry.path) }
    #expect(paths == expected.sorted())
  }

  @Test func `a relay keeps its producer a bounded number of elements ahead`() async throws {
    let relay = Relay<Int>(capacity: 2)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for number in 0..<1_000 { guard await relay.send(number) else { break } }
        relay.finish(.success(()))
      }
      var received: [Int] = []
      while let number = try await relay.next() { received.append(number) }
      #expect(received == Array(0..<1_000))
      try await group.waitForAll()
    }
  }

  @Test func `a relay whose consumer leaves lets its producer go`() async throws {
    let relay = Relay<Int>(capacity: 1)
    await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        while await relay.send(1) {}
        return true
      }
      do {
        _ = try await relay.next()
      } catch {
        Issue.record(error)
      }
      relay.close()
      #expect(await group.next() == true)
    }
  }

  @Test(.timeLimit(.minutes(1))) func `a relay that is widened lets its producer go on`() async throws {
    let relay = Relay<Int>(capacity: 1)
    let producer = Task {
      for number in 0..<3 { _ = await relay.send(number) }
    }
    relay.widen(to: 3)
    // Nobody receives.
    await producer.value
  }

  @Test func `what a producer ended with reaches the consumer after the last element`() async throws {
    let relay = Relay<Int>(capacity: 2)
    _ = await relay.send(1)
    relay.finish(.failure(StandInError()))
    #expect(try await relay.next() == 1)
    await #expect(throws: StandInError.self) { _ = try await relay.next() }
  }
}

@Suite struct NameConflictsTests {
  private func verdicts(on keys: [String]) -> [String] {
    var conflicts = NameConflicts()
    var found: [NameConflicts.Verdict] = []
    for key in keys.map({ RelativePath($0) }).sorted() {
      found += conflicts.pass(
        RemoteEntry(path: key, object: RemoteObject(byteCount: 0, etag: "", lastModified: 0)))
    }
    found += conflicts.finish()
    return found.map { verdict in
      switch verdict {
      case .file(let entry): entry.path.string
      case .marker(let path): path.string + "/"
      case .conflict(let path): "!" + path.string
      }
    }.sorted()
  }

  @Test func `an object that is a directory of others too is found, whatever comes between`() {
    #expect(verdicts(on: ["a", "a!", "a-b", "a-b/c", "a/b"]) == ["!a", "!a-b", "a!", "a-b/c", "a/b"])
  }

  @Test func `a marker counts as a directory`() {
    #expect(verdicts(on: ["a", "a/", "b/", "b0"]) == ["!a", "a/", "b/", "b0"])
  }

  @Test func `neighbours are no conflict`() {
    #expect(verdicts(on: ["a", "a0", "ab/c", "b"]) == ["a", "a0", "ab/c", "b"])
  }

  @Test func `nested conflicts are all found`() {
    #expect(verdicts(on: ["a", "a/b", "a/b/c"]) == ["!a", "!a/b", "a/b/c"])
  }
}
