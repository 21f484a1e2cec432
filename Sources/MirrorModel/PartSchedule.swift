/// Which units need a receipt of a member's part, and which marker completes a unit.
///
/// A member knows its own part of a unit only. So its receipt is due whenever it has published or deleted something
/// of the unit, whether the unit is complete or not. The member that publishes the unit's last marker knows that the
/// other members have published their parts, and with them their receipts (GRP-1, GRP-9).
package struct PartSchedule: Sendable {
  private var due: Set<RelativePath> = []
  /// Units of which a comparison found files equal to their objects. An earlier attempt may have published these
  /// files, and ended before their receipt.
  private var found: Set<RelativePath> = []

  package init() {}

  /// - Parameter path: a path whose object was published or deleted.
  package mutating func note(changed path: RelativePath) {
    if let unit = ReceiptSchedule.unit(of: path) { due.insert(unit) }
  }

  package mutating func note(found path: RelativePath) {
    if let unit = ReceiptSchedule.unit(of: path) { found.insert(unit) }
  }

  /// A unit whose receipt is due.
  package struct Due: Sendable, Hashable {
    package var unit: RelativePath
    /// Whether nothing of the unit was published since the receipt that may be on S3.
    package var isOnlyFound: Bool

    package init(unit: RelativePath, isOnlyFound: Bool) {
      self.unit = unit
      self.isOnlyFound = isOnlyFound
    }
  }

  /// Takes the units whose receipt is due. `putBack` returns those whose receipt was not published.
  ///
  /// - Parameter directory: only units below it are taken.
  package mutating func take(below directory: RelativePath) -> [Due] {
    let taken = due.union(found).filter { $0.isWithin(directory) }.sorted()
    defer {
      due.subtract(taken)
      found.subtract(taken)
    }
    return taken.map { Due(unit: $0, isOnlyFound: !due.contains($0)) }
  }

  package mutating func putBack(_ item: Due) {
    if item.isOnlyFound { found.insert(item.unit) } else { due.insert(item.unit) }
  }

  package var isEmpty: Bool { due.isEmpty && found.isEmpty }

  /// Whether a marker is the one that its framework writes last into the unit.
  package static func isLastFile(_ marker: RelativePath, of unit: RelativePath) -> Bool {
    marker.isWithin(unit) && marker != unit && (marker.parent == unit || marker.name == ".metadata")
  }
}
