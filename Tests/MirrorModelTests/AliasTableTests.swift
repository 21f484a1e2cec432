import MirrorModel
import Testing

/// Names as the table keeps them, and what the rules conclude from facts about a tree that each test states.
@Suite struct AliasTableTests {
  /// Late enough for every stamp to be trusted.
  private static let late: Int64 = 1_000_000_000_000
  private static let now = Instant(nanoseconds: 0)

  /// A tree and a ledger as a test states them.
  private struct Stated: AliasFacts {
    var table = AliasTable()
    var wallClock = AliasTableTests.late
    var files: [RelativePath: FileStamp] = [:]
    /// What links lead to, files apart.
    var links: [RelativePath: Sighting] = [:]
    var directories: Set<RelativePath> = []
    var writers: Set<RelativePath> = []
    var published: [RelativePath: FileStamp] = [:]

    mutating func withTable<Value: Sendable>(_ body: (inout AliasTable) -> Value) -> Value { body(&table) }

    func sight(of path: RelativePath) -> Sighting {
      if let target = links[path] {
        return .entry(.symbolicLink, AliasTableTests.stamp(inode: 99, version: target == .nothing ? 0 : 1))
      }
      if directories.contains(path) { return .entry(.directory, AliasTableTests.stamp(inode: 98)) }
      return files[path].map { .entry(.file, $0) } ?? .nothing
    }

    func sight(behind path: RelativePath) -> Sighting { links[path] ?? sight(of: path) }

    func pointing(of path: RelativePath) -> Pointing { .noLink }

    func glance(at path: RelativePath) -> FileStamp? { files[path] }

    func stamp(ofFileAt path: RelativePath) -> FileStamp? {
      if case .entry(.file, let stamp)? = links[path] { return stamp }
      return files[path]
    }

    func isWithoutWriter(_ path: RelativePath) -> Bool { !writers.contains(path) }

    func isPublished(_ path: RelativePath, _ stamp: FileStamp, _ allowance: StampAllowance) -> Bool {
      guard var known = published[path] else { return false }
      if allowance == .renamed { known.changed = stamp.changed }
      return known.isSameVersion(as: stamp)
    }

    func hasObject(_ path: RelativePath) -> Bool { published[path] != nil }

    func publishedPaths(of files: Set<AliasTable.File>) -> [RelativePath] {
      published.filter { files.contains(AliasTable.File($0.value)) }.keys.sorted()
    }

    /// The names in a batch when the rules have added theirs.
    mutating func completed(
      _ entries: [RelativePath: DirtyEntry], compared: Set<RelativePath> = [],
      waiting: Set<RelativePath> = [], flying: Set<RelativePath> = []
    ) -> Set<RelativePath> {
      var batch = DirtySet.Batch(entries: entries)
      _ = addFurtherNames(
        to: &batch, compared: compared, at: AliasTableTests.now, isWaiting: waiting.contains,
        isInFlight: flying.contains)
      return Set(batch.entries.keys)
    }
  }

  private static func stamp(inode: UInt64, version: Int64 = 1, links: UInt64 = 1) -> FileStamp {
    FileStamp(device: 1, inode: inode, size: 1, modified: version, changed: version, links: links)
  }

  private static let written = DirtyEntry(writer: .closed, firstChange: now, lastChange: now)

  /// `a` and `d/b` are one file, met by a comparison of everything.
  private static func twoNames() -> Stated {
    var facts = Stated()
    for path: RelativePath in ["a", "d/b"] {
      let stamp = stamp(inode: 1, links: 2)
      facts.files[path] = stamp
      facts.table.note(path, stamp, metBy: .comparisonOfEverything, at: late)
    }
    return facts
  }

  // MARK: Further names

  @Test func `a write under one name asks for all names`() {
    var facts = Self.twoNames()
    #expect(facts.table.others(of: "a") == ["d/b"])
    #expect(facts.completed(["a": Self.written]) == ["a", "d/b"])
  }

  @Test func `a write that is only reported asks for all names once`() {
    var facts = Self.twoNames()
    #expect(facts.told([.modified("d/b")]) == [.modified("d/b")])
    #expect(facts.table.isToBeLookedAt(Self.stamp(inode: 1)))
    #expect(facts.completed([:]) == ["a", "d/b"])
    #expect(facts.completed([:]) == [])
  }

  @Test func `names of a written file go with the one that waits`() {
    var facts = Self.twoNames()
    _ = facts.told([.closed("a")])
    #expect(facts.completed([:], waiting: ["a"]) == [])
    #expect(facts.completed([:]) == ["a", "d/b"])
  }

