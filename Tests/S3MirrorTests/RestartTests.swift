import Foundation
import Glibc
import MirrorModel
import S3Client
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

private enum Stamps {
  /// Whether evidence can be had at once where these tests have their trees.
  static let areCertain: Bool = {
    let kept = Result {
      let directory = try TemporaryDirectory()
      try directory.write("a", "1")
      return try TreeRoot(path: FilePath(directory.path)).open("a")?.stampKeeping
    }
    if case .success(.certain?) = kept { return true }
    return false
  }()
}

/// A second run of a tree that was published just now: it reads nothing, and misses no change.
@Suite(.enabled(if: Stamps.areCertain, "the temporary directory's filesystem keeps no certain stamps"))
struct RestartTests {
  private static let large = 6 << 20

  private func options(_ options: inout Options) {
    options.multipartThreshold = 5 << 20
    options.partBytes = 5 << 20
  }

  /// A file whose ETag is its MD5, and one of two parts, whose ETag is none.
  private func makeTree(_ stage: Stage) throws {
    try stage.directory.write("tree/small", "12345")
    try stage.directory.write("tree/parts", String(repeating: "a", count: Self.large))
    // Not in the directory that is looked at.
    try stage.directory.write("tree/below/small", "1")
  }

  private func upload(_ stage: Stage, delete: Bool = false) -> MirrorSpec {
    .upload(stage.url("run"), local: stage.local("tree"), interval: nil, delete: delete)
  }

