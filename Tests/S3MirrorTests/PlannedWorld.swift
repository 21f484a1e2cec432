import Foundation
import LocalTree
import MirrorModel
import S3Client
import Synchronization
import TestSupport

@testable import S3Mirror

/// A small tree, a bucket and options that a seed stands for: what a plan and the run after it play on.
struct PlannedWorld: Sendable, CustomStringConvertible {
  enum Way: String, Sendable, CaseIterable {
    case uploadOnce
    case upload
    case download
    case sync
  }

  /// What lies under one path.
  enum Thing: Sendable {
    case file(path: String, text: String)
    case link(path: String, target: String)
    case directory(path: String)
    case object(key: String, text: String, age: Age)
  }

  enum Age: String, Sendable, CaseIterable {
    case past
    case now
    case future

    /// Nanoseconds since 1970-01-01 UTC; nil is the fake's clock.
    var nanoseconds: Int64? {
      switch self {
      case .past: 1_000_000_000_000_000_000
      case .now: nil
      case .future: 4_000_000_000_000_000_000
      }
    }
  }

  let seed: UInt64
  let way: Way
  private(set) var things: [Thing] = []
  /// Paths that are removed, and files that are written, between an earlier run and the plan.
  private(set) var removed: [String] = []
  let local: String
  let remote: String
  let behaviour: FakeBucket.Behaviour
  /// The server's clock minus ours, in seconds.
  let skew: Int64
  private(set) var choices: [String] = []
  let isDeleting: Bool
  let exclude: [String]
  let include: [String]
  let hasEarlierRun: Bool
  let options: @Sendable (inout Options) -> Void

  init(seed: UInt64, way: Way) {
    var random = SplitMix64(seed: seed &* 31 &+ UInt64(Way.allCases.firstIndex(of: way) ?? 0))
    func pick<Element>(_ elements: [Element]) -> Element { elements[random.below(elements.count)] }
    self.seed = seed
    self.way = way
    // Mostly a directory; now and then a path that is absent, or one file.
    (local, remote) = pick(
      Array(repeating: ("tree", "data"), count: 6) + [
        ("tree/", "data/"), ("absent", "data"), ("tree/x", "data"), ("tree/x", "data/"), ("tree", "data/x"),
        ("tree/to-x", "data/"),
      ])
    behaviour = .init(order: pick([.bytes, .tree]), pageLimit: pick([1, 3, 1_000]))
    skew = pick([0, 0, 60, -60])
    isDeleting = pick([true, false])
    exclude = pick([[], [], ["*.bin"], ["a/"], ["/x"], ["*", "!latest"]])
    include = pick([[], [], [], ["*.bin", "latest"], ["a/"]])
    hasEarlierRun = way == .sync && pick([true, false])
    let symlinks = pick(Options.Symlinks.allCases)
    let emptyDirectories = pick(Options.EmptyDirectories.allCases)
    let compare = pick(Options.Compare.allCases)
    let maxDelete: Options.MaxDelete = pick([.standard, .standard, .limit(0), .limit(2), .unlimited])
    let commitLast = pick([Options.defaultCommitLast, ["x"], []])
    options = { options in
      options.symlinks = symlinks
      options.emptyDirectories = emptyDirectories
      options.compare = compare
      options.maxDelete = maxDelete
      options.commitLast = commitLast
    }
    choices = [
      "\(local) at \(remote)", "delete \(isDeleting)", "exclude \(exclude)", "include \(include)",
      "links \(symlinks)",
      "empty directories \(emptyDirectories)", "compare \(compare)", "bound \(maxDelete)",
      "commit last \(commitLast)",
      "listing \(behaviour.order) by \(behaviour.pageLimit)", "skew \(skew)", "earlier run \(hasEarlierRun)",
    ]
    // Many objects that are not here exceed the bound.
    let count = pick([0, 3, 8, 8, 20])
    let log = "log"
    var paths = ["\(log)/s3mirror-old.jsonl.gz"]
    for _ in 0..<count {
      paths.append(
        pick(["", "", "a/", "a/b/", "c d/", "e.d/", "\(log)/"])
          + pick(["x", "y", "latest", "DONE", "w.bin", "log.jsonl", ".h", "ü", "a"]))
    }
    for path in Set(paths).sorted() {
      let texts = pick([["1", "1"], ["1", "1"], ["1", "2"], ["1", "22"], ["", "1"]])
      let side = pick(["here", "there", "both", "both"])
      if side != "there" { things.append(.file(path: path, text: texts[0])) }
      if side != "here" { things.append(.object(key: path, text: texts[1], age: pick(Age.allCases))) }
      if pick([true, false, false]) { removed.append(path) }
    }
    for directory in ["a", "empty", "deep/empty"] where pick([true, false]) {
      things.append(.directory(path: directory))
    }
    for key in ["empty/", "gone/", "a/", "../climb", "a//b", "e/", "x/below"]
    where pick([false, false, false, true]) {
      things.append(.object(key: key, text: key == "e/" ? "content" : "", age: .now))
    }
    // What a sync's download would bring behind a followed link is no part of its plan.
    let inside =
      way == .sync && symlinks != .skip ? [] : [("to-x", "x"), ("to-a", "a"), ("a/up", "../e.d")]
    let links = inside + [("nowhere", "missing"), ("out", "../outside"), ("c d", "../outside")]
    for (path, target) in links where pick([false, false, true]) {
      things.append(.link(path: path, target: target))
    }
  }