  @Test func `an event says which names are links to files that have others`() {
    var facts = Self.twoNames()
    facts.files["c"] = Self.stamp(inode: 1, links: 3)
    facts.files["plain"] = Self.stamp(inode: 2)
    let told = facts.told([.created("c"), .found("plain")])
    #expect(told == [.created("c"), .linked("c"), .found("plain")])
    #expect(facts.table.others(of: "c") == ["a", "d/b"])
    #expect(facts.table.others(of: "plain") == [])
  }

  @Test func `a name that left takes nothing along from an unchanged file`() {
    var facts = Self.twoNames()
    facts.files["d/b"] = nil
    facts.files["a"]?.changed += 1
    _ = facts.told([.directoryMovedAway("d")])
    #expect(facts.completed([:]) == [])
  }

  @Test func `a name that left asks for the file while a writer has it`() {
    var facts = Self.twoNames()
    facts.files["d/b"] = nil
    facts.writers = ["a"]
    _ = facts.told([.deleted("d/b")])
    #expect(facts.completed([:]) == ["a"])
  }

  @Test func `a link that nobody wrote to is copied from a published name`() {
    var facts = Self.twoNames()
    facts.published["a"] = Self.stamp(inode: 1, links: 2)
    var batch = DirtySet.Batch(entries: ["d/b": DirtyEntry(at: Self.now)])
    _ = facts.addFurtherNames(to: &batch, compared: [], at: Self.now) { _ in false }
    #expect(batch.entries.keys.sorted() == ["d/b"])
    #expect(batch.entries["d/b"]?.renamedFrom == "a")
  }

  @Test func `a name whose file is on S3 by now is not published again`() {
    var facts = Self.twoNames()
    facts.published["a"] = Self.stamp(inode: 1, links: 2)
    // The file got its second name later, which moved its ctime.
    facts.published["d/b"] = Self.stamp(inode: 1)
    facts.published["d/b"]?.changed -= 1
    #expect(facts.completed(["a": DirtyEntry(at: Self.now), "d/b": DirtyEntry(at: Self.now)]) == [])
    facts.writers = ["a", "d/b"]
    #expect(facts.completed(["a": DirtyEntry(at: Self.now)]).contains("a"))
    facts.writers = []
    #expect(facts.completed(["a": Self.written]) == ["a", "d/b"])
  }

  @Test func `a name in flight is added only if its file was written since`() {
    func added(_ entry: DirtyEntry, flying: Set<RelativePath>) -> Set<RelativePath> {
      var facts = Self.twoNames()
      // A version that no comparison has seen.
      for path in facts.files.keys { facts.files[path] = Self.stamp(inode: 1, version: 2, links: 2) }
      return facts.completed(["d/b": entry], flying: flying)
    }
    #expect(added(DirtyEntry(at: Self.now), flying: []) == ["a", "d/b"])
    #expect(added(DirtyEntry(at: Self.now), flying: ["a"]) == ["d/b"])
    #expect(added(Self.written, flying: ["a"]) == ["a", "d/b"])
    // A process may still write through the name that is gone.
    var facts = Self.twoNames()
    facts.files["d/b"] = nil
    facts.writers = ["a"]
    _ = facts.told([.deleted("d/b")])
    #expect(facts.completed([:], flying: ["a"]) == ["a"])
  }

  @Test func `a file that changed in a compared directory asks for its names elsewhere`() {
    var facts = Self.twoNames()
    #expect(facts.completed([:], compared: ["d"]) == [])
    for path in facts.files.keys { facts.files[path] = Self.stamp(inode: 1, version: 2, links: 2) }
    #expect(facts.completed([:], compared: ["d"]) == ["a"])
    // Reckoned with from now on.
    #expect(facts.completed([:], compared: ["d"]) == [])
  }