  /// Runs once, and says which files it opened and what it asked for besides listing.
  private func opened(
    _ stage: Stage, _ change: @escaping (inout Options) -> Void = { _ in }
  ) async throws -> (names: Set<String>, report: MirrorReport.Upload) {
    let opened = try OpenedFiles(in: stage.local("tree"))
    let report = try #require(
      try await stage.uploadOnce(upload(stage)) {
        options(&$0)
        change(&$0)
      })
    #expect(report.failures.isEmpty)
    return (opened.names(), report)
  }

  @Test(.promise("CHG-14", "RCT-2"))
  func `later uploads with receipts open no file, and leave the receipts`() async throws {
    try await Stage.play { stage async throws in
      for name in ["step-1/model.pt", "step-1/.metadata"] { try stage.directory.write("tree/" + name, name) }
      let first = try await opened(stage) { $0.receipts = true }
      #expect(first.report.published == 2)
      for _ in 0..<3 {
        await stage.fake.forgetCalls()
        let again = try await opened(stage) { $0.receipts = true }
        #expect(again.names.isDisjoint(with: ["model.pt"]))
        #expect(await stage.fake.calls.allSatisfy { $0.operation.hasPrefix("List") })
      }
    }
  }

  @Test(.promise("CHG-14"), arguments: Stage.Kind.available)
  func `a second upload opens no file and sends no HEAD`(kind: Stage.Kind) async throws {
    try await Stage.play(kind) { stage async throws in
      try makeTree(stage)
      let first = try await opened(stage)
      #expect(first.report.published == 3)
      #expect(first.names == ["small", "parts"])
      for _ in 0..<2 {
        let again = try await opened(stage)
        #expect(again.names == [])
        #expect(again.report.published == 0)
        #expect(again.report.requests[HeadObject.name] == nil)
        #expect(again.report.requests[ListObjectsV2.name] == 1)
      }
    }
  }

  @Test(.promise("CHG-14"))
  func `a file that another program uploaded is read once`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      for (name, text) in [("small", "12345"), ("below/small", "1")] {
        try await stage.put("run/" + name, text)
      }
      try stage.directory.remove("tree/parts")
      #expect(try await opened(stage).names == ["small"])
      #expect(try await opened(stage).names == [])
    }
  }

  @Test(.promise("CHG-14"))
  func `a mirror's entry and exit, a plan and a sync read nothing again`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      let sync = MirrorSpec.sync(
        stage.url("run"), local: stage.local("tree"), interval: nil, delete: false)
      try await stage.mirror(["run": upload(stage)], options) { _ async throws in }
      let opened = try OpenedFiles(in: stage.local("tree"))
      let heads = await stage.fake.count(of: HeadObject.name)
      try await stage.mirror(["run": upload(stage)], options) { _ async throws in }
      try await stage.mirror(["run": sync], options) { _ async throws in }
      let inspection = try Inspection(options: stage.options(options)) { _, _, _ in
        FakeBuckets(store: stage.fake)
      }
      try await inspection.plan([("run", upload(stage))], of: .uploadOnce) { Issue.record("\($0)") }
      try await inspection.plan([("run", sync)], of: .scope) { Issue.record("\($0)") }
      await inspection.close()
      #expect(opened.names() == [])
      // That a sync asks whether its remote is an object is no question about a file.
      let asked = await stage.fake.calls.filter { $0.operation == HeadObject.name }.dropFirst(heads)
      #expect(asked.allSatisfy { $0.key == stage.prefix + "run" })
    }
  }

  /// A plan is made while a mirror runs, of what that published too.
  @Test(.promise("CHG-14"))
  func `a plan uses the evidence of a running mirror`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      try await stage.mirror(["run": upload(stage)], options) { mirror async throws in
        let opened = try OpenedFiles(in: stage.local("tree"))
        let inspection = try Inspection(options: stage.options(options)) { _, _, _ in
          FakeBuckets(store: stage.fake)
        }
        try await inspection.plan([("run", upload(stage))], of: .uploadOnce) { Issue.record("\($0)") }
        await inspection.close()
        #expect(opened.names() == [])
      }
    }
  }

  @Test(.promise("XFER-14"), arguments: Stage.Kind.available)
  func `a large file that changed since the last run is sent as a delta`(kind: Stage.Kind)
    async throws
  {
    try await Stage.play(kind) { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      // A comparison that reads the file keeps what is known of its object.
      let file = stage.directory.path + "/tree/parts"
      for round in 1...2 {
        try DiskFiles().append(file, "more")
        let report = try await opened(stage).report
        #expect(report.published == 1)
        #expect(report.requests[UploadPartCopy.name] == 1)
        #expect(report.requests[UploadPart.name] == 1)
        let expected = String(repeating: "a", count: Self.large) + String(repeating: "more", count: round)
        #expect(try await stage.text("run/parts") == expected)
      }
    }
  }

  // MARK: Changes between two runs

  private func setModified(_ path: String, as stamp: FileStamp) throws {
    let time = timespec(
      tv_sec: Int(stamp.modified / 1_000_000_000), tv_nsec: Int(stamp.modified % 1_000_000_000))
    try #require(utimensat(AT_FDCWD, path, [time, time], 0) == 0)
  }

  private func stamp(_ stage: Stage, _ name: String) throws -> FileStamp {
    try #require(try TreeRoot(path: FilePath(stage.local("tree"))).look(at: RelativePath(name))).stamp
  }

  private func writeInPlace(_ path: String, _ text: String) throws {
    try DiskFiles().write(text, to: path, [])
  }

  @Test(.promise("CHG-14"))
  func `an edit in place of equal size, its mtime set back, is found`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      let before = try stamp(stage, "small")
      try writeInPlace(stage.local("tree/small"), "54321")
      try setModified(stage.local("tree/small"), as: before)
      try #require(try stamp(stage, "small").modified == before.modified)
      let report = try await opened(stage).report
      #expect(report.published == 1)
      #expect(try await stage.text("run/small") == "54321")
    }
  }

  @Test(.promise("CHG-14"))
  func `a file that a rename replaced, of equal size and mtime, is found`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      let before = try stamp(stage, "small")
      try stage.directory.write("other", "54321")
      try setModified(stage.local("other"), as: before)
      try #require(rename(stage.local("other"), stage.local("tree/small")) == 0)
      _ = try await opened(stage)
      #expect(try await stage.text("run/small") == "54321")
    }
  }

  /// ext4 gives a new file the number of the one that was deleted last.
  @Test(.promise("CHG-14"))
  func `a new file with the old one's inode number and mtime is found`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      let before = try stamp(stage, "small")
      try stage.directory.remove("tree/small")
      try stage.directory.write("tree/small", "54321")
      try setModified(stage.local("tree/small"), as: before)
      _ = try await opened(stage)
      #expect(try await stage.text("run/small") == "54321")
    }
  }

  @Test(.promise("CHG-14"))
  func `an object that another writer replaced is found`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      try await stage.put("run/small", "54321")
      let again = try await opened(stage)
      #expect(again.names == ["small"])
      #expect(try await stage.text("run/small") == "12345")
    }
  }

  @Test(.promise("CHG-14"))
  func `a comparison by checksum reads every file`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      #expect(try await opened(stage, { $0.compare = .checksum }).names == ["small", "parts"])
    }
  }

  @Test(.promise("CHG-14"))
  func `the evidence of a single file is used again`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      let spec = MirrorSpec.upload(stage.url("one"), local: stage.local("tree/parts"), interval: nil)
      _ = try await stage.uploadOnce(spec, options)
      let opened = try OpenedFiles(in: stage.local("tree"))
      let report = try await stage.uploadOnce(spec, options)
      #expect(report?.requests[HeadObject.name] == nil)
      #expect(opened.names() == [])
    }
  }

  // MARK: What is no evidence

  /// A program that still writes: what it does to a page that is dirty already moves no stamp.
  @Test(.promise("CHG-15"))
  func `an open file is never evidence`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("tree/a.log", "12345")
      try stage.directory.write("tree/b", "1")
      let writer = open(stage.local("tree/a.log"), O_RDWR | O_CLOEXEC)
      try #require(writer >= 0)
      _ = try await opened(stage)
      #expect(try await stage.text("run/a.log") == "12345")
      close(writer)
      #expect(try await opened(stage).names == ["a.log"])
    }
  }

  /// The mapping outlives its descriptor, and its close comes with munmap(2).
  @Test(.promise("CHG-15"))
  func `a write through an earlier mapping is found`() async throws {
    try await Stage.play { stage async throws in
      try stage.directory.write("tree/a.log", String(repeating: "a", count: 4_096))
      let descriptor = open(stage.local("tree/a.log"), O_RDWR | O_CLOEXEC)
      try #require(descriptor >= 0)
      let page = try #require(mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0))
      close(descriptor)
      page.storeBytes(of: UInt8(ascii: "b"), as: UInt8.self)
      let before = try stamp(stage, "a.log")
      _ = try await opened(stage)
      // The page is dirty, so that the stamp stays.
      page.storeBytes(of: UInt8(ascii: "c"), as: UInt8.self)
      munmap(page, 4_096)
      try #require(try stamp(stage, "a.log").isSameVersion(as: before))
      _ = try await opened(stage)
      #expect(try await stage.text("run/a.log").first == "c")
    }
  }

  // MARK: What becomes of the evidence

  enum Fate: CaseIterable {
    case deleted, truncated, flipped, emptied, unreadable
  }

  @Test(.promise("CHG-13", "CHG-16"), arguments: Fate.allCases)
  func `missing or damaged evidence costs a reading, and changes no decision`(fate: Fate) async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      let before = try stamp(stage, "small")
      try writeInPlace(stage.local("tree/small"), "54321")
      try setModified(stage.local("tree/small"), as: before)
      let directory = stage.local("cache/s3mirror/evidence")
      let files = try FileManager.default.contentsOfDirectory(atPath: directory)
      try #require(!files.isEmpty)
      for file in files.map({ directory + "/" + $0 }) {
        var data = try Data(contentsOf: URL(fileURLWithPath: file))
        switch fate {
        case .deleted: try FileManager.default.removeItem(atPath: file)
        case .truncated: try data.prefix(data.count / 2).write(to: URL(fileURLWithPath: file))
        case .flipped:
          for index in data.indices { data[index] ^= 0x10 }
          try data.write(to: URL(fileURLWithPath: file))
        case .emptied: try Data().write(to: URL(fileURLWithPath: file))
        case .unreadable:
          try FileManager.default.removeItem(atPath: file)
          try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        }
      }
      let again = try await opened(stage)
      #expect(again.report.published == 1)
      #expect(again.names == ["small", "parts"])
      #expect(try await stage.text("run/small") == "54321")
      #expect(try await stage.keys() == ["run/below/small", "run/parts", "run/small"])
    }
  }

  /// Of files that came and went, and of an object that another program deleted.
  @Test(.promise("CHG-16"))
  func `a path with neither a file nor an object is forgotten`() async throws {
    try await Stage.play { stage async throws in
      try makeTree(stage)
      _ = try await opened(stage)
      try stage.directory.remove("tree/small")
      _ = try await stage.store.send(DeleteObject(key: stage.prefix + "run/small"))
      _ = try await opened(stage)
      let place = EvidencePlace(
        cache: FilePath(stage.local("cache/s3mirror")), bucket: "fake/bucket", prefix: stage.prefix + "run/",
        local: FilePath(stage.local("tree")))
      let root = try TreeRoot(path: FilePath(stage.local("tree"))).identity
      var stream = EvidenceStore(place, root: root, for: .reading).stream()
      #expect(stream.entry(of: "below/small") != nil)
      #expect(stream.entry(of: "small") == nil)
    }
  }
}
