import Digests
import LocalTree
import MirrorModel
import SystemPackage

/// Fetches one checkpoint, so that no reader finds it before it is complete (RST-2).
///
/// A directory is built under a temporary name of the tool beside its final place, and renamed when it is
/// complete. So readers that take the largest number for the newest checkpoint see all of it or nothing.
/// Single files, and a remote that is one checkpoint, are written in place, data before markers. Files that
/// name the checkpoint come last.
struct UnitRestore: Sendable {
  let job: DownloadJob
  let judged: UnitReader.Judged
  /// The objects of the trackers.
  let trackers: [RelativePath: RemoteObject]
  /// Objects with the checkpoint's content under other names.
  let copies: [RelativePath: RemoteObject]
  let marks: ProgressMarks

  private var unit: CheckpointUnit { judged.unit }

  /// The result of the download, and notices about local trackers.
  struct Outcome: Sendable {
    var download: DownloadJob.Outcome
    var notices: [String] = []
  }

  func run() async throws -> Outcome {
    try createDirectories(job.local)
    let root = try TreeRoot(path: job.local)
    let isWhole = try await isWhole(in: root)
    let (lying, notices) = try await job.resources.readers.run {
      try localTrackers(in: root, leadingTo: isWhole ? unit.path : nil)
    }
    try await job.resources.writers.run { for path in lying { try root.remove(path) } }
    var outcome = Outcome(download: try await fetchUnit(into: root, isWhole: isWhole), notices: notices)
    guard outcome.download.failures.isEmpty else { return outcome }
    try await job.resources.writers.run { try removeMarks(in: root) }
    let last = try await fetch(pointers, into: root, prefix: job.location.prefix)
    outcome.download.add(last)
    return outcome
  }

  // MARK: The checkpoint

  private func fetchUnit(into root: TreeRoot, isWhole: Bool) async throws -> DownloadJob.Outcome {
    if isWhole {
      var outcome = DownloadJob.Outcome(local: job.local)
      outcome.unchanged = judged.objects.count
      // The rest of a killed restore is no longer needed.
      if !unit.path.isRoot {
        try await job.resources.writers.run { try root.removeTree(Self.staging(for: unit.path)) }
      }
      return outcome
    }
    guard unit.shape == .directory, !unit.path.isRoot else {
      try await makeDirectories(judged.emptyDirectories, in: root)
      return try await fetch(judged.objects, into: root, prefix: job.location.prefix)
    }
    let prefix = job.location.prefix + unit.path.string + "/"
    let objects = Dictionary(
      uniqueKeysWithValues: judged.objects.map { ($0.key.moved(from: unit.path, to: .root), $0.value) })
    let staging = try await job.resources.writers.run { try prepareStaging(in: root) }
    let place = try TreeRoot(path: root.path.appending(staging.string))
    try await makeDirectories(judged.emptyDirectories.map { $0.moved(from: unit.path, to: .root) }, in: place)
    let outcome = try await fetch(objects, into: place, prefix: prefix)
    if outcome.failures.isEmpty {
      try await job.resources.writers.run { try root.rename(staging, to: unit.path) }
    }
    return outcome
  }

  private func fetch(
    _ objects: [RelativePath: RemoteObject], into root: TreeRoot, prefix: String
  ) async throws -> DownloadJob.Outcome {
    if objects.isEmpty { return DownloadJob.Outcome(local: job.local) }
    var job = job
    // A checkpoint is fetched into a directory beside its final place, and its links may lead out of it.
    if root.path != job.local { job.rootDepth = unit.path.ancestors.count }
    if unit.shape == .files {
      // A file beside a directory of its arrays is found by its name alone, so it is written last.
      let (order, path) = (job.commitOrder, unit.path)
      job.commitOrder = CommitOrder { order.isMarker($0) || $0 == path }
    }
    return try await PrefixFetch(job, into: root, mapping: .tree(prefix: prefix), known: nil, evidence: nil)
      .fetch(objects, serverSkew: 0)
  }

