/// Files that are one checkpoint: a directory with everything below it, or some files of one directory.
package struct CheckpointUnit: Sendable, Hashable {
  package enum Shape: Sendable, Hashable {
    case directory
    /// Files whose names have the path's last name in common, such as `ckpt-5.index` and `ckpt-5.data-00000-of-00001`.
    case files
  }

  /// Below the remote; empty where everything under the remote is one checkpoint.
  package var path: RelativePath
  package var shape: Shape
  package var sum: UnitScan.Sum
  package var hasReceipt = false
  /// The in-progress mark that speaks for it.
  package var mark: RelativePath?
  /// Trackers that name it.
  package var trackers: [Tracker] = []
  /// A tracker that names an older checkpoint of its directory: the writer has not come to this one.
  package var aheadOf: RelativePath?
  /// Files with its content under a name that stands for the latest or the best.
  package var copies: [RelativePath] = []
  /// Only files that are appended to: each of them is good as it is.
  package var isAppendedOnly = false

  package init(_ path: RelativePath, _ shape: Shape, _ sum: UnitScan.Sum = .init()) {
    self.path = path
    self.shape = shape
    self.sum = sum
  }

  /// Whether a path below the remote belongs to the unit.
  package func contains(_ other: RelativePath) -> Bool {
    switch shape {
    case .directory: return other.isWithin(path) && other != path
    case .files:
      if other.parent == path.parent {
        return UnitNames.looseFile(other.name).map { path.parent.appending($0.stem) == path }
          ?? (other == path)
      }
      return other.isWithin(path.parent.appending(path.name + UnitNames.arraysSuffix))
    }
  }

  /// What a listing of the unit's objects begins with, below the remote. It may bring others, too.
  package var listingPrefix: String {
    switch shape {
    case .directory: path.isRoot ? "" : path.string + "/"
    case .files:
      // Of files whose names differ before their endings the beginning that they share.
      path.string.hasSuffix(Self.ending(of: path.name))
        ? String(path.string.dropLast(Self.ending(of: path.name).count)) : path.string
    }
  }

  private static func ending(of name: Substring) -> String {
    UnitNames.wholeFiles.first { name.hasSuffix($0) } ?? ""
  }
}

/// The checkpoints under a remote, the newest first.
///
/// Newest is what the trainer would take for it: of one series the highest step, and of two series the one that was published last.
package struct UnitCatalog: Sendable {
  package private(set) var units: [CheckpointUnit]

  /// - Parameter trackers: those of the scan that could be read.
  package init(_ scan: UnitScan, trackers: [Tracker]) {
    var builder = UnitCatalogBuilder(scan: scan, trackers: trackers)
    units = Self.newestFirst(builder.units())
    for tracker in trackers {
      guard let named = units.firstIndex(where: { $0.trackers.contains(tracker) }) else { continue }
      for index in 0..<named where units[index].path.parent == units[named].path.parent {
        units[index].aheadOf = units[index].aheadOf ?? tracker.path
      }
    }
  }

  /// A unit by its path, or by the end of its path if that names one only.
  package func unit(named name: RelativePath) -> CheckpointUnit? {
    if let unit = units.first(where: { $0.path == name }) { return unit }
    let ends = units.filter {
      $0.path.string.utf8.count > name.string.utf8.count && $0.path.string.hasSuffix("/" + name.string)
    }
    return ends.count == 1 ? ends[0] : nil
  }

  private struct Rank {
    var unit: CheckpointUnit
    var step: Int64
    /// When the unit, or one of its series with a lower step, was published: a series that was sent out of order, after an outage or
    /// by a copy of the bucket, keeps its order.
    var published: Int64
  }

  private static func newestFirst(_ units: [CheckpointUnit]) -> [CheckpointUnit] {
    var ranks: [Rank] = []
    let series = Dictionary(grouping: units) { $0.path.parent.appending(StepName($0.path.name).series) }
    for members in series.values {
      let steps = members.map { StepName($0.path.name).number }
      guard members.count > 1, steps.allSatisfy({ $0 != nil }) else {
        ranks += zip(members, steps).map { Rank(unit: $0, step: $1 ?? 0, published: $0.sum.published) }
        continue
      }
      var published = Int64.min
      for (unit, step) in zip(members, steps.map { $0 ?? 0 }).sorted(by: { $0.1 < $1.1 }) {
        published = max(published, unit.sum.published)
        ranks.append(Rank(unit: unit, step: step, published: published))
      }
    }
    return ranks.sorted { one, other in
      if one.published != other.published { return one.published > other.published }
      if one.step != other.step { return one.step > other.step }
      return other.unit.path < one.unit.path
    }.map(\.unit)
  }
}

/// Finds the units in what a scan holds.
private struct UnitCatalogBuilder {
  let scan: UnitScan
  let trackers: [Tracker]
  private var found: [RelativePath: CheckpointUnit] = [:]

  init(scan: UnitScan, trackers: [Tracker]) {
    self.scan = scan
    self.trackers = trackers
  }

  mutating func units() -> [CheckpointUnit] {
    addSingleDirectories()
    addSteps()
    addNamed()
    addLoose()
    for unit in scan.receipts.keys where !unit.isRoot { addReceipted(unit) }
    addRemaining()
    if found.isEmpty, scan.receipts[.root] != nil {
      add(CheckpointUnit(.root, .directory, everything(below: .root)))
    }
    noteTestimony()
    return Array(found.values)
  }

  /// Whether a path lies in a unit that was found.
  private func isTaken(_ path: RelativePath) -> Bool {
    ([path] + path.ancestors).contains { found[$0]?.shape == .directory }
  }

  private mutating func add(_ unit: CheckpointUnit) { found[unit.path] = unit }

