import MirrorModel
import TestSupport
import Testing
import TransferLog

@testable import S3Mirror

/// The soak's oracle sees what it is there to see.
@Suite struct SoakOracleTests {
  /// A writer in a directory of its own, whose first version is 1.
  private func history(
    of operations: [TreeOperation], _ check: (NameHistory) throws -> Void
  ) throws {
    let directory = try TemporaryDirectory()
    let calls = NameCalls(journal: nil)
    for name in ["tree", "outside"] { #expect(calls.makeDirectory(directory[name])) }
    let journal = try NameJournal(in: directory.path)
    let writer = TreeWriter(
      root: directory["tree"], outside: directory["outside"],
      versions: try VersionCounter(sharedAt: directory["versions"]), journal: journal)
    for operation in operations { #expect(writer.perform(operation), "\(operation)") }
    let history = NameHistory(try journal.records())
    #expect(history.contradictions == [])
    try check(history)
  }

  private func write(_ path: String) -> TreeOperation {
    .write(path, bytes: 100, .inPlace, pieces: 1, pauseMicroseconds: 0)
  }

  private func objection(
    _ history: NameHistory, _ version: UInt64, at path: String, until now: UInt64 = .max
  ) -> String? {
    history.objection(to: .whole(version), at: "tree/" + path, until: now)
  }

  @Test func `a version may lie under every name of its file and under no other`() throws {
    try history(of: [
      write("a"), .makeDirectories("d"), .rename("a", to: "d/b"), .link("d/b", to: "c"),
      .rename("d", to: "e"),
    ]) { history in
      for path in ["a", "d/b", "c", "e/b"] { #expect(objection(history, 1, at: path) == nil) }
      for path in ["b", "d", "e/a", "d/c"] { #expect(objection(history, 1, at: path) != nil) }
      #expect(objection(history, 1, at: "a", until: 0) != nil)
      #expect(objection(history, 2, at: "a") == "nobody wrote version 2")
      let files = history.files(below: "tree").keys.map { String(decoding: $0, as: UTF8.self) }
      #expect(files.sorted() == ["c", "e/b"])
    }
  }

  @Test func `a version may not lie under a name that its file got when it held another`() throws {
    try history(of: [write("a"), write("a"), write("a"), .rename("a", to: "b")]) { history in
      #expect(objection(history, 1, at: "b") != nil)
      #expect(objection(history, 3, at: "b") == nil)
    }
  }

  @Test func `a version may not lie where another file of that name lay`() throws {
    try history(of: [
      write("a"), write("b"), .exchange("a", with: "b"), .moveOut("a"), write("a"), .moveIn("a", to: "c"),
    ]) { history in
      for path in ["a", "b"] { #expect(objection(history, 1, at: path) == nil) }
      for path in ["a", "b", "c"] { #expect(objection(history, 2, at: path) == nil) }
      #expect(objection(history, 3, at: "a") == nil)
      #expect(objection(history, 3, at: "b") != nil)
      #expect(objection(history, 1, at: "c") != nil)
    }
  }

  @Test func `drift is explained by what was written unseen only`() {
    /// A file that is written under a link `milliseconds` before that goes.
    func linked(_ path: String, _ link: String, version: UInt64, milliseconds: UInt64) -> [NameJournal.Record]
    {
      let (path, link) = (Array("tree/\(path)".utf8), Array(link.utf8))
      let session = NameChange.Session(process: 1, descriptor: 3)
      let changes: [NameChange] = [
        .madeFile(path), .linked(path, to: link), .opened(link, session: session),
        .writes(version: version, session: session), .removed(link),
      ]
      let start = version * 1_000_000_000
      return changes.enumerated().map { index, change in
        .init(nanoseconds: start + (index == 4 ? milliseconds * 1_000_000 : UInt64(index)), change: change)
      }
    }
    let records =
      linked("a", "tree/b", version: 1, milliseconds: 1) + linked("c", "tree/d", version: 2, milliseconds: 20)
      + linked("e", "outside/f", version: 3, milliseconds: 20)
    let history = NameHistory(records)
    #expect(history.contradictions == [])
    let oracle = SoakOracle(records: [], prefix: "t/", history: history)
    func unexplained(_ paths: String) -> Int {
      let words = ConditionNotices.missedChange
      return oracle.unexplained(["test: an audit found paths though \(words.before)\(paths)\(words.after)"])
        .count
    }
    for paths in ["a", "e", "a, e"] { #expect(unexplained(paths) == 0, "\(paths)") }
    for paths in ["b", "c", "a, c", "x", "a, …"] { #expect(unexplained(paths) == 1, "\(paths)") }
  }

  @Test func `two spellings of one name are two names`() throws {
    try history(of: [write("\u{E9}"), write("e\u{301}")]) { history in
      #expect(objection(history, 1, at: "\u{E9}") == nil)
      #expect(objection(history, 1, at: "e\u{301}") != nil)
    }
  }

  @Test func `every stored version needs a proof or a proved version that it is a copy of`() {
    let records = [
      TransferRecord(
        time: .now(), mirror: "m", operation: .upload, path: "a", bytes: 1,
        proof: PublicationProof.closed.rawValue, etag: "1", outcome: .done)
    ]
    let oracle = SoakOracle(records: records, prefix: "t/", history: nil)
    func sighting(_ key: String, _ way: WitnessStore.Way = .sent) -> WitnessStore.Sighting {
      .init(key: key, etag: "1", verdict: .whole(1), nanoseconds: 0, way: way)
    }
    let proved = [
      sighting("t/a"), sighting("t/b", .copied(.init(key: "t/a", etag: "1"))),
      sighting("t/c", .copied(.init(key: "t/b", etag: "1"))),
    ]
    #expect(oracle.judge(proved).unproved == [])
    for way: WitnessStore.Way in [
      .sent, .copied(.init(key: "t/a", etag: nil)), .copied(.init(key: "t/a", etag: "2")),
      .copied(.init(key: "t/x", etag: "1")),
    ] {
      #expect(oracle.judge([sighting("t/d", way)]).unproved.count == 1, "\(way)")
    }
    var half = sighting("t/a")
    half.verdict = .unfinished(1)
    #expect(oracle.judge([half]).wronglyProved.count == 1)
  }
}
