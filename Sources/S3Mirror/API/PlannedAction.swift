import MirrorModel

/// One thing that a transfer would do, or would not, and why.
public struct PlannedAction: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    case upload
    case download
    /// An object goes.
    case delete
    /// A local file goes.
    case deleteLocal = "delete-local"
    /// A delete that the guard would withhold.
    case withhold
    /// Something that could not be transferred.
    case refuse
    /// A file or directory with a temporary name, which is left alone.
    case leave
  }

  /// The name of the upload or download.
  public var name: String
  public var kind: Kind
  /// Relative to the root; a trailing slash names a directory marker.
  public var path: String
  /// Bytes that would be transferred, or freed; nil where nobody knows.
  public var bytes: Int64?
  /// `new`, `size` or `content` for transfers, `extra` or `retention` for deletes, else a sentence.
  public var reason: String
  /// What the name says of an upload; nil for plain data, and for everything but uploads.
  public var nameClass: NameClass?
}

extension PlannedAction: CustomStringConvertible {
  /// `upload new a/b`, `upload new latest (marker)`, `delete extra c`, `withhold d: the local root is empty; …`.
  public var description: String {
    switch kind {
    case .upload, .download, .delete, .deleteLocal:
      "\(kind.rawValue) \(reason) \(path)\(nameClass.map { " (\($0.rawValue))" } ?? "")"
    case .withhold, .refuse, .leave: "\(kind.rawValue) \(path): \(reason)"
    }
  }
}

/// What a plan adds up to.
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

  /// Whether everything asked for would be done.
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
