/// The names that common training frameworks give their files, as gitignore-style patterns, read from the frameworks' sources in
/// November 2026. The options of the library say which framework each is from.
package enum DefaultNames {
  /// What says that other files are complete, and what names the newest checkpoint.
  package static let markers = [
    "latest", "latest_*", "*.index.json", ".metadata", "trainer_state.json", "checkpoint",
    "commit_success.txt", "_SUCCESS", "DONE", "latest_checkpointed_iteration.txt", "metadata.json", "meta.pt",
    "training_metadata.json", "last_checkpoint", "last_checkpoint.*", "LATEST", "latest-*",
    "_CHECKPOINT_METADATA", "checkpoint_manager_snapshot.json", "dlrover_latest.txt", "*.index",
  ]

  /// Marks of checkpoints that are being written or deleted.
  package static let marks = ["*-unfinished"]

  /// What is only appended to.
  package static let appended = [
    "*.log", "*.jsonl", "*.out", "*.err", "*.csv", "*.tsv", "events.out.tfevents.*", "*.wandb", "stdout",
    "stderr",
  ]

  /// What a file or directory is called until it is whole.
  package static let temporaries =
    [
      "*.orbax-checkpoint-tmp*/", "tmp-checkpoint-*", ".metadata.tmp", "*.dirty.pt", "._dlrover_ckpt_stage/",
      "checkpoint_tmp", ".tmp??????", "*.sagemaker-uploading", ".*.swp", "?*~",
    ]
    + (0..<6).map { place in
      ".?*." + (0..<6).map { $0 == place ? "[A-Z]" : "[A-Za-z0-9]" }.joined()
    }
}
