import MirrorModel

/// One action that a transfer would take, or would refuse, with the reason.
public struct PlannedAction: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case upload
    case download
    /// Delete an object.
    case delete
    /// Delete a local file.
    case deleteLocal = "delete-local"
    /// A delete that the guard would withhold.
    case withhold
    /// A path that cannot be transferred.
    case refuse
    /// A file or directory that would be ignored because of its temporary name.
    case leave
  }

  /// The name of the upload or download.
  public var name: String
  public var kind: Kind
  /// Relative to the root. A trailing slash means a directory marker.
  public var path: String
  /// Bytes that would be transferred or freed; nil if unknown.
  public var bytes: Int64?
  /// `new`, `size` or `content` for transfers, `extra` or `retention` for deletes, otherwise a sentence.
  public var reason: String
  /// The name's class, for uploads only; nil for plain data.
  public var nameClass: NameClass?
}

extension PlannedAction: CustomStringConvertible {
  /// `upload new a/b`, `upload new latest (marker)`, `delete extra c`, `withhold d: the local root is empty;
  /// …`.
  public var description: String {
    switch kind {
    case .upload, .download, .delete, .deleteLocal:
      "\(kind.rawValue) \(reason) \(path)\(nameClass.map { " (\($0.rawValue))" } ?? "")"
    case .withhold, .refuse, .leave: "\(kind.rawValue) \(path): \(reason)"
    }
  }
}

/// The totals of a plan.
public struct PlanSummary: Sendable, Hashable {
  /// Actions by kind.
  public var counts: [PlannedAction.Kind: Int] = [:]
  /// Bytes that uploads and downloads would transfer.
  public var transferBytes: Int64 = 0

  mutating func note(_ action: PlannedAction) {
    counts[action.kind, default: 0] += 1
    if action.kind == .upload || action.kind == .download {
      transferBytes = transferBytes.addingSaturated(action.bytes ?? 0)
    }
  }

  public func count(of kind: PlannedAction.Kind) -> Int { counts[kind, default: 0] }

  /// Whether nothing would be withheld or refused.
  public var isComplete: Bool { count(of: .withhold) == 0 && count(of: .refuse) == 0 }
}

extension PlanSummary: CustomStringConvertible {
  /// `3 uploads and 0 downloads (12.5 MB), 1 delete, 0 withheld, 0 refused`.
  public var description: String {
    func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }
    return counted(count(of: .upload), "upload") + " and " + counted(count(of: .download), "download")
      + " (\(ByteCount(transferBytes))), " + counted(count(of: .delete) + count(of: .deleteLocal), "delete")
      + ", \(count(of: .withhold)) withheld, \(count(of: .refuse)) refused"
  }
}
