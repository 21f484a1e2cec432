/// What a listing shows about the checkpoints under a prefix, collected object by object.
///
/// The memory grows with the number of checkpoints and of the directories around them, not with the number of
/// objects.
package struct UnitScan: Sendable {
  /// The sum of some objects.
  package struct Sum: Sendable, Hashable {
    package private(set) var objects = 0
    package private(set) var byteCount: Int64 = 0
    /// When the latest of these objects was published: nanoseconds since 1970-01-01 UTC.
    package private(set) var published = Int64.min

    mutating func add(_ object: RemoteObject) {
      objects += 1
      byteCount = byteCount.addingSaturated(object.byteCount)
      published = max(published, object.lastModified)
    }

    mutating func add(_ other: Sum) {
      objects += other.objects
      byteCount = byteCount.addingSaturated(other.byteCount)
      published = max(published, other.published)
    }
  }

  /// Files of one directory that are a checkpoint of their own.
  struct Loose: Sendable {
    var sum = Sum()
    var isNamedSo: Bool
    /// The object, if there is only one. Another name may have the same content.
    var single: RemoteObject?
  }

  /// The objects directly in a directory that is not the directory of a step.
  struct Directory: Sendable {
    var sum = Sum()
    /// Files that are no markers, are not appended to, and are no checkpoints of their own.
    var others = 0
    var appended = 0
    var hasMarker = false
    /// A marker that only a unit's own directory has.
    var isOneUnit = false
    var loose: [RelativePath: Loose] = [:]
  }

  let names: UnitNames
  private(set) var directories: [RelativePath: Directory] = [:]
  /// The uppermost directory on each path that has the name of a step.
  private(set) var steps: [RelativePath: Sum] = [:]
  /// In-progress marks.
  private(set) var marks: Set<RelativePath> = []
  /// Files that may name a checkpoint; see `Tracker`.
  package private(set) var trackers: [RelativePath: RemoteObject] = [:]
  /// The receipts of units.
  package private(set) var receipts: [RelativePath: ListedReceipts] = [:]
  /// The first paths with a temporary name.
  private(set) var temporaries: [RelativePath] = []

  private static let temporaryLimit = 100

  package init(names: UnitNames) {
    self.names = names
  }

  /// - Parameter path: below the remote.
  package mutating func add(_ path: RelativePath, _ object: RemoteObject) {
    if let unit = UnitReceipt.unit(ofReceiptAt: path) {
      receipts[unit, default: .init()].whole = object
      return
    }
    if let (unit, part) = UnitPart.parse(path) {
      receipts[unit, default: .init()].parts[part] = object
      return
    }
    if path.isWithin(UnitReceipt.folder) { return }
    let way = path.ancestors.dropLast().reversed() + [path]
    if let temporary = way.first(where: names.temporaries.contains) {
      note(temporary: temporary)
      return
    }
    if names.marks.contains(path) {
      marks.insert(path)
      return
    }
    for directory in way.dropLast() {
      if directory.name.hasSuffix(UnitNames.arraysSuffix) {
        let stem = directory.name.dropLast(UnitNames.arraysSuffix.count)
        addLoose(.init(stem: String(stem), isNamedSo: true), in: directory.parent, object)
        return
      }
      if StepName(directory.name).isStep {
        steps[directory, default: Sum()].add(object)
        return
      }
    }
    if Tracker.mayBe(path, byteCount: object.byteCount) {
      trackers[path] = object
      return
    }
    add(path.name, to: path.parent, object)
  }

  private mutating func note(temporary: RelativePath) {
    guard temporaries.count < Self.temporaryLimit, temporaries.last != temporary else { return }
    temporaries.append(temporary)
  }

  private mutating func add(_ name: Substring, to directory: RelativePath, _ object: RemoteObject) {
    let path = directory.appending(name)
    if UnitNames.ofOneUnit.contains(String(name)) {
      directories[directory, default: Directory()].isOneUnit = true
    }
    if let loose = UnitNames.looseFile(name) { return addLoose(loose, in: directory, object) }
    directories[directory, default: Directory()].sum.add(object)
    if names.markers.contains(path) {
      directories[directory]?.hasMarker = true
    } else if names.appended.contains(path) {
      directories[directory]?.appended += 1
    } else {
      directories[directory]?.others += 1
    }
  }

  private mutating func addLoose(
    _ file: UnitNames.LooseFile, in directory: RelativePath, _ object: RemoteObject
  ) {
    directories[directory, default: Directory()].sum.add(object)
    let unit = directory.appending(file.stem)
    var loose = directories[directory]?.loose[unit] ?? Loose(isNamedSo: file.isNamedSo)
    loose.sum.add(object)
    loose.single = loose.sum.objects == 1 ? object : nil
    loose.isNamedSo = loose.isNamedSo || file.isNamedSo
    directories[directory]?.loose[unit] = loose
  }
}
