/// The units of a batch: directories whose files appear on S3 together (UNIT-1).
///
/// A unit is the uppermost directory below the root that directly contains data of the batch, with everything
/// below it. The data directly in the root are a unit too. The bytes of a unit's large files are sent first,
/// as multipart uploads that wait for their completion. When all these bytes are on the server, the uploads
/// are completed and the small files are published in one burst. Otherwise a reader that takes the newest
/// directory for complete would find a part of it for as long as its bytes are being sent.
struct UnitStages: Sendable {
  private struct Unit: Sendable {
    /// Large files whose bytes are not on the server yet.
    var outstanding: Set<RelativePath>
    /// Files that begin when all bytes of the large files are on the server.
    var rest: [RelativePath]
  }

  /// The units that are not open yet. A unit opens when its first object may appear.
  private var units: [RelativePath: Unit] = [:]
  private var unitOf: [RelativePath: RelativePath] = [:]
  private(set) var large: Set<RelativePath> = []

  /// The limit of large files in all staged units of a pass. Each keeps a file open while it waits, and a
  /// process may have 1,024 files open by default (getrlimit(2), RLIMIT_NOFILE). The files of further units
  /// appear one by one.
  static let mostLarge = 128

  init() {}

  /// - Parameter members: the data files of a batch.
  /// - Returns: the units with more than one file.
  static func units(of members: [RelativePath]) -> [RelativePath: [RelativePath]] {
    let holders = Set(members.map(\.parent))
    var units: [RelativePath: [RelativePath]] = [:]
    for path in members { units[place(of: path, holders), default: []].append(path) }
    return units.filter { $0.value.count > 1 }
  }

  /// The uppermost directory above a path, except the root, that directly holds data or is a unit for another
  /// reason. The root if there is none.
  ///
  /// - Parameter holders: the directories that directly hold data.
  static func place(
    of path: RelativePath, _ holders: Set<RelativePath>, isUnit: (RelativePath) -> Bool = { _ in false }
  ) -> RelativePath {
    path.ancestors.reversed().first { !$0.isRoot && (holders.contains($0) || isUnit($0)) } ?? .root
  }

  /// - Parameter large: the files whose bytes are sent before any object of their unit appears.
  init(_ units: [RelativePath: [RelativePath]], large: Set<RelativePath>) {
    for (directory, members) in units.sorted(by: { $0.key < $1.key }) {
      let (first, rest) = members.partitioned(by: large.contains)
      guard !first.isEmpty, self.large.count + first.count <= Self.mostLarge else { continue }
      self.units[directory] = Unit(outstanding: Set(first), rest: rest)
      self.large.formUnion(first)
      for path in members { unitOf[path] = directory }
    }
  }

  /// Whether a path's object may appear.
  func isOpen(_ path: RelativePath) -> Bool { unitOf[path].map { units[$0] == nil } ?? true }

  /// Whether a path may begin only after its unit has opened.
  func isHeld(_ path: RelativePath) -> Bool { !isOpen(path) && !large.contains(path) }

  /// The unit for which a path waits; nil if its object may appear.
  func unit(of path: RelativePath) -> RelativePath? { isOpen(path) ? nil : unitOf[path] }

  /// The files that wait in units that are not open.
  var held: [RelativePath] { units.values.flatMap(\.rest) }

  /// Notes that the bytes of a large file are on the server, or will not be sent in this pass.
  ///
  /// - Returns: the files that begin now, if the unit opens; nil if it does not open.
  mutating func pass(_ path: RelativePath) -> [RelativePath]? {
    guard let directory = unitOf[path], units[directory]?.outstanding.remove(path) != nil,
      units[directory]?.outstanding.isEmpty == true
    else { return nil }
    return units.removeValue(forKey: directory)?.rest
  }
}

extension PassPlan {
  /// Whether a path is data that appears together with its unit.
  func isUnitData(_ path: RelativePath) -> Bool {
    guard let entry = batch.entries[path], !entry.isGone, entry.purpose != .undecodable,
      entry.pointsTo == nil
    else { return false }
    return order.isData(path) && !order.appended.contains(path) && !order.isSnapshot(path, entry)
  }

  var unitMembers: [RelativePath: [RelativePath]] {
    UnitStages.units(
      of: batch.entries.keys.filter { isUnitData($0) && result.unpublished.entries[$0] == nil })
  }

  /// Files whose sizes decide whether their units are staged (`note(large:)`).
  package var unmeasured: [RelativePath] {
    unitMembers.values.joined().filter { batch.entries[$0]?.renamedFrom == nil }
  }
}
