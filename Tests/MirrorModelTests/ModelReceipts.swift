import MirrorModel

/// The receipts of a model: what is due, and what the receipts on S3 name.
struct ModelReceipts {
  /// The version of each object that a receipt names.
  typealias Names = [RelativePath: ModelTree.ID]

  var schedule = ReceiptSchedule()
  var onS3: [RelativePath: Names] = [:]
  let names: UnitNames

  init() throws {
    names = try UnitNames(markers: ["latest"], marks: ["*-unfinished"], temporaries: [], appended: [])
  }
}

// As `UnitReceipts` publishes receipts and removes them.
extension ModelMirror {
  /// - Parameter isFailing: whether the requests fail. The receipts stay due.
  mutating func publishReceipts(
    below directory: RelativePath = .root, _ stage: ReceiptSchedule.Stage = .running, isFailing: Bool = false
  ) {
    for unit in receipts?.schedule.take(below: directory) ?? [] where tree.node(at: unit) != nil {
      guard !isFailing, let names = draft(unit, stage) else {
        receipts?.schedule.putBack(unit)
        continue
      }
      for (path, version) in names where bucket[path]?.version != version && !writers.foreign.contains(path) {
        faults.append("the receipt of \(unit) names \(path), which is not on S3")
      }
      receipts?.onS3[unit] = names
    }
  }

  /// What the receipt of a checkpoint would name; nil if the checkpoint is not complete, or not on S3 as it is here.
  private func draft(_ unit: RelativePath, _ stage: ReceiptSchedule.Stage) -> ModelReceipts.Names? {
    guard let receipts else { return nil }
    let files = tree.files(below: unit)
    let isMarked = tree.files().keys.contains {
      $0.parent == unit.parent && receipts.names.marks.contains($0)
        && receipts.names.marks.speaks($0, for: unit)
    }
    let arePublished = files.allSatisfy { path, file in
      ledger[path].map {
        !$0.isSnapshot && $0.file.inode == file.inode && $0.file.version == file.version
      } ?? false
    }
    if files.isEmpty || isMarked || !arePublished { return nil }
    let objects = files.mapValues { RemoteObject(byteCount: 1, etag: "\($0.version)", lastModified: 0) }
    let judgement = UnitJudgement(CheckpointUnit(unit, .directory), objects, names: receipts.names)
    let state = judgement.state(receipts: .init(), contents: [:])
    return receipts.schedule.admits(state, of: unit, stage) ? files.mapValues(\.version) : nil
  }

  /// Removes the receipts of checkpoints that are gone here and on S3.
  mutating func removeReceipts() {
    for unit in receipts?.onS3.keys.sorted() ?? [] where tree.node(at: unit) == nil {
      if !bucket.keys.contains(where: { $0.isWithin(unit) }) { receipts?.onS3[unit] = nil }
    }
  }

  /// What the end of a good run publishes and removes, and what is wrong then.
  mutating func endReceipts() -> [String] {
    publishReceipts(.ended)
    removeReceipts()
    guard let receipts, !isForgetful else { return [] }
    let units = Set(tree.files().keys.compactMap(ReceiptSchedule.unit))
    let wrong = units.filter { unit in
      draft(unit, .ended).map { $0 != receipts.onS3[unit] } ?? false
    }
    let orphans = receipts.onS3.keys.filter { unit in
      tree.node(at: unit) == nil && !bucket.keys.contains { $0.isWithin(unit) }
    }
    return wrong.sorted().map { "the receipt of \($0) is not what S3 has" }
      + orphans.sorted().map { "the receipt of \($0) is left behind" }
  }

  /// What is wrong when a file of each checkpoint is removed after the end.
  mutating func faultsAfterRemoval() -> [String] {
    guard receipts != nil, !isForgetful else { return [] }
    let units = Dictionary(grouping: tree.files().keys) { ReceiptSchedule.unit(of: $0) }
    for (unit, files) in units where unit != nil {
      if let file = files.min() { carryOut(.remove(file)) }
    }
    drain()
    return endReceipts()
  }
}

extension ModelMirror.Action {
  /// The same in a tree of which the uppermost directories are checkpoints: `d` is `1`, and `e` is `2`.
  var ofCheckpoints: ModelMirror.Action {
    func moved(_ path: RelativePath) -> RelativePath {
      for (name, step) in [("d", "1"), ("e", "2")] {
        if path.string == name || path.string.hasPrefix(name + "/") {
          return RelativePath(step + path.string.dropFirst(name.count))
        }
      }
      return path
    }
    return switch self {
    case .write(let path, let closing): .write(moved(path), closing: closing)
    case .close(let path): .close(moved(path))
    case .makeDirectory(let path): .makeDirectory(moved(path))
    case .remove(let path): .remove(moved(path))
    case .rename(let from, let to): .rename(moved(from), moved(to))
    case .moveAway(let path): .moveAway(moved(path))
    case .exchange(let one, let other): .exchange(moved(one), moved(other))
    case .moveIn(let path, let files): .moveIn(moved(path), files: files)
    case .touch(let path): .touch(moved(path))
    case .writeOpen(let path): .writeOpen(moved(path))
    case .link(let from, let to): .link(moved(from), moved(to))
    case .symlink(let path, let target): .symlink(moved(path), to: target)
    case .point(let path, let target): .point(moved(path), at: moved(target))
    case .overwrite(let path, let content): .overwrite(moved(path), content)
    case .writeOutside, .removeOutside, .deliver, .overflow, .begin, .step, .detach, .land: self
    }
  }
}
