import LocalTree
import MirrorModel
import S3Client
import Transfers

/// Plans the publications and deletes of an upload.
struct UploadPlanner: Sendable {
  /// The run that the upload belongs to.
  enum Context: Sendable {
    /// A single comparison.
    case alone
    /// A scope, from its entry to its exit.
    case scope
    /// The upload of a sync. Objects that its download would fetch first are neither published nor
    /// superfluous.
    case afterDownload(DownloadJob.Forecast)
  }

  let name: String
  var surveyor: Surveyor
  let content: ContentComparison
  let commitOrder: CommitOrder
  let width: Int
  let delete: Bool
  let bound: DeleteBound
  var context = Context.alone
  /// The objects on S3 now, for retention; nil if retention removes nothing. They are judged before anything
  /// is published.
  var retention: (plan: RetentionPlan, inventory: Retention.Inventory)?

  /// The state of the plan so far.
  private struct Progress {
    var markers: [RelativePath: PlannedAction] = [:]
    /// Pointers, with the files to which they lead.
    var pointers: [(upload: PlannedAction, target: RelativePath)] = []
    /// Directory markers of directories that the download may still fill.
    var directories: [DirectoryMarker: PlannedAction] = [:]
    /// Paths that a run would fail to publish, without those that can never have a key.
    var failed: Set<RelativePath> = []
  }

  nonisolated(nonsending) func plan(_ each: (PlannedAction) throws -> Void) async throws {
    var progress = Progress()
    var (survey, extras) = try await surveyor.survey { differences in
      let copies = await content.settle(differences, width: width).filter(isPublished)
      for (copy, prospect) in zip(copies, try await prospects(of: copies)) {
        try plan(copy, prospect, in: &progress, each)
      }
    }
    if case .afterDownload(let forecast) = context {
      survey.localFiles += forecast.newFiles
      extras = try await extras.filtered { entry in
        if !forecast.isOfPrefix { return true }
        if forecast.known?.entry(of: entry.path)?.isOf(entry.object) == true { return true }
        // The download will create a file or directory for this object, so the directories above it will not
        // be empty.
        for directory in entry.path.ancestors { progress.directories[DirectoryMarker(of: directory)] = nil }
        return false
      }
    }
    for (_, upload) in progress.directories.sorted(by: { $0.key.path < $1.key.path }) { try each(upload) }
    try planPointers(in: &progress, each)
    let areAllThere = try planMarkers(of: progress, each)
    try tellTemporaries(each)
    for failure in survey.localFailures {
      try each(.init(name: name, kind: .refuse, path: failure.path, bytes: nil, reason: failure.reason))
    }
    let unpublished: WithheldReason? = areAllThere ? nil : .uploadsFailed
    var retired = Set(retention?.plan.removed.flatMap(\.objects) ?? [])
    if delete {
      try await planDeletes(extras, survey, unpublished: unpublished) { action in
        retired.remove(RelativePath(action.path))
        try each(action)
      }
    }
    try planRetention(retired, of: survey.remoteObjects, unpublished, each)
  }

  // MARK: Uploads

  /// What a run would do with a file that differs.
  private enum Prospect: Sendable {
    case published
    /// The path cannot have a key.
    case refused(String)
    case failed(String)
    /// The file was deleted in the meantime.
    case gone
  }

  /// Whether the upload publishes the file. A sync's download takes the objects that are newer than the local
  /// files.
  private func isPublished(_ copy: ContentComparison.Copy) -> Bool {
    guard case .afterDownload(let forecast) = context, case .file(let file, _, let object?) = copy else {
      return true
    }
    return Comparison(serverSkew: forecast.serverSkew).isLater(file.stamp, than: object)
  }

  /// Opens each file as a run would, to find files that cannot be read.
  private func prospects(of copies: [ContentComparison.Copy]) async throws -> [Prospect] {
    try await content.readers.run { [surveyor] in
      copies.map { copy in
        let path = copy.path
        if let refusal = surveyor.mapping.refusal(of: path) { return .refused(refusal) }
        if case .marker = copy { return .published }
        do {
          if case .file(let file, _, _) = copy, file.isLink { return .published }
          guard let file = try surveyor.root.open(path) else { return .gone }
          _ = try UploadPlan(
            byteCount: file.stamp.size, threshold: UploadPlan.Limit.largestSingle,
            partBytes: UploadPlan.Limit.smallestPart)
          return .published
        } catch {
          return .failed(cause(of: error))
        }
      }
    }
  }

