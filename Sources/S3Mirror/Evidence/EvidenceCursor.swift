import MirrorModel

/// A place in a layer, from which its records are read in key order.
struct EvidenceCursor {
  private let layer: EvidenceLayer
  private var block = -1
  private var records: [UInt8] = []
  private var position = 0
  /// Of the record at hand.
  private(set) var path: [UInt8] = []
  private var body = 0..<0
  private(set) var isAtEnd = false

  /// Stands before the first record.
  init(_ layer: EvidenceLayer) {
    self.layer = layer
  }

  var bodyBytes: ArraySlice<UInt8> { records[body] }

  var isDeletion: Bool { body.isEmpty || EvidenceBody.isDeletion(records, at: body.lowerBound) }

  /// Nil for a deletion.
  var entry: EvidenceEntry? { EvidenceBody.entry(in: records, at: body) }

  /// How the path at hand lies to another one.
  func order(to other: RelativePath) -> RelativePath.Order {
    let other = other.string.utf8.span
    let common = min(path.count, other.count)
    for index in 0..<common where path[index] != other[index] {
      return path[index] < other[index] ? .before : .after
    }
    if path.count == other.count { return .same }
    return path.count < other.count ? .before : .after
  }

  /// Goes to the next record. Damaged blocks have none.
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

  /// Goes to the first record that is not before `target`, wherever it is.
  mutating func seek(_ target: some Collection<UInt8>) {
    // The last block that begins before the target, or with it.
    var (low, high) = (0, layer.blockCount)
    while high - low > 1 {
      let middle = (low + high) / 2
      block = middle
      load()
      // Of a damaged block nothing is known. Its neighbours are gone through one by one then, from the last that is known.
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

  /// The rest of a block makes no sense.
  private mutating func abandon() -> Bool {
    position = records.count
    return false
  }
}

/// Several layers side by side, as one in key order: of each path the word of the newest layer that has one.
struct EvidenceMerge {
  /// The newest first.
  private var cursors: [EvidenceCursor]
  /// The cursor whose record is at hand, and those that have the same path.
  private var leader: Int?

  /// - Parameter layers: the newest first.
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

  /// How the path at hand lies to another one; nil at the end.
  func order(to other: RelativePath) -> RelativePath.Order? { leader.map { cursors[$0].order(to: other) } }

  mutating func advance() {
    guard let leader else { return }
    // The leader last: the others are held against its path.
    for index in cursors.indices.dropFirst(leader + 1) where !cursors[index].isAtEnd {
      if cursors[index].path == cursors[leader].path { cursors[index].advance() }
    }
    cursors[leader].advance()
    choose()
  }

  /// Goes to the first record that is not before `target`, wherever it is.
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

/// Walks the evidence beside a comparison that meets its paths in key order.
struct EvidenceStream {
  private var merge: EvidenceMerge
  /// How far it is: paths before this one are not asked for any more without seeking.
  private var last = RelativePath.root
  /// Whether the record at hand is that of the path that was asked for last.
  private var isAsked = false

  init(_ layers: [EvidenceLayer], from directory: RelativePath = .root) {
    merge = EvidenceMerge(layers)
    if !directory.isRoot { merge.seek(directory.string.utf8) }
  }

  /// What is known of the path that was asked for last.
  var entry: EvidenceEntry? { isAsked ? merge.entry : nil }

  /// What is known of a path, which should not be before the last one that was asked for.
  mutating func entry(of path: RelativePath) -> EvidenceEntry? {
    go(to: path) { _ in }
    return entry
  }

  /// Asks for a path, which should not be before the last one that was asked for.
  ///
  /// - Parameter passed: is told of each path between the two.
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

  /// Tells of each path after the last one that was asked for.
  mutating func finish(passed: (RelativePath) -> Void) {
    while merge.path != nil { pass(passed) }
  }

  private mutating func pass(_ passed: (RelativePath) -> Void) {
    if !isAsked, !merge.isDeletion, let path = merge.path.flatMap({ RelativePath(utf8: $0) }) { passed(path) }
    isAsked = false
    merge.advance()
  }
}
