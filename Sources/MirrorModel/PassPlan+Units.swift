/// The units of a batch: directories whose files appear on S3 together (UNIT-1).
///
/// A unit is the shallowest directory that directly holds data of the batch, the root excepted, whose own files are a unit without
/// what lies in directories. The bytes of a unit's large files are on the server, as multipart uploads that wait for their completion, before
/// its first object appears: then the completions and the small files go in one burst. Readers that take the newest directory for
/// complete do not find half of it for as long as its bytes take.
struct UnitStages: Sendable {
  private struct Unit: Sendable {
    /// Large files whose bytes are not on the server yet.
    var outstanding: Set<RelativePath>
    /// What begins when all bytes are there.
    var rest: [RelativePath]
  }

  /// The units that are not open yet. A unit opens when its first object may appear.
  private var units: [RelativePath: Unit] = [:]
  private var unitOf: [RelativePath: RelativePath] = [:]
  private(set) var large: Set<RelativePath> = []

  /// Large files of all staged units of a pass: each keeps a file open while it waits, of the 1,024 that a process may have open by
  /// default (getrlimit(2), RLIMIT_NOFILE). Further units appear file by file.
  static let mostLarge = 128

  init() {}

  /// - Parameter members: data files of a batch.
  /// - Returns: units of more than one file.
  static func units(of members: [RelativePath]) -> [RelativePath: [RelativePath]] {
    let holders = Set(members.map(\.parent))
    var units: [RelativePath: [RelativePath]] = [:]
    for path in members {
      // From the root down.
      let place = path.ancestors.reversed().first { !$0.isRoot && holders.contains($0) }
      units[place ?? .root, default: []].append(path)
    }
    return units.filter { $0.value.count > 1 }
  }

  /// - Parameter large: the files whose bytes are sent before anything of their unit appears.
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

  /// Whether a path does not begin before its unit opens.
  func isHeld(_ path: RelativePath) -> Bool { !isOpen(path) && !large.contains(path) }

  /// The unit that a path waits for; nil where its object may appear.
  func unit(of path: RelativePath) -> RelativePath? { isOpen(path) ? nil : unitOf[path] }

  /// What waits in units that are not open.
  var held: [RelativePath] { units.values.flatMap(\.rest) }

  /// Notes that the bytes of a large file are on the server, or that none of them are sent in this pass.
  ///
  /// - Returns: what begins now, if that opens the unit; nil if it does not.
  mutating func pass(_ path: RelativePath) -> [RelativePath]? {
    guard let directory = unitOf[path], units[directory]?.outstanding.remove(path) != nil,
      units[directory]?.outstanding.isEmpty == true
    else { return nil }
    return units.removeValue(forKey: directory)?.rest
  }
}
