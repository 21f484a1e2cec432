/// Which checkpoints get a receipt, and when (RCT-1).
///
/// A receipt is published for a directory whose name is that of a step. It comes when the checkpoint is
/// complete by the rules of a restore. If nothing marks a checkpoint as complete, its receipt comes when
/// something of a later step is published, or when the run ends well: until then the program may add files.
package struct ReceiptSchedule: Sendable {
  package enum Stage: Sendable, Hashable {
    case running
    /// The run has ended well, so no program adds files.
    case ended
  }

  /// Checkpoints of which something was published or deleted since their last receipt.
  private var due: Set<RelativePath> = []
  /// The highest step of which something was published, by series.
  private var newest: [RelativePath: Int64] = [:]

  package init() {}

  /// The checkpoint to which a path belongs: the uppermost directory on its way with the name of a step. Nil
  /// if there is none; files that are checkpoints of their own need no receipt.
  package static func unit(of path: RelativePath) -> RelativePath? {
    path.ancestors.dropLast().reversed().first {
      StepName($0.name).isStep && !$0.name.hasSuffix(UnitNames.arraysSuffix)
    }
  }

  /// Whether a checkpoint in this state gets a receipt.
  package func admits(_ state: UnitState, of unit: RelativePath, _ stage: Stage) -> Bool {
    switch state {
    case .complete: true
    case .unproved: stage == .ended || isFollowed(unit)
    case .incomplete: false
    }
  }

  private func isFollowed(_ unit: RelativePath) -> Bool {
    guard let step = StepName(unit.name).number, let newest = newest[Self.series(of: unit)] else {
      return false
    }
    return newest > step
  }

  private static func series(of unit: RelativePath) -> RelativePath {
    unit.parent.appending(StepName(unit.name).series)
  }

  /// - Parameter path: a file that this run published, or that a comparison found equal to its object: an earlier
  ///   run may have published it, and ended before the receipt.
  package mutating func note(published path: RelativePath) {
    guard let unit = Self.unit(of: path) else { return }
    due.insert(unit)
    guard let step = StepName(unit.name).number else { return }
    newest[Self.series(of: unit), default: step] = max(step, newest[Self.series(of: unit)] ?? step)
  }

  package mutating func note(deleted path: RelativePath) {
    if let unit = Self.unit(of: path) { due.insert(unit) }
  }

  /// Notes that nothing is left of a checkpoint.
  package mutating func forget(_ unit: RelativePath) { due.remove(unit) }

  /// Takes the checkpoints whose receipt is due. `putBack` returns those that are not complete yet.
  ///
  /// - Parameter directory: only checkpoints below it are taken, not the directory itself.
  package mutating func take(below directory: RelativePath) -> [RelativePath] {
    let taken = due.filter { $0 != directory && $0.isWithin(directory) }
    due.subtract(taken)
    return taken.sorted()
  }

  package mutating func putBack(_ unit: RelativePath) { due.insert(unit) }

  package var isEmpty: Bool { due.isEmpty }
}
