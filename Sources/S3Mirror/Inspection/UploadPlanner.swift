import MirrorModel

/// Tells what an upload would publish and delete.
struct UploadPlanner: Sendable {
  enum Kind: Sendable {
    case alone
    /// The upload of a sync: what its download would fetch first is neither published nor superfluous.
    case afterDownload
  }

  let name: String
  let surveyor: Surveyor
  let content: ContentComparison
  let commitOrder: CommitOrder
  let width: Int
  let delete: Bool
  let bound: DeleteBound
  let kind: Kind

  nonisolated(nonsending) func plan(
    _ each: (PlannedAction) throws -> Void
  ) async throws {
    var markers: [RelativePath: PlannedAction] = [:]
    let (survey, extras) = try await surveyor.survey { differences in
      for copy in await content.settle(differences, width: width) where isPublished(copy) {
        let path = copy.file.path
        if let refusal = surveyor.mapping.refusal(of: path) {
          try each(action(.refuse, path, reason: refusal))
          continue
        }
        let upload = action(.upload, path, bytes: copy.file.stamp.size, reason: copy.reason.rawValue)
        if commitOrder.isMarker(path) { markers[path] = upload } else { try each(upload) }
      }
    }
    for group in commitOrder.groups(of: markers.keys) {
      for path in group { if let upload = markers[path] { try each(upload) } }
    }
    for failure in survey.localFailures {
      try each(.init(name: name, kind: .refuse, path: failure.path, bytes: nil, reason: failure.reason))
    }
    guard delete, kind == .alone else { return }
    let blanket = survey.blanketReason(bound: bound, wasEmptyAtEntry: false, unpublished: nil)
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

  /// A sync's download takes the objects that are later than the files here.
  private func isPublished(_ copy: ContentComparison.Copy) -> Bool {
    guard kind == .afterDownload, let object = copy.object else { return true }
    return Comparison().isLater(copy.file.stamp, than: object)
  }

  private func action(
    _ kind: PlannedAction.Kind, _ path: RelativePath, bytes: Int64? = nil, reason: String
  ) -> PlannedAction {
    PlannedAction(name: name, kind: kind, path: path.string, bytes: bytes, reason: reason)
  }
}
