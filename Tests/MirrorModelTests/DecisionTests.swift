import MirrorModel
import TestSupport
import Testing

@Suite struct DeleteGuardTests {
  @Test(
    .promise("DEL-6"),
    arguments: [
      (0, 0, DeleteBound.standard, true),
      (10, 10, .standard, true),
      (11, 11, .standard, false),
      (11, 22, .standard, true),
      (11, 21, .standard, false),
      (500, 1000, .standard, true),
      (501, 1000, .standard, false),
      (501, 1000, .unlimited, true),
      (0, 1000, .limit(0), true),
      (1, 1000, .limit(0), false),
      (900, 1000, .limit(900), true),
      (901, 1000, .limit(900), false),
    ])
  func `deletes beyond both half of the objects and ten are withheld`(
    deletes: Int, objects: Int, bound: DeleteBound, isAllowed: Bool
  ) {
    let expected: DeleteGuard.Verdict =
      isAllowed ? .allowed : .withheld(.overBound(deletes: deletes, of: objects))
    #expect(DeleteGuard.judge(deletes: deletes, of: objects, bound: bound) == expected)
  }

  @Test func `the message names the option that replaces the bound`() {
    let remote = WithheldReason.overBound(deletes: 11, of: 12)
    #expect(
      remote.description
        == "11 of 12 objects would go, more than the bound; --max-delete N or none replaces it")
    let local = WithheldReason.overBound(deletes: 11, of: 12, .files)
    #expect(
      local.description
        == "11 of 12 files would go, more than the bound; --max-delete N or none replaces it")
  }
}

@Suite struct ComparisonTests {
  private static let second: Int64 = 1_000_000_000
  private static let minute = 60 * second
  /// When the object was stored, as its listing says.
  private static let stored = 1_700_000_000 * second
  private static let remote = RemoteObject(byteCount: 100, etag: "e", lastModified: stored)

  private static func file(size: Int64 = 100, modified: Int64, changed: Int64) -> FileStamp {
    FileStamp(device: 1, inode: 2, size: size, modified: stored + modified, changed: stored + changed)
  }

  @Test(
    .promise("CHG-9"),
    arguments: [
      // mtime and ctime after the object's date, in minutes; the server's clock minus ours
      (-60, -60, 0, Comparison.Verdict.same),
      (-16, -16, 0, .same),
      (-15, -15, 0, .same),
      (-14, -60, 0, .suspect),
      // mtime can be set; ctime tells.
      (-60, -14, 0, .suspect),
      (5, 5, 0, .suspect),
      // The server is ten minutes ahead: in its time the change was ten minutes later.
      (-20, -20, 10, .suspect),
      (-30, -30, 10, .same),
      (-10, -10, -10, .same),
    ] as [(Int64, Int64, Int64, Comparison.Verdict)])
  func `an upload suspects equal sizes changed within the window`(
    modified: Int64, changed: Int64, skew: Int64, expected: Comparison.Verdict
  ) {
    let comparison = Comparison(serverSkew: skew * Self.minute)
    let local = Self.file(modified: modified * Self.minute, changed: changed * Self.minute)
    #expect(comparison.upload(local: local, remote: Self.remote) == expected)
  }

