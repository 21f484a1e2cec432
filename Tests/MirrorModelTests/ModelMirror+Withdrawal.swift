import MirrorModel

// Markers that are removed before data under them are written over.
extension ModelMirror {
  /// As `MarkerWithdrawal`, of markers that name no checkpoint.
  func withdrawals(
    from batch: DirtySet.Batch, flying: some Sequence<RelativePath>
  ) -> Withdrawals {
    let overwritten = batch.overwritten(order) { path, _ in ledger[path] != nil }
    let known = overwritten.flatMap { $0.ancestors.map { $0.appending("latest") } }
      .filter { bucket[$0] != nil && ledger[$0] != nil }
    return Withdrawals(
      of: overwritten,
      under: Set((known + flying.filter(order.isMarker)).map { Withdrawals.Marker($0, .directory) }))
  }

  mutating func withdraw(
    _ markers: [RelativePath], before path: RelativePath, _ file: ModelTree.File,
    copyOf source: RelativePath? = nil, pointingTo target: RelativePath? = nil
  ) {
    for marker in markers where bucket[marker] != nil && ledger[marker] != nil {
      requests.append("DeleteObject \(marker)")
      writers.forget(marker)
      bucket[marker] = nil
      ledger[marker] = nil
      withdrawn.insert(marker)
    }
    // A link to a marker is a marker too.
    if tree.pointee(of: path).map(order.isMarker) != true, target.map(order.isMarker) != true {
      checkNoMarker(over: path, file, copyOf: source)
    }
  }

  /// As `UploadLane.takeWithdrawn`.
  mutating func takeWithdrawn() -> [RelativePath: DirtyEntry] {
    withdrawn = withdrawn.filter { bucket[$0] == nil }
    let missing = withdrawn.filter {
      tree.file(at: $0) != nil && schedule.dirty.entries[$0] == nil && schedule.dirty.inFlight[$0] == nil
    }
    return Dictionary(uniqueKeysWithValues: missing.map { ($0, DirtyEntry(.recheck, at: now)) })
  }

  /// No marker that is here as it is on S3 stands over data that are written over.
  private mutating func checkNoMarker(
    over path: RelativePath, _ file: ModelTree.File, copyOf source: RelativePath?
  ) {
    guard !order.isMarker(path), !order.marks.contains(path), !isForgetful,
      ledger[path] != nil, let old = bucket[path], old.inode != file.inode || old.version != file.version
    else { return }
    for place in path.ancestors {
      let marker = place.appending("latest")
      guard bucket[marker] != nil, ledger[marker] != nil, tree.file(at: marker) != nil, marker != path,
        marker != source,
        !writers.foreign.contains(marker), !writers.foreign.contains(path)
      else { continue }
      faults.append("\(path) is written over under \(marker)")
    }
  }
}