  private func everything(below directory: RelativePath) -> UnitScan.Sum {
    var sum = UnitScan.Sum()
    for (path, other) in scan.directories where path.isWithin(directory) { sum.add(other.sum) }
    for (path, other) in scan.steps where path.isWithin(directory) { sum.add(other) }
    return sum
  }

  /// Directories with a marker that only a unit has. Directories with the names of steps in one of them are parts of it.
  private mutating func addSingleDirectories() {
    for (path, directory) in scan.directories.sorted(by: { $0.key < $1.key }) where directory.isOneUnit {
      // A parent sorts before what is in it.
      if !isTaken(path) { add(CheckpointUnit(path, .directory, everything(below: path))) }
    }
  }

  private mutating func addSteps() {
    for (path, sum) in scan.steps where !isTaken(path) { add(CheckpointUnit(path, .directory, sum)) }
  }

  /// Directories and files that a tracker names and that have no name of a step.
  private mutating func addNamed() {
    let places = scan.directories.keys.filter { !isTaken($0) } + scan.directories.values.flatMap(\.loose.keys)
    for tracker in trackers {
      for path in tracker.named(among: places) where !isTaken(path) && found[path] == nil {
        if let loose = scan.directories[path.parent]?.loose[path] {
          add(CheckpointUnit(path, .files, loose.sum))
        } else {
          add(CheckpointUnit(path, .directory, everything(below: path)))
        }
      }
    }
  }

  private var hasDirectoryUnit: Set<RelativePath> {
    Set(found.values.lazy.filter { $0.shape == .directory }.flatMap(\.path.ancestors))
  }

  /// Files that are checkpoints by their names, in directories that are none.
  private mutating func addLoose() {
    let around = hasDirectoryUnit
    for (directory, content) in scan.directories where !isTaken(directory) {
      if content.hasMarker && !around.contains(directory) { continue }
      // Whatever is one file beside configurations and other data is a part of them.
      let isAlone = content.loose.count == 1 && content.others == 0
      for (path, loose) in content.loose where found[path] == nil {
        let isStep = StepName(path.name).number != nil && loose.isNamedSo
        if around.contains(directory) ? isStep : loose.isNamedSo || isAlone {
          add(CheckpointUnit(path, .files, loose.sum))
        }
      }
    }
    for directory in scan.directories.keys { mergeCopies(in: directory) }
  }

  /// `last.ckpt` with the content of `epoch=3.ckpt` is a name for it and no checkpoint of its own.
  private mutating func mergeCopies(in directory: RelativePath) {
    guard let loose = scan.directories[directory]?.loose else { return }
    var originals: [RemoteContent: RelativePath] = [:]
    let paths = loose.keys.filter { found[$0]?.shape == .files }.sorted()
    func isStanding(_ path: RelativePath) -> Bool { UnitNames.standing.contains { path.name.hasPrefix($0) } }
    for path in paths where !isStanding(path) {
      if let content = loose[path]?.single.flatMap(RemoteContent.init) { originals[content] = path }
    }
    for path in paths where isStanding(path) {
      guard let content = loose[path]?.single.flatMap(RemoteContent.init), let original = originals[content]
      else {
        continue
      }
      found[original]?.copies.append(path)
      found[path] = nil
    }
  }

  private mutating func addReceipted(_ path: RelativePath) {
    guard !isTaken(path), found[path] == nil, !hasDirectoryUnit.contains(path) else { return }
    if let loose = scan.directories[path.parent]?.loose[path] {
      return add(CheckpointUnit(path, .files, loose.sum))
    }
    let sum = everything(below: path)
    // A receipt outlives what it names by a moment, when that is deleted.
    if sum.objects > 0 { add(CheckpointUnit(path, .directory, sum)) }
  }

  /// The uppermost directories that hold data and neither are nor hold a unit.
  private mutating func addRemaining() {
    let around = Set(found.keys.flatMap(\.ancestors))
    for (path, directory) in scan.directories.sorted(by: { $0.key < $1.key }) {
      guard !isTaken(path), !around.contains(path) else { continue }
      if directory.others > 0 || !directory.loose.isEmpty || directory.hasMarker {
        add(CheckpointUnit(path, .directory, everything(below: path)))
      }
    }
    // Logs are data only where there is nothing else.
    guard found.values.allSatisfy({ $0.shape == .directory && holdsOnlyLogs($0.path) }) else { return }
    for (path, directory) in scan.directories.sorted(by: { $0.key < $1.key }) where directory.appended > 0 {
      guard !isTaken(path) else { continue }
      var unit = CheckpointUnit(path, .directory, everything(below: path))
      unit.isAppendedOnly = true
      add(unit)
    }
  }

  private func holdsOnlyLogs(_ directory: RelativePath) -> Bool {
    !scan.steps.keys.contains { $0.isWithin(directory) }
      && scan.directories.allSatisfy { path, content in
        !path.isWithin(directory) || content.others == 0 && content.loose.isEmpty && !content.hasMarker
      }
  }

  private mutating func noteTestimony() {
    for unit in scan.receipts.keys { found[unit]?.hasReceipt = true }
    for tracker in trackers {
      for path in tracker.named(among: found.keys) { found[path]?.trackers.append(tracker) }
    }
    if scan.marks.isEmpty { return }
    for path in found.keys where !path.isRoot {
      found[path]?.mark = scan.marks.first { scan.names.marks.speaks($0, for: path) }
    }
  }
}

/// What two objects with equal content have in common.
private struct RemoteContent: Hashable {
  var byteCount: Int64
  var etag: String

  /// Nil where nothing says what the content is.
  init?(_ object: RemoteObject) {
    guard object.byteCount > 0, !object.etag.isEmpty else { return nil }
    byteCount = object.byteCount
    etag = object.etag
  }
}