  @Test func `the window can be set`() {
    let local = Self.file(modified: -10 * Self.second, changed: -10 * Self.second)
    #expect(Comparison(suspicionWindow: 5 * Self.second).upload(local: local, remote: Self.remote) == .same)
    #expect(
      Comparison(suspicionWindow: 15 * Self.second).upload(local: local, remote: Self.remote) == .suspect)
  }

  @Test(arguments: [
    // Seconds from the object's date to the file's last change, the server's clock ahead of ours, expected.
    (10, 0, true), (-1, 0, true), (-3, 0, false), (-3, 5, true), (3, -10, false),
  ])
  func `a local file is later than the object, also in doubt`(
    changed: Int64, skew: Int64, expected: Bool
  ) {
    let local = Self.file(modified: -60 * Self.minute, changed: changed * Self.second)
    #expect(Comparison(serverSkew: skew * Self.second).isLater(local, than: Self.remote) == expected)
  }

  @Test func `a file as our download left it is the same, however late its ctime`() {
    let local = Self.file(modified: 0, changed: 60 * Self.minute)
    #expect(Comparison().upload(local: local, remote: Self.remote) == .same)
    #expect(Comparison().download(local: local, remote: Self.remote) == .same)
  }

  @Test func `a download suspects any other mtime`() {
    for modified in [-60 * Self.minute, -1, 1] {
      let local = Self.file(modified: modified, changed: 0)
      #expect(Comparison().download(local: local, remote: Self.remote) == .suspect)
    }
  }

  @Test(.promise("CHG-9"), arguments: ComparePolicy.allCases)
  func `absence and another size are copied under every policy`(
    policy: ComparePolicy
  ) {
    let comparison = Comparison(policy: policy)
    let local = Self.file(size: 101, modified: 0, changed: 0)
    #expect(comparison.upload(local: local, remote: nil) == .copy(.absent))
    #expect(comparison.upload(local: local, remote: Self.remote) == .copy(.size))
    #expect(comparison.download(local: nil, remote: Self.remote) == .copy(.absent))
    #expect(comparison.download(local: local, remote: Self.remote) == .copy(.size))
  }

  @Test func `size stops at sizes and checksum trusts nothing else`() {
    let late = Self.file(modified: Self.minute, changed: Self.minute)
    #expect(Comparison(policy: .size).upload(local: late, remote: Self.remote) == .same)
    #expect(Comparison(policy: .size).download(local: late, remote: Self.remote) == .same)
    let pulled = Self.file(modified: 0, changed: 0)
    #expect(Comparison(policy: .checksum).upload(local: pulled, remote: Self.remote) == .suspect)
    #expect(Comparison(policy: .checksum).download(local: pulled, remote: Self.remote) == .suspect)
  }

  @Test(arguments: [
    ("d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e" as String?),
    ("D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"),
    ("d41d8cd98f00b204e9800998ecf8427e-2", nil),
    ("d41d8cd98f00b204e9800998ecf8427g", nil),
    ("", nil),
  ])
  func `only 32 hex digits can be an MD5`(etag: String, md5: String?) {
    #expect(RemoteObject(byteCount: 0, etag: etag, lastModified: 0).possibleMD5 == md5)
  }
}

@Suite struct CommitOrderTests {
  private let order = CommitOrder { $0.name == "latest" || $0.name == "DONE" }

  @Test func `data go first, then markers from the deepest directory up`() {
    let groups = order.groups(of: ["latest", "b/x", "a/DONE", "a/c/latest", "a/c/y", "a/latest"])
    #expect(groups == [["a/c/y", "b/x"], ["a/c/latest"], ["a/DONE", "a/latest"], ["latest"]])
    #expect(order.groups(of: ["latest"]) == [["latest"]])
    #expect(order.groups(of: [RelativePath]()).isEmpty)
  }

  @Test(arguments: [
    ("a/latest", "a/x", true), ("a/latest", "a/b/x", true), ("a/latest", "b/x", false),
    ("a/latest", "ab/x", false), ("latest", "b/x", true),
    // A marker below speaks for data of this one; a neighbour does not.
    ("a/latest", "a/b/latest", true), ("a/latest", "a/DONE", false), ("a/latest", "a/latest", false),
    // A directory that could not be compared stands for all below it.
    ("a/b/latest", "a", true), ("a/latest", "a", true), ("a/latest", "", true), ("a/latest", "b", false),
  ])
  func `a marker waits for what is unpublished below its directory`(
    marker: String, unpublished: String, isHeld: Bool
  ) {
    let obstacle = order.obstacle(to: RelativePath(marker), among: [RelativePath(unpublished)])
    #expect((obstacle != nil) == isHeld)
  }
}
