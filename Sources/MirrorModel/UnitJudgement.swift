import FoundationEssentials

/// Judges one unit by its objects and by the content of a few small ones.
package struct UnitJudgement: Sendable {
  package let unit: CheckpointUnit
  /// By their paths below the remote.
  package let objects: [RelativePath: RemoteObject]
  private let names: UnitNames
  private let directories: [RelativePath: [RelativePath]]

  /// - Parameter objects: the listed objects of the unit. Objects of other units in the listing are ignored.
  package init(_ unit: CheckpointUnit, _ objects: [RelativePath: RemoteObject], names: UnitNames) {
    self.unit = unit
    self.names = names
    self.objects = objects.filter { path, _ in
      unit.contains(path) && !path.isWithin(UnitReceipt.folder)
        && !([path] + path.ancestors).contains { !$0.isRoot && names.temporaries.contains($0) }
    }
    directories = Dictionary(grouping: self.objects.keys) { $0.parent }
  }

  // MARK: Content

  /// An index or record above this size is accepted without being read.
  package static let longestContent: Int64 = 64 << 20

  /// The files whose content the judgement needs.
  package var contentsNeeded: [RelativePath] {
    objects.filter { path, object in
      object.byteCount <= Self.longestContent && Self.reading(of: path, in: objects) != nil
    }.map(\.key).sorted()
  }

  private enum Reading {
    case index
    case distributedMetadata
    case orbaxMetadata
  }

  private static func reading(of path: RelativePath, in objects: [RelativePath: RemoteObject]) -> Reading? {
    if path.name.hasSuffix(".index.json") { return .index }
    switch path.name {
    case ".metadata": return .distributedMetadata
    case "_CHECKPOINT_METADATA": return .orbaxMetadata
    default: return nil
    }
  }

  // MARK: The verdict

  /// - Parameters:
  ///   - receipts: what the unit's receipts show.
  ///   - contents: the contents of `contentsNeeded` that could be read. Not needed if the receipts decide.
  package func state(receipts: ReadReceipts.Testimony, contents: [RelativePath: [UInt8]]) -> UnitState {
    if let mark = unit.mark {
      return .incomplete("\(mark) says that it is being written or deleted")
    }
    if let state = receipts.state { return state }
    if objects.isEmpty { return .incomplete("it has no objects") }
    if let fault = faultOfNumberedFiles ?? faultOfRules ?? faultOfFiles ?? faultOfContents(contents) {
      return .incomplete(fault)
    }
    if let tracker = unit.trackers.first { return .complete(proof: "\(tracker.path) names it") }
    if let marker = proof { return .complete(proof: marker) }
    if let tracker = unit.aheadOf {
      return .unproved("\(tracker) names an older one, and nothing else says that it is complete")
    }
    return .unproved("nothing says that it is complete: no marker, no receipt, and no pointer names it")
  }

  /// Reports missing files of a numbered set `K-of-M`.
  private var faultOfNumberedFiles: String? {
    var families: [RelativePath: (indices: Set<Int>, count: Int)] = [:]
    for path in objects.keys {
      guard let numbered = Numbered(path.name) else { continue }
      let family = path.parent.appending(numbered.family)
      families[family, default: ([], numbered.count)].indices.insert(numbered.index)
    }
    for (family, found) in families.sorted(by: { $0.key < $1.key }) where found.indices.count < found.count {
      return "\(found.count - found.indices.count) of \(found.count) files \(family) are missing"
    }
    return nil
  }

  private var faultOfRules: String? {
    for rule in UnitRule.all {
      if rule.isReplacedByTracker, !unit.trackers.isEmpty { continue }
      if let name = rule.name, !Self.matches(name, unit.path) { continue }
      for (directory, paths) in directories.sorted(by: { $0.key < $1.key }) {
        guard paths.contains(where: { path in rule.holding.contains { Self.matches($0, path) } }) else {
          continue
        }
        let place = rule.place == .unit ? unit.path : directory
        let needed = place.appending(rule.needs)
        if objects[needed] == nil { return "\(needed) is missing, which \(rule.framework) write last" }
      }
    }
    return nil
  }

  private static func matches(_ pattern: String, _ path: RelativePath) -> Bool {
    guard case .success(let glob) = Result(catching: { () throws(PatternError) in try GlobPattern(pattern) })
    else {
      return false
    }
    return glob.matches(path)
  }

  /// Reports what a unit of shape `files` lacks.
  private var faultOfFiles: String? {
    guard unit.shape == .files else { return nil }
    let names = objects.keys.map { $0.name }
    if names.contains(where: { $0.contains(".data-") }), !names.contains(where: { $0.hasSuffix(".index") }) {
      return "\(unit.path).index is missing"
    }
    if names.contains(where: { $0.hasSuffix(".index") }), !names.contains(where: { $0.contains(".data-") }) {
      return "the data of \(unit.path).index are missing"
    }
    let hasArrays = objects.keys.contains { $0.parent != unit.path.parent }
    if hasArrays, objects[unit.path] == nil {
      return "\(unit.path) is missing, which Flax writes after its arrays"
    }
    return nil
  }

  private func faultOfContents(_ contents: [RelativePath: [UInt8]]) -> String? {
    for (path, content) in contents.sorted(by: { $0.key < $1.key }) {
      let fault: String? =
        switch Self.reading(of: path, in: objects) {
        case .index: faultOfIndex(path, content)
        case .distributedMetadata: missing(DistributedMetadata.files(namedIn: content), namedBy: path)
        case .orbaxMetadata: OrbaxMetadata.isCommitted(content) ? nil : "\(path) has no time of its commit"
        case nil: nil
        }
      if let fault { return fault }
    }
    return nil
  }

  private func faultOfIndex(_ path: RelativePath, _ content: [UInt8]) -> String? {
    guard let names = WeightIndex.files(namedIn: content) else { return "\(path) is no index of weights" }
    return missing(names, namedBy: path)
  }

  private func missing(_ names: [String], namedBy path: RelativePath) -> String? {
    for name in names {
      let needed = path.parent.appending(name)
      if objects[needed] == nil { return "\(needed) is missing, which \(path) names" }
    }
    return nil
  }

  /// What shows that the unit is complete.
  private var proof: String? {
    if unit.isAppendedOnly { return "each of its files is good as it is" }
    if unit.shape == .files { return unit.aheadOf == nil ? "it is whole files" : nil }
    // The file that the writer writes last, directly in the unit or beside the shards.
    let marker = objects.keys.filter { names.markers.contains($0) }.sorted().first { marker in
      marker.parent == unit.path || marker.name == ".metadata"
    }
    return marker.map { "\($0) is there" }
  }
}

