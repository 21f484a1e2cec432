import MirrorModel

/// A position in a layer, from which its records are read in key order.
struct EvidenceCursor {
  private let layer: EvidenceLayer
  private var block = -1
  private var records: [UInt8] = []
  private var position = 0
  /// The path of the current record.
  private(set) var path: [UInt8] = []
  private var body = 0..<0
  private(set) var isAtEnd = false

  /// Begins before the first record.
  init(_ layer: EvidenceLayer) {
    self.layer = layer
  }

  var bodyBytes: ArraySlice<UInt8> { records[body] }

  var isDeletion: Bool { body.isEmpty || EvidenceBody.isDeletion(records, at: body.lowerBound) }

  /// Nil for a deletion.
  var entry: EvidenceEntry? { EvidenceBody.entry(in: records, at: body) }

  /// The order of the current path relative to another path.
  func order(to other: RelativePath) -> RelativePath.Order {
    let other = other.string.utf8.span
    let common = min(path.count, other.count)
    for index in 0..<common where path[index] != other[index] {
      return path[index] < other[index] ? .before : .after
    }
    if path.count == other.count { return .same }
    return path.count < other.count ? .before : .after
  }

  /// Moves to the next record. Damaged blocks are skipped.
  mutating func advance() {
    while !isAtEnd {
      if position < records.count, readRecord() { return }
      block += 1
      guard block < layer.blockCount else {
        isAtEnd = true
        return
      }
      load()
    }
  }

  /// Moves to the first record that is not before `target`, forward or backward.
  mutating func seek(_ target: some Collection<UInt8>) {
    // Finds the last block whose first path is not after the target.
    var (low, high) = (0, layer.blockCount)
    while high - low > 1 {
      let middle = (low + high) / 2
      block = middle
      load()
      // The first path of a damaged block is not known. The records are then read one by one, from the last
      // block that is known to begin before the target.
      guard readRecord() else { break }
      if path.lexicographicallyPrecedes(target) || path.elementsEqual(target) {
        low = middle
      } else {
        high = middle
      }
    }
    block = low - 1
    (records, position, path, isAtEnd) = ([], 0, [], false)
    advance()
    while !isAtEnd, path.lexicographicallyPrecedes(target) { advance() }
  }

  private mutating func load() {
    records = layer.records(ofBlock: block) ?? []
    position = 0
    path = []
  }

  private mutating func readRecord() -> Bool {
    guard let shared = records.varint(at: &position, before: records.count), shared <= UInt64(path.count),
      let added = records.varint(at: &position, before: records.count),
      added <= UInt64(records.count - position)
    else { return abandon() }
    path.removeSubrange(Int(shared)...)
    path += records[position..<position + Int(added)]
    position += Int(added)
    guard let count = records.varint(at: &position, before: records.count),
      count <= UInt64(records.count - position)
    else { return abandon() }
    body = position..<position + Int(count)
    position = body.upperBound
    return true
  }

  /// Skips the rest of a malformed block.
  private mutating func abandon() -> Bool {
    position = records.count
    return false
  }
}

/// Several layers merged into one in key order. If several layers have a path, the newest one counts.
struct EvidenceMerge {
  /// Newest layer first.
  private var cursors: [EvidenceCursor]
  /// The cursor of the current record. Cursors of older layers may be at the same path.
  private var leader: Int?

  /// - Parameter layers: newest first.
  init(_ layers: [EvidenceLayer]) {
    cursors = layers.map { EvidenceCursor($0) }
    for index in cursors.indices { cursors[index].advance() }
    choose()
  }

  /// Nil at the end.
  var path: [UInt8]? { leader.map { cursors[$0].path } }
  var bodyBytes: ArraySlice<UInt8> { leader.map { cursors[$0].bodyBytes } ?? [] }
  var isDeletion: Bool { leader.map { cursors[$0].isDeletion } ?? true }
  var entry: EvidenceEntry? { leader.flatMap { cursors[$0].entry } }

  /// The order of the current path relative to another path; nil at the end.
  func order(to other: RelativePath) -> RelativePath.Order? { leader.map { cursors[$0].order(to: other) } }

  mutating func advance() {
    guard let leader else { return }
    // The leader advances last, because the other cursors are compared with its path.
    for index in cursors.indices.dropFirst(leader + 1) where !cursors[index].isAtEnd {
      if cursors[index].path == cursors[leader].path { cursors[index].advance() }
    }
    cursors[leader].advance()
    choose()
  }

  /// Moves to the first record that is not before `target`, forward or backward.
  mutating func seek(_ target: some Collection<UInt8>) {
    for index in cursors.indices { cursors[index].seek(target) }
    choose()
  }

  private mutating func choose() {
    leader = nil
    for index in cursors.indices where !cursors[index].isAtEnd {
      guard let least = leader else {
        leader = index
        continue
      }
      if cursors[index].path.lexicographicallyPrecedes(cursors[least].path) { leader = index }
    }
  }
}

/// Reads the evidence along with a comparison that visits its paths in key order.
struct EvidenceStream {
  private var merge: EvidenceMerge
  /// The last path that was asked for. To ask for an earlier path requires a seek.
  private var last = RelativePath.root
  /// Whether the current record is that of the last path that was asked for.
  private var isAsked = false

  init(_ layers: [EvidenceLayer], from directory: RelativePath = .root) {
    merge = EvidenceMerge(layers)
    if !directory.isRoot { merge.seek(directory.string.utf8) }
  }

  /// The entry of the last path that was asked for; nil if it has none.
  var entry: EvidenceEntry? { isAsked ? merge.entry : nil }

  /// The entry of a path, which should not be before the last path that was asked for.
  mutating func entry(of path: RelativePath) -> EvidenceEntry? {
    go(to: path) { _ in }
    return entry
  }

  /// Moves to a path, which should not be before the last path that was asked for.
  ///
  /// - Parameter passed: receives each path between the two.
  mutating func go(to path: RelativePath, passed: (RelativePath) -> Void) {
    if path < last {
      merge.seek(path.string.utf8)
      isAsked = false
    }
    last = path
    while let order = merge.order(to: path) {
      switch order {
      case .before: pass(passed)
      case .same:
        isAsked = true
        return
      case .after: return
      }
    }
  }

  /// Passes on each path after the last one that was asked for.
  mutating func finish(passed: (RelativePath) -> Void) {
    while merge.path != nil { pass(passed) }
  }

  private mutating func pass(_ passed: (RelativePath) -> Void) {
    if !isAsked, !merge.isDeletion, let path = merge.path.flatMap({ RelativePath(utf8: $0) }) { passed(path) }
    isAsked = false
    merge.advance()
  }
}