  @Test func `a version with a young stamp is none to reckon with`() {
    var facts = Self.twoNames()
    for path in facts.files.keys {
      facts.files[path] = Self.stamp(inode: 1, version: Self.late - 1, links: 2)
    }
    for _ in 1...2 { #expect(facts.completed([:], compared: ["d"]) == ["a"]) }
  }

  // MARK: Followed links

  /// `l` leads to a file.
  private static func link() -> Stated {
    var facts = Stated()
    facts.links["l"] = .entry(.file, stamp(inode: 1))
    facts.table.note(link: "l", leadingTo: facts.sight(behind: "l"), at: late)
    return facts
  }

  private func looked(_ facts: inout Stated) -> (changed: [RelativePath], compared: Set<RelativePath>) {
    var batch = DirtySet.Batch()
    for case .rescan(let path, let reason) in facts.table.pollLinks() { batch.rescans[path] = reason }
    let compared = facts.lookBehindLinks(of: &batch, at: Self.now)
    return (batch.entries.keys.sorted(), compared)
  }

  @Test func `a link is asked for once when it was met, and polled from then on`() {
    var facts = Self.link()
    #expect(facts.table.takeFreshLinks() == [.rescan("l", .followedLink)])
    #expect(facts.table.takeFreshLinks() == [])
    for _ in 1...2 { #expect(facts.table.pollLinks() == [.rescan("l", .followedLink)]) }
  }

  @Test func `a file behind a link is changed when its version is not reckoned with`() {
    var facts = Self.link()
    #expect(looked(&facts) == ([], []))
    facts.links["l"] = .entry(.file, Self.stamp(inode: 1, version: 2))
    #expect(looked(&facts) == (["l"], []))
    #expect(looked(&facts) == ([], []))
    facts.links["l"] = .entry(.file, Self.stamp(inode: 2, version: 2))
    #expect(looked(&facts) == (["l"], []))
  }

  @Test func `a link that leads to a directory, or cannot be looked at, is compared`() {
    var facts = Self.link()
    for target in [Sighting.entry(.directory, Self.stamp(inode: 5)), .unseen] {
      facts.links["l"] = target
      #expect(looked(&facts) == ([], ["l"]))
    }
    #expect(facts.table.linksToDirectories == ["l"])
  }

  @Test func `a link that leads nowhere asks for nothing`() {
    var facts = Self.link()
    facts.links["l"] = .nothing
    #expect(looked(&facts) == ([], []))
  }

  @Test func `what lay below a link that leads elsewhere has left the tree`() {
    var facts = Self.link()
    facts.links["l"] = .entry(.directory, Self.stamp(inode: 5))
    _ = looked(&facts)
    facts.links["l"] = .entry(.file, Self.stamp(inode: 6))
    var batch = DirtySet.Batch(entries: ["l": DirtyEntry(at: Self.now)])
    facts.resolveLinks(in: &batch)
    #expect(batch.goneDirectories.keys.sorted() == ["l"])
    #expect(batch.entries["l"]?.isWrittenElsewhere == true)
  }

  @Test func `a link that went takes along what lay below it, and its own name only with an object`() {
    for hasObject in [false, true] {
      var facts = Self.link()
      facts.links["l"] = .entry(.directory, Self.stamp(inode: 5))
      _ = looked(&facts)
      facts.links["l"] = nil
      if hasObject { facts.published["l"] = Self.stamp(inode: 1) }
      var batch = DirtySet.Batch(entries: ["l": DirtyEntry(at: Self.now)])
      facts.resolveLinks(in: &batch)
      #expect(batch.goneDirectories.keys.sorted() == ["l"])
      #expect(batch.entries.keys.sorted() == (hasObject ? ["l"] : []))
      #expect(facts.table.pollLinks() == [])
    }
  }

  @Test func `a lost target takes nothing along`() {
    var facts = Self.link()
    facts.links["l"] = .entry(.directory, Self.stamp(inode: 5))
    _ = looked(&facts)
    facts.links["l"] = .nothing
    var batch = DirtySet.Batch(entries: ["l": DirtyEntry(at: Self.now)])
    facts.resolveLinks(in: &batch)
    #expect(batch.goneDirectories.isEmpty)
  }

  @Test func `links behind a link to a directory are compared with it`() {
    var facts = Self.link()
    facts.table.note(link: "d", leadingTo: .entry(.directory, Self.stamp(inode: 5)), at: Self.late)
    facts.table.note(link: "d/m", leadingTo: .entry(.file, Self.stamp(inode: 6)), at: Self.late)
    _ = facts.table.takeFreshLinks()
    #expect(facts.table.pollLinks().count == 2)
  }

  @Test func `a link that is also a further name is asked for as both`() {
    var facts = Self.twoNames()
    facts.links["l"] = .entry(.file, Self.stamp(inode: 1, links: 2))
    facts.table.note(link: "l", leadingTo: facts.sight(behind: "l"), at: Self.late)
    facts.table.note("l", Self.stamp(inode: 1, links: 2), metBy: .comparisonOfEverything, at: Self.late)
    #expect(facts.completed(["a": Self.written]) == ["a", "d/b", "l"])
    #expect(looked(&facts) == ([], []))
  }
}