  private func plan(
    _ copy: ContentComparison.Copy, _ prospect: Prospect, in progress: inout Progress,
    _ each: (PlannedAction) throws -> Void
  ) throws {
    let path = copy.path
    switch prospect {
    case .gone: return
    case .refused(let reason): return try each(action(.refuse, path, reason: reason))
    case .failed(let reason):
      progress.failed.insert(path)
      return try each(action(.refuse, path, reason: reason))
    case .published: break
    }
    let bytes: Int64 = if case .file(let file, _, _) = copy { file.stamp.size } else { 0 }
    var upload = action(.upload, path, bytes: bytes, reason: copy.reason.rawValue)
    if case .file(let file, _, _) = copy {
      upload.nameClass = commitOrder.nameClass(of: path)
      if let target = file.target, !commitOrder.isMarker(path) {
        upload.nameClass = .pointer
        progress.pointers.append((upload, target))
        return
      }
    }
    switch (copy, context) {
    case _ where commitOrder.isMarker(path): progress.markers[path] = upload
    case (.marker(let marker), .afterDownload): progress.directories[marker] = upload
    default: try each(upload)
    }
  }

  /// Plans the pointers, after all data and before the commit markers.
  private func planPointers(
    in progress: inout Progress, _ each: (PlannedAction) throws -> Void
  ) throws {
    let failed = progress.failed.filter { !commitOrder.isMarker($0) }
    for (upload, target) in progress.pointers {
      let path = RelativePath(upload.path)
      let place = path.commonDirectory(with: target)
      guard let obstacle = failed.first(where: { $0.isWithin(place) }) else {
        try each(upload)
        continue
      }
      progress.failed.insert(path)
      try each(action(.refuse, path, reason: "it waits for \(obstacle), which cannot be published"))
    }
  }

  /// Plans the commit markers, each after its data.
  ///
  /// - Returns: whether everything planned so far would be published.
  private func planMarkers(of progress: Progress, _ each: (PlannedAction) throws -> Void) throws -> Bool {
    var unpublished = progress.failed
    for group in commitOrder.groups(of: progress.markers.keys) {
      var held: [RelativePath] = []
      for path in group {
        guard let upload = progress.markers[path] else { continue }
        if let obstacle = commitOrder.obstacle(to: path, among: unpublished) {
          held.append(path)
          try each(action(.refuse, path, reason: "it waits for \(obstacle), which cannot be published"))
        } else {
          try each(upload)
        }
      }
      unpublished.formUnion(held)
    }
    return unpublished.isEmpty
  }

  /// Reports paths that are ignored because of their temporary name. A directory represents everything below
  /// it.
  private func tellTemporaries(_ each: (PlannedAction) throws -> Void) throws {
    guard case .tree = surveyor.mapping else { return }
    let filter = surveyor.filter
    for item in TreeWalk(root: surveyor.root, filter: filter.keepingTemporaries) {
      let path: RelativePath
      let kind: EntryKind
      switch item {
      case .file(let file, _): (path, kind) = (file, .file)
      case .directory(let directory): (path, kind) = (directory, .directory)
      case .emptyDirectory, .pointer, .link, .skipped, .unreadable, .notUTF8: continue
      }
      guard filter.isTemporary(path, kind), !filter.isTemporary(path.parent, .directory) else { continue }
      try each(
        action(.leave, path, reason: "its name is a temporary one; it is published when it is renamed"))
    }
  }

  // MARK: Deletes

  nonisolated(nonsending) private func planDeletes(
    _ extras: Extras, _ survey: Survey, unpublished: WithheldReason?, _ each: (PlannedAction) throws -> Void
  ) async throws {
    let isScope = if case .alone = context { false } else { true }
    let blanket = survey.blanketReason(
      bound: bound, wasEmptyAtEntry: isScope && survey.localFiles == 0 && survey.remoteObjects > 0,
      unpublished: unpublished)
    let deletes = InferredDeletes(root: surveyor.root, survey: survey, bound: bound, blanket: blanket)
    try await deletes.judge(extras) { verdicts in
      for (entry, verdict) in verdicts {
        switch verdict {
        case .keep: continue
        case .delete:
          try each(action(.delete, entry.path, bytes: entry.object.byteCount, reason: "extra"))
        case .withheld(let reason):
          try each(
            action(.withhold, entry.path, bytes: entry.object.byteCount, reason: reason.description))
        }
      }
    }
  }

  /// - Parameter objects: the objects that are not deleted for another reason.
  private func planRetention(
    _ objects: Set<RelativePath>, of objectCount: Int, _ unpublished: WithheldReason?,
    _ each: (PlannedAction) throws -> Void
  ) throws {
    guard let (plan, inventory) = retention else { return }
    let withheld = unpublished ?? plan.reasonToWithhold(of: objectCount, bound: bound) { _ in false }
    for path in plan.batches(order: commitOrder).joined() where objects.contains(path) {
      let bytes = inventory.objects[path]?.byteCount
      try each(
        withheld.map { action(.withhold, path, bytes: bytes, reason: $0.description) }
          ?? action(.delete, path, bytes: bytes, reason: "retention"))
    }
  }

  private func action(
    _ kind: PlannedAction.Kind, _ path: RelativePath, bytes: Int64? = nil, reason: String
  ) -> PlannedAction {
    PlannedAction(name: name, kind: kind, path: path.string, bytes: bytes, reason: reason)
  }
}
