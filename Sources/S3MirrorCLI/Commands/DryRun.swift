import ArgumentParser
import S3Mirror

/// `--dry-run`: prints what a command would do and why, one action a line, on standard output. Changes
/// nothing.
struct DryRunOptions: ParsableArguments {
  @Flag(
    help:
      "Print what would be done and why, and do nothing. With --json: event (planned), action, path, bytes, reason, class (marker, in-progress, append or pointer)."
  )
  var dryRun = false

  private struct Line: Encodable {
    var event = "planned"
    var action: String
    var path: String
    var bytes: Int64?
    var reason: String
    var nameClass: String?

    enum CodingKeys: String, CodingKey {
      case event, action, path, bytes, reason
      case nameClass = "class"
    }

    init(_ action: PlannedAction) {
      self.action = action.kind.rawValue
      path = action.path
      bytes = action.bytes
      reason = action.reason
      nameClass = action.nameClass?.rawValue
    }
  }

  /// - Throws: `ExitStatus`: 1 if an action would be refused or withheld; `MirrorError`.
  func carryOut(
    _ spec: MirrorSpec, name: String, of run: Inspection.PlannedRun, options: Options,
    as format: Narrator.Format
  ) async throws -> Never {
    let summary = try await planMirror(spec, name: name, of: run, options: options) { action in
      switch format {
      case .text: Console.line(action.description)
      case .json: Console.raw(JSONText.encode(Line(action)))
      }
    }
    if format == .text { options.observer?(.notice("\(name): \(summary)")) }
    throw summary.isComplete ? ExitStatus.success : ExitStatus.failure
  }
}
