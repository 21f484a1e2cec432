import FileWatch
import MirrorModel
import TestSupport
import Testing

@Suite struct `event translation` {
  /// Records above the line, steps below it.
  static let scripts: [(String, String, String)] = [
    (
      "a file is written and closed",
      "1 create x\n1 modify x\n1 close x\n1 attrib x\n1 delete x",
      "created x\nmodified x\nclosed x\nattributes x\ndeleted x"
    ),
    (
      "files below a new directory bear its path",
      "1 create/ a\n2 create/ b\n3 close x",
      "visit a appeared\nvisit a/b appeared\nclosed a/b/x"
    ),
    ("records of a removed watch say nothing", "9 create x\n9 ignored", ""),
    ("attributes of directories say nothing", "1 create/ a\n1 attrib/ a\n2 attrib/", "visit a appeared"),
    ("a rename is one event", "1 from x #5\n1 to y #5", "renamed x y"),
    (
      "other threads' records may stand between the halves of a rename",
      "1 from x #5\n1 from p #6\n1 close z\n1 to q #6\n1 to y #5",
      "closed z\nrenamed p q\nrenamed x y"
    ),
    ("a departure without arrival is a deletion", "1 from x #5\nsettle", "deleted x"),
    ("an arrival without departure is found", "1 to y #5", "found y"),
    (
      "a name that is used again has been left for good",
      "1 from x #5\n1 create x\nsettle", "deleted x\ncreated x"
    ),
    (
      "an arrival after the departure was given up is found",
      "1 from x #5\nsettle\n1 to y #5", "deleted x\nfound y"
    ),
    (
      "a renamed directory keeps its watches, and those below",
      "1 create/ a\n2 create/ b\n1 from/ a #5\n1 to/ c #5\n3 close x",
      "visit a appeared\nvisit a/b appeared\ndirectoryRenamed a c\nvisit c renamed a\nrecheck a\nclosed c/b/x"
    ),
    (
      "while a directory is on its way its files bear the old path",
      "1 create/ a\n1 from/ a #5\n2 close x\n1 to/ c #5",
      "visit a appeared\nclosed a/x\ndirectoryRenamed a c\nvisit c renamed a\nrecheck a"
    ),
    (
      "a directory moved into another one",
      "1 create/ a\n1 create/ b\n1 from/ a #5\n3 to/ a #5\n2 close x",
      "visit a appeared\nvisit b appeared\ndirectoryRenamed a b/a\nvisit b/a renamed a\nrecheck a\nclosed b/a/x"
    ),
    (
      "a directory moved away loses all its watches",
      "1 create/ a\n2 create/ b\n1 from/ a #5\nsettle\n3 close x",
      "visit a appeared\nvisit a/b appeared\ndirectoryMovedAway a\nunwatch 2 3"
    ),
    (
      "what left a directory that has left itself is forgotten too",
      "1 create/ a\n2 create/ b\n1 from/ a #5\n2 from/ b #6\nsettle\n3 close x\n2 close y",
      "visit a appeared\nvisit a/b appeared\ndirectoryMovedAway a\ndirectoryMovedAway a/b\nunwatch 2\nunwatch 3"
    ),
    ("a directory moved in is visited", "1 to/ a #5\n2 close x", "visit a surfaced\nclosed a/x"),
    (
      "a directory made where one has left",
      "1 create/ a\n1 from/ a #5\n1 create/ a\nsettle\n3 close x\n2 close y",
      "visit a appeared\ndirectoryMovedAway a\nunwatch 2\nvisit a appeared\nclosed a/x"
    ),
    (
      "a directory renamed over an empty one",
      "1 create/ a\n1 create/ b\n1 from/ a #5\n1 to/ b #5\n2 close x",
      "visit a appeared\nvisit b appeared\nunwatch 3\ndirectoryMovedAway b\ndirectoryRenamed a b\nvisit b renamed a\nrecheck a\nclosed b/x"
    ),
    (
      "the kernel forgets the watch before the parent tells of the deletion",
      "1 create/ a\n2 deleteself\n2 ignored\n1 delete/ a", "visit a appeared\ndirectoryDeleted a"
    ),
    (
      "the parent tells of the deletion before the kernel forgets the watch",
      "1 create/ a\n1 delete/ a\n2 deleteself\n2 ignored",
      "visit a appeared\nunwatch 2\ndirectoryDeleted a"
    ),
    (
      "what left a directory is named before the directory is forgotten",
      "1 create/ a\n2 from x #5\n2 ignored\n1 delete/ a",
      "visit a appeared\ndeleted a/x\ndirectoryDeleted a"
    ),
    (
      "a directory that was never watched is renamed",
      "1 from/ a #5\n1 to/ c #5", "directoryRenamed a c\nvisit c unseen a\nrecheck a"
    ),
    (
      "two directories are exchanged",
      "1 create/ a\n1 create/ b\n1 from/ a #5\n1 to/ b #5\n1 from/ b #6\n1 to/ a #6",
      "visit a appeared\nvisit b appeared\nunwatch 3\ndirectoryMovedAway b\ndirectoryRenamed a b\nvisit b renamed a\nrecheck a\n"
        + "directoryRenamed b a\nvisit a renamed b\nrecheck b"
    ),
    (
      "two files are exchanged",
      "1 from x #5\n1 to y #5\n1 from y #6\n1 to x #6", "renamed x y\nrenamed y x\nrecheck y"
    ),
    (
      "an overflow settles what waits, walks, then compares",
      "1 from x #5\n-1 overflow", "deleted x\nrewalk\nrescan . queueOverflow"
    ),
    ("the root is deleted", "1 deleteself\n1 ignored\n1 create x", "rootLost"),
    ("the root is moved", "1 create/ a\n1 moveself\n2 close x", "visit a appeared\nunwatch 1 2\nrootLost"),
    ("the root is unmounted, and what waits is no deletion", "1 from x #5\n1 unmount", "unwatch 1\nrootLost"),
    (
      "a filesystem below the root is unmounted",
      "1 create/ a\n2 unmount\n2 ignored\n3 close x",
      "visit a appeared\nunwatch 2\nvisit a\nrescan a remounted\nclosed a/x"
    ),
    (
      "a name that is not UTF-8 is given out as text", "1 create ?\n1 close ?",
      "undecodable \\xff\nundecodable \\xff"
    ),
    (
      "a rename to a name that is not UTF-8 is a deletion", "1 from x #5\n1 to ? #5",
      "deleted x\nundecodable \\xff"
    ),
    (
      "a rename from a name that is not UTF-8 is found", "1 from ? #5\n1 to x #5",
      "undecodable \\xff\nfound x"
    ),
  ]