  /// Whether the complete checkpoint is in its place already. Then it keeps its name.
  private func isWhole(in root: TreeRoot) async throws -> Bool {
    if unit.shape == .directory, !unit.path.isRoot {
      guard let entry = try root.lookForPlace(at: unit.path) else { return false }
      guard entry.kind == .directory else {
        throw MirrorError(
          .local,
          "\(root.path.appending(unit.path.string)) is no directory, and the checkpoint is one; move it away")
      }
    }
    let mapping = KeyMapping.tree(prefix: job.location.prefix)
    let fetch = PrefixFetch(job, into: root, mapping: mapping, known: nil, evidence: nil)
    return try await fetch.differing(judged.objects.map { fetch.wanted($0.key, $0.value, serverSkew: 0) })
      .isEmpty
  }

  /// Prepares the directory in which the checkpoint is built. An existing directory with the checkpoint's
  /// name is moved there first, so that readers no longer see it and its correct files are not fetched again.
  /// If a killed restore left a staging directory, the next restore continues with it.
  private func prepareStaging(in root: TreeRoot) throws -> RelativePath {
    let staging = Self.staging(for: unit.path)
    if try root.look(at: unit.path) != nil {
      try root.removeTree(staging)
      try root.rename(unit.path, to: staging)
    }
    try root.makeDirectory(staging)
    return staging
  }

  /// The staging directory's name, which every walk, upload and download ignores.
  static func staging(for path: RelativePath) -> RelativePath {
    let digest = hexadecimal(sha256(path.string + "/")).prefix(16)
    return path.parent.appending(PathFilter.partialPrefix + digest + PathFilter.partialSuffix)
  }

  private func makeDirectories(_ directories: [RelativePath], in root: TreeRoot) async throws {
    guard !directories.isEmpty else { return }
    try await job.resources.writers.run { for directory in directories { try root.makeDirectory(directory) } }
  }

  // MARK: Files that name the checkpoint

  /// The trackers that name this checkpoint and no other, and copies of the checkpoint under other names.
  private var pointers: [RelativePath: RemoteObject] {
    let own = unit.trackers.filter { tracker in !tracker.needsAll || tracker.names(only: unit.path) }
    let named = own.compactMap { tracker in trackers[tracker.path].map { (tracker.path, $0) } }
    return Dictionary(named) { first, _ in first }.merging(copies) { first, _ in first }
  }

  /// Finds local trackers that name only checkpoints that do not exist here, including this one until it is
  /// complete. Returns notices about trackers that name another checkpoint and stay.
  ///
  /// - Parameter whole: the checkpoint's path if the whole checkpoint exists here.
  private func localTrackers(
    in root: TreeRoot, leadingTo whole: RelativePath?
  ) throws -> (lying: [RelativePath], notices: [String]) {
    var lying: [RelativePath] = []
    var notices: [String] = []
    for directory in unit.path.ancestors {
      let files = try root.files(in: directory) { Tracker.mayBe($0, byteCount: 0) }
      if files.isEmpty { continue }
      let names = try root.names(in: directory)
      for file in files {
        guard let tracker = try root.tracker(at: file) else { continue }
        let places = tracker.places(among: names)
        let others = places.filter { $0 != unit.path }
        if others.isEmpty {
          if whole.map(places.contains) != true { lying.append(file) }
        } else if pointers[file] == nil, let other = others.first {
          notices.append(
            "\(file) here names \(other) and not \(unit.path), which was restored; a trainer resumes from that"
          )
        }
      }
    }
    return (lying, notices)
  }

  /// NeMo deletes a checkpoint that has an in-progress mark.
  private func removeMarks(in root: TreeRoot) throws {
    guard !unit.path.isRoot else { return }
    for mark in try root.files(in: unit.path.parent, where: marks.contains)
    where marks.speaks(mark, for: unit.path) {
      try root.remove(mark)
    }
  }
}