/// The files that a `*.index.json` of safetensors names.
enum WeightIndex {
  private struct Index: Decodable {
    var weight_map: [String: String]
  }

  static func files(namedIn content: [UInt8]) -> [String]? {
    do {
      return Set(try JSONDecoder().decode(Index.self, from: Data(content)).weight_map.values).sorted()
    } catch {
      return nil
    }
  }
}

/// The shards that torch's `.metadata` names. The file is a pickle that holds the names as plain text.
enum DistributedMetadata {
  static func files(namedIn content: [UInt8]) -> [String] {
    let ending = Array(".distcp".utf8)
    var names: Set<String> = []
    var at = 0
    while at + ending.count <= content.count {
      guard content[at] == ending[0], content[at..<at + ending.count].elementsEqual(ending) else {
        at += 1
        continue
      }
      var start = at
      while start > 0, isOfName(content[start - 1]) { start -= 1 }
      if start < at { names.insert(String(decoding: content[start..<at + ending.count], as: UTF8.self)) }
      at += ending.count
    }
    return names.sorted()
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
      true
    default: false
    }
  }
}

/// Orbax writes `_CHECKPOINT_METADATA` at its start, and again at its commit.
enum OrbaxMetadata {
  private struct Times: Decodable {
    var init_timestamp_nsecs: Int64?
    var commit_timestamp_nsecs: Int64?
  }

  static func isCommitted(_ content: [UInt8]) -> Bool {
    do {
      let times = try JSONDecoder().decode(Times.self, from: Data(content))
      return times.commit_timestamp_nsecs != nil || times.init_timestamp_nsecs == nil
    } catch {
      return false
    }
  }
}
