import MirrorModel
import S3Client

/// Plans the upload of a directory that does not exist yet. A run would create it, so nothing is published
/// and every object is superfluous.
struct AbsentTreePlanner: Sendable {
  let name: String
  let prefix: String
  let filter: PathFilter
  let store: any ObjectStore
  let bound: DeleteBound

  nonisolated(nonsending) func plan(_ each: (PlannedAction) throws -> Void) async throws {
    let order = ListingOrder()
    do {
      try await plan(order, each)
    } catch is RemoteLister.OutOfOrder {
      try await plan(order, each)
    }
  }

  nonisolated(nonsending) private func plan(_ order: ListingOrder, _ each: (PlannedAction) throws -> Void)
    async throws
  {
    let lister = RemoteLister(
      listing: Listing(store: store, prefix: prefix), mapping: .tree(prefix: prefix), filter: filter,
      order: order, wallClock: wallClockNanoseconds)
    // No action is reported before the end of the listing, because the listing may turn out to be unordered.
    let (survey, objects) = try await TreeMerge.run(lister, EmptyWalk()) { merge in
      var objects = Spool<RemoteEntry>()
      while case .remote(let entry)? = try await merge.next() { try objects.append(entry) }
      return (merge.survey, objects)
    }
    let blanket = survey.blanketReason(bound: bound, wasEmptyAtEntry: true, unpublished: nil)
    try await objects.forEachBatch(of: 1_000) { entries in
      for entry in entries {
        let reason = survey.reasonToKeep(entry.path) ?? blanket
        try each(
          PlannedAction(
            name: name, kind: reason == nil ? .delete : .withhold, path: entry.path.string,
            bytes: entry.object.byteCount, reason: reason?.description ?? "extra"))
      }
    }
  }
}
