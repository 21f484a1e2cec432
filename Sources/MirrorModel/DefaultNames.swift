/// The names that common training frameworks give their files, as gitignore-style patterns. They were read
/// from the frameworks' sources in November 2026. The documentation of the library's options names the
/// framework of each pattern.
package enum DefaultNames {
  /// Commit markers and trackers: files that show that other files are complete, or that name the newest
  /// checkpoint.
  package static let markers = [
    "latest", "latest_*", "*.index.json", ".metadata", "trainer_state.json", "checkpoint",
    "commit_success.txt", "_SUCCESS", "DONE", "latest_checkpointed_iteration.txt", "metadata.json", "meta.pt",
    "training_metadata.json", "last_checkpoint", "last_checkpoint.*", "LATEST", "latest-*",
    "_CHECKPOINT_METADATA", "checkpoint_manager_snapshot.json", "dlrover_latest.txt", "*.index",
  ]

  /// Marks of checkpoints that are being written or deleted.
  package static let marks = ["*-unfinished"]

  /// Files that are only appended to.
  package static let appended = [
    "*.log", "*.jsonl", "*.out", "*.err", "*.csv", "*.tsv", "events.out.tfevents.*", "*.wandb", "stdout",
    "stderr",
  ]

  /// Names that a file or directory has only until it is complete.
  package static let temporaries =
    [
      "*.orbax-checkpoint-tmp*/", "tmp-checkpoint-*", ".metadata.tmp", "*.dirty.pt", "._dlrover_ckpt_stage/",
      "checkpoint_tmp", ".tmp??????", "*.sagemaker-uploading", ".*.swp", "?*~",
    ]
    + (0..<6).map { place in
      ".?*." + (0..<6).map { $0 == place ? "[A-Z]" : "[A-Za-z0-9]" }.joined()
    }
}