  @Test(arguments: scripts)
  func `records give the steps`(name: String, records: String, steps: String) {
    var script = RecordScript()
    let result = script.run(records).filter { $0 != "unwatch 1" || steps.contains("unwatch 1") }
    #expect(result == steps.split(separator: "\n").map(String.init), "\(name)")
  }

  static let exclusions: [(String, String, String)] = [
    ("excluded files are dropped", "1 create x.tmp\n1 close x.tmp\n1 delete x.tmp", ""),
    ("excluded directories are not visited", "1 create/ skip\n1 attrib/ skip\n1 delete/ skip", ""),
    ("a rename out of the exclusion is found", "1 from x.tmp #5\n1 to x #5", "found x"),
    ("a rename into the exclusion is a deletion", "1 from x #5\n1 to x.tmp #5", "deleted x"),
    (
      "a directory renamed into the exclusion is moved away",
      "1 create/ a\n1 from/ a #5\n1 to/ skip #5\n2 close x",
      "visit a appeared\ndirectoryMovedAway a\nunwatch 2"
    ),
    (
      "a directory renamed out of the exclusion is moved in", "1 from/ skip #5\n1 to/ a #5",
      "visit a surfaced"
    ),
  ]

  @Test(arguments: exclusions)
  func `what is excluded is as if outside`(name: String, records: String, steps: String) {
    var script = RecordScript { path, kind in
      kind == .directory ? path.name == "skip" : path.string.hasSuffix(".tmp")
    }
    #expect(script.run(records) == steps.split(separator: "\n").map(String.init), "\(name)")
  }

  @Test func `departures that wait are bounded, and the oldest goes first`() {
    var script = RecordScript()
    let count = RenamePairing.capacity
    let steps = script.run((0...count).map { "1 from f\($0) #\($0 + 1)" }.joined(separator: "\n"))
    #expect(steps == ["deleted f0"])
    #expect(script.run("1 to g #\(count + 1)") == ["renamed f\(count) g"])
    #expect(script.run("settle").count == count - 1)
    #expect(script.translation.pairing.isEmpty)
  }

  @Test func `random records keep the table a tree`() {
    var random = SplitMix64(seed: 11)
    let kinds = [
      "create/", "delete/", "from/", "to/", "ignored", "create", "close", "from", "to", "attrib/", "unmount",
    ]
    for _ in 0..<200 {
      var script = RecordScript()
      for _ in 0..<100 {
        let kind = kinds.randomElement(using: &random) ?? "create/"
        let descriptor =
          kind == "ignored" || kind == "unmount"
          ? Int.random(in: 2...9, using: &random) : Int.random(in: 1...9, using: &random)
        let name = ["a", "b", "c"].randomElement(using: &random) ?? "a"
        let named =
          kind == "ignored" || kind == "unmount" ? "" : " \(name) #\(Int.random(in: 1...3, using: &random))"
        _ = script.run("\(descriptor) \(kind)\(named)")
        // Every descriptor leads to a directory that is reached from the root, or waits for its arrival.
        for known in script.translation.table.descriptors {
          guard let node = script.translation.table.owner(of: known) else { continue }
          #expect(script.translation.table.isWithin(node, WatchTable.root))
          #expect(script.translation.table[node]?.descriptor == known)
          if script.translation.pairing.isEmpty { #expect(script.translation.table.isAttached(node)) }
        }
      }
    }
  }
}
