/// Files that are one checkpoint: a directory with everything below it, or some files of one directory.
package struct CheckpointUnit: Sendable, Hashable {
  package enum Shape: Sendable, Hashable {
    case directory
    /// Files whose names begin alike, such as `ckpt-5.index` and `ckpt-5.data-00000-of-00001`. The path's
    /// last name is what their names share.
    case files
  }

  /// Below the remote. Empty if everything under the remote is one checkpoint.
  package var path: RelativePath
  package var shape: Shape
  package var sum: UnitScan.Sum
  /// The paths of its receipts below the remote: one of the whole unit, or one of each member of a group.
  package var receipts: [RelativePath] = []
  /// The in-progress mark that speaks for it.
  package var mark: RelativePath?
  /// Trackers that name this unit.
  package var trackers: [Tracker] = []
  /// A tracker that names an older checkpoint of the same directory. The writer has not yet recorded this
  /// unit as its newest.
  package var aheadOf: RelativePath?
  /// Files with the same content under names such as `last` or `best`.
  package var copies: [RelativePath] = []
  /// The unit has only files that are appended to, so none of them can be incomplete.
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
        return (UnitNames.looseUnit(of: other) ?? other) == path
      }
      return other.isWithin(path.parent.appending(path.name + UnitNames.arraysSuffix))
    }
  }

  /// The prefix with which the unit's objects are listed, below the remote. A listing with this prefix may
  /// hold other objects too.
  package var listingPrefix: String {
    switch shape {
    case .directory: path.isRoot ? "" : path.string + "/"
    case .files:
      // The part that the names of one checkpoint's files share, before their endings.
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
/// "Newest" follows the trainer's order: within one series, the unit with the highest step; between two
/// series, the unit that was published last.
package struct UnitCatalog: Sendable {
  package private(set) var units: [CheckpointUnit]

  /// - Parameter trackers: the trackers of the scan that could be read.
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
    /// When the unit, or a unit of its series with a lower step, was published. So a series keeps its order
    /// of steps even if its units were uploaded out of order, as after an outage or by a copy of the bucket.
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

/// Builds the list of units from a scan.
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

  /// Whether a path is a directory unit that was already found, or lies below one.
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

  /// Adds directories with a marker that only a unit has. Step directories inside such a directory are parts
  /// of that unit.
  private mutating func addSingleDirectories() {
    for (path, directory) in scan.directories.sorted(by: { $0.key < $1.key }) where directory.isOneUnit {
      // The sort visits a directory before the directories below it.
      if !isTaken(path) { add(CheckpointUnit(path, .directory, everything(below: path))) }
    }
  }

  private mutating func addSteps() {
    for (path, sum) in scan.steps where !isTaken(path) { add(CheckpointUnit(path, .directory, sum)) }
  }

  /// Adds directories and files that a tracker names although their names hold no step.
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

  /// Adds files that are checkpoints by their names. Directories that are units themselves are left out.
  private mutating func addLoose() {
    let around = hasDirectoryUnit
    for (directory, content) in scan.directories where !isTaken(directory) {
      if content.hasMarker && !around.contains(directory) { continue }
      // A single file beside configuration files or other data is a part of that data, not a checkpoint.
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

  /// Merges copies into their originals. `last.ckpt` with the content of `epoch=3.ckpt` is another name of
  /// that checkpoint, not a second checkpoint.
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
    // While a checkpoint is being deleted, its receipt may exist for a moment after its last object.
    if sum.objects > 0 { add(CheckpointUnit(path, .directory, sum)) }
  }

  /// Adds the uppermost directories that hold data, are no unit, and hold no unit.
  private mutating func addRemaining() {
    let around = Set(found.keys.flatMap(\.ancestors))
    for (path, directory) in scan.directories.sorted(by: { $0.key < $1.key }) {
      guard !isTaken(path), !around.contains(path) else { continue }
      if directory.others > 0 || !directory.loose.isEmpty || directory.hasMarker {
        add(CheckpointUnit(path, .directory, everything(below: path)))
      }
    }
    // A directory that holds only logs becomes a unit only if the remote holds no other data.
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
    for (unit, listed) in scan.receipts { found[unit]?.receipts = listed.objects(of: unit).keys.sorted() }
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

  /// Nil if the listing does not identify the content.
  init?(_ object: RemoteObject) {
    guard object.byteCount > 0, !object.etag.isEmpty else { return nil }
    byteCount = object.byteCount
    etag = object.etag
  }
}
