/// The names of files that are only appended to: logs, metrics, event files.
///
/// A prefix of such a file is worth having, so it may be published while a program has it open for writing. A prefix of
/// any other file, a checkpoint above all, is half a file: two equal readings do not show that it is whole, because a
/// file that only grows always has an equal prefix.
package struct AppendNames: Sendable {
  /// What training programs and launchers append to: text logs and tables, TensorBoard's event files, W&B's run files,
  /// and the streams of launchers that name them so (Open MPI's `--output-filename`, torchrun's `--log-dir`).
  package static let standardPatterns = [
    "*.log", "*.jsonl", "*.out", "*.err", "*.csv", "*.tsv", "events.out.tfevents.*", "*.wandb", "stdout",
    "stderr",
  ]

  package static let none = AppendNames()

  private let patterns: [GlobPattern]

  private init() {
    patterns = []
  }

  /// - Parameter patterns: gitignore-style patterns, relative to the root.
  /// - Throws: `GlobPattern`'s error for a pattern that cannot be read.
  package init(_ patterns: [String]) throws {
    self.patterns = try patterns.map { try GlobPattern($0) }
  }

  package func contains(_ path: RelativePath) -> Bool { patterns.contains { $0.matches(path) } }
}
