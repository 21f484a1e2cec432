/// A table with a limit. A full table drops its older entries, about half of them, at once.
///
/// To drop one entry at a time from a hash table is not cheap: the first entry is the only one that is found at
/// once, and a table that always loses its first entry becomes dense at its end. After some 100,000 such drops each
/// search there passes hundreds of entries.
///
/// Its functions are inlinable, because a module that uses the table would otherwise look up the types of its keys and
/// values at each call.
package struct RecentTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  @usableFromInline let capacity: Int
  /// How much of the capacity an entry takes.
  @usableFromInline let weightOf: @Sendable (Value) -> Int
  @usableFromInline var recent: [Key: Value] = [:]
  @usableFromInline var older: [Key: Value] = [:]
  @usableFromInline var recentWeight = 0
  @usableFromInline var olderWeight = 0
  /// Whether entries were ever dropped.
  @usableFromInline package internal(set) var hasDropped = false

  /// - Parameter capacity: the largest sum of the entries' weights.
  @inlinable package init(capacity: Int, weight: @escaping @Sendable (Value) -> Int = { _ in 1 }) {
    self.capacity = capacity
    weightOf = weight
  }

  /// The sum of the entries' weights.
  @inlinable package var weight: Int { recentWeight + olderWeight }

  @inlinable package subscript(key: Key) -> Value? { recent[key] ?? older[key] }

  /// - Returns: the entries that were dropped to make room.
  @inlinable @discardableResult
  package mutating func set(_ value: Value, for key: Key) -> [Key: Value] {
    let added = weightOf(value)
    if let known = older[key] {
      // An entry keeps its place, so that changes of known entries drop none.
      olderWeight += added - weightOf(known)
      older[key] = value
    } else {
      recentWeight += added - (recent.updateValue(value, forKey: key).map(weightOf) ?? 0)
      if olderWeight == 0, recentWeight >= (capacity + 1) / 2 { age() }
    }
    return shrink(keeping: key)
  }

  @inlinable package mutating func remove(_ key: Key) {
    if let known = recent.removeValue(forKey: key) { recentWeight -= weightOf(known) }
    if let known = older.removeValue(forKey: key) { olderWeight -= weightOf(known) }
  }

  /// Looks at all entries.
  @inlinable package func keys(where isMeant: (Key, Value) -> Bool) -> [Key] {
    recent.filter(isMeant).map(\.key) + older.filter(isMeant).map(\.key)
  }

  @inlinable mutating func age() {
    older = recent
    olderWeight = recentWeight
    recent = [:]
    recentWeight = 0
  }

  /// Drops the older entries, and if that is not enough the others too, but never the entry that was set last.
  @inlinable mutating func shrink(keeping key: Key) -> [Key: Value] {
    guard weight > capacity else { return [:] }
    let last = self[key]
    remove(key)
    var dropped = older
    age()
    if let last {
      let added = weightOf(last)
      if olderWeight + added > capacity {
        dropped.merge(older) { $1 }
        older = [:]
        olderWeight = 0
      }
      recent[key] = last
      recentWeight = added
    }
    hasDropped = hasDropped || !dropped.isEmpty
    return dropped
  }
}
