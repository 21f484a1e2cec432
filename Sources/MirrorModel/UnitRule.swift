/// What a framework's reader needs in a checkpoint, as data.
package struct UnitRule: Sendable, Hashable {
  package enum Place: Sendable, Hashable {
    /// Directly in the unit's directory.
    case unit
    /// In each directory of the unit that holds one of `holding`.
    case besideIt
  }

  package var framework: String
  /// Gitignore-style pattern of the unit's own name; nil for every name.
  package var name: String?
  /// The rule applies to units that hold a file that matches one of these patterns.
  package var holding: [String]
  /// The file that must exist too.
  package var needs: String
  package var place: Place
  /// A tracker that names the unit is enough, because the framework writes the tracker later.
  package var isReplacedByTracker: Bool

  package static let all: [UnitRule] = [
    .init(
      framework: "torch's distributed checkpoints", name: nil, holding: ["*.distcp"], needs: ".metadata",
      place: .besideIt, isReplacedByTracker: false),
    .init(
      framework: "Lightning's sharded checkpoints", name: "*.ckpt", holding: [".metadata"], needs: "meta.pt",
      place: .besideIt, isReplacedByTracker: false),
    .init(
      framework: "Megatron-Core", name: "iter_*", holding: [".metadata", "*.distcp"], needs: "metadata.json",
      place: .unit, isReplacedByTracker: true),
    .init(
      framework: "Hugging Face's Trainer", name: "checkpoint-*",
      holding: [
        "model*.safetensors", "adapter_model.*", "pytorch_model*", "optimizer.pt", "optimizer.bin",
        "scheduler.pt", "rng_state*.pth", "training_args.bin",
      ], needs: "trainer_state.json", place: .unit, isReplacedByTracker: true),
    .init(
      framework: "Keras' BackupAndRestore", name: nil, holding: ["latest.weights.h5"],
      needs: "training_metadata.json", place: .besideIt, isReplacedByTracker: false),
  ]
}

/// Whether a checkpoint may be restored, and why.
package enum UnitState: Sendable, Hashable {
  /// - Parameter proof: what shows it, such as `latest names it`.
  case complete(proof: String)
  /// Nothing is known to be missing, but nothing shows that the checkpoint is complete.
  case unproved(String)
  case incomplete(String)

  package var isComplete: Bool { if case .complete = self { true } else { false } }
}