  var description: String {
    "seed \(seed), \(way): " + choices.joined(separator: ", ") + "; "
      + things.map { "\($0)" }.joined(separator: ", ")
  }

  var testDescription: String { "\(way) \(seed)" }

  func spec(on stage: Stage) -> MirrorSpec {
    let (url, path) = (stage.url(remote), stage.local(local))
    return switch way {
    case .upload, .uploadOnce:
      .upload(url, local: path, interval: nil, delete: isDeleting, exclude: exclude, include: include)
    case .download: .download(url, local: path, delete: isDeleting, exclude: exclude, include: include)
    case .sync: .sync(url, local: path, interval: nil, delete: isDeleting, exclude: exclude, include: include)
    }
  }

  func options(on stage: Stage) -> Options {
    stage.options { options in
      self.options(&options)
      options.logDirectory = stage.local("tree/log")
    }
  }

  /// Makes the tree and the objects.
  func build(on stage: Stage) async throws {
    try stage.directory.makeDirectory("tree")
    try stage.directory.write("outside/far", "1")
    for thing in things {
      switch thing {
      case .file(let path, let text) where !isTaken(path, on: stage):
        try stage.directory.write("tree/\(path)", text)
      case .directory(let path) where !isTaken(path, on: stage):
        try stage.directory.makeDirectory("tree/\(path)")
      case .link(let path, let target) where !isTaken(path, on: stage) && isDirectory(path, on: stage):
        try stage.directory.link("tree/\(path)", to: target)
      case .object(let key, let text, let age):
        await stage.fake.place(stage.prefix + "data/" + key, Array(text.utf8), lastModified: age.nanoseconds)
        if key == "x", text == "1" {
          await stage.fake.place(stage.prefix + "data", Array("1".utf8), lastModified: age.nanoseconds)
        }
      default: continue
      }
    }
  }

  /// What happens here between an earlier run and the plan.
  func change(on stage: Stage) throws {
    for path in removed where stage.directory.exists("tree/\(path)") {
      try stage.directory.remove("tree/\(path)")
    }
  }

  /// Something lies at the path, or a file at the place of one of its directories.
  private func isTaken(_ path: String, on stage: Stage) -> Bool {
    if stage.directory.exists("tree/\(path)") { return true }
    return RelativePath(path).ancestors.dropLast().contains { directory in
      let place = "tree/\(directory.string)"
      return stage.directory.exists(place) && !isRealDirectory(place, on: stage)
    }
  }

  private func isDirectory(_ path: String, on stage: Stage) -> Bool {
    let parent = RelativePath(path).parent
    return parent.isRoot || isRealDirectory("tree/\(parent.string)", on: stage)
  }

  private func isRealDirectory(_ path: String, on stage: Stage) -> Bool {
    var status = stat()
    return lstat(stage.local(path), &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }
}

/// What a plan said, or what a run did.
struct Deeds: Sendable, Equatable, CustomStringConvertible {
  var uploads: Set<String> = []
  var downloads: Set<String> = []
  var deletes: Set<String> = []
  /// Below the stage.
  var localDeletes: Set<String> = []
  var withheld: Set<String> = []
  /// Something was refused, or failed.
  var isComplete = true
  /// The kind of error that ended it before it began.
  var refusal: MirrorError.Kind?

  var description: String {
    let sets = [
      ("upload", uploads), ("download", downloads), ("delete", deletes), ("delete locally", localDeletes),
      ("withhold", withheld),
    ]
    let lines = sets.filter { !$0.1.isEmpty }.map { "\($0.0) \($0.1.sorted())" }
    return (lines + (isComplete ? [] : ["incomplete"]) + (refusal.map { ["ended by \($0)"] } ?? [])).joined(
      separator: "; ")
  }
}

/// Notes what reaches a bucket.
final class RequestRecorder: ObjectStore {
  private let base: FakeObjectStore
  private let sent = Mutex(Deeds())
  private let others = Mutex<[String]>([])

  init(_ base: FakeObjectStore) { self.base = base }

  var bucket: String { base.bucket }

  /// What was sent since the last call.
  func take() -> Deeds {
    sent.withLock { sent in
      defer { sent = Deeds() }
      return sent
    }
  }

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    sent.withLock { sent in
      switch Operation.name {
      case PutObject.name, CompleteMultipartUpload.name, CopyObject.name:
        sent.uploads.insert(operation.key ?? "")
      case GetObject.name: sent.downloads.insert(operation.key ?? "")
      case DeleteObject.name: sent.deletes.insert(operation.key ?? "")
      default: break
      }
      if let operation = operation as? DeleteObjects { sent.deletes.formUnion(operation.targets.map(\.key)) }
    }
    return try await base.send(operation)
  }
}

struct RecordedBuckets: BucketSource {
  let recorder: RequestRecorder

  func bucket(of location: S3Location, access: BucketAccess?) throws -> OpenBucket {
    OpenBucket(service: recorder, retrying: { $0 }, identity: "fake/\(location.bucket)")
  }

  func close() async {}
}
