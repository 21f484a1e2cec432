import MirrorModel

/// What the name of a file says of it. Which names have a class is set by ``Options/commitLast``, ``Options/inProgressNames``,
/// ``Options/appendNames`` and ``Options/temporaryNames``.
public enum NameClass: String, Sendable, Hashable, CaseIterable {
  /// Published after all data that it speaks for.
  case marker
  /// Published before any change of what it speaks for, and removed after all of them.
  case inProgress = "in-progress"
  /// May be published while a program has it open, as more at the end of what S3 has.
  case append
  /// Never published under this name.
  case temporary
}

// The names that common training frameworks give their files, read from the frameworks' sources in November 2026.
extension Options {
  /// Commit markers: what says that other files are complete, and what names the newest checkpoint.
  ///
  /// - `latest`, `latest_*`: DeepSpeed and others; `latest-*`: Composer; `LATEST`, `last_checkpoint`, `last_checkpoint.*`:
  ///   checkpointers in the style of fvcore, and mmengine.
  /// - `.metadata`, `metadata.json`, `latest_checkpointed_iteration.txt`: torch's distributed checkpoints and Megatron-Core;
  ///   `meta.pt`: Lightning's sharded ones; `dlrover_latest.txt`: DLRover.
  /// - `*.index.json`: safetensors and Hugging Face; `trainer_state.json`: its Trainer.
  /// - `checkpoint`, `*.index`: TensorFlow; `training_metadata.json`: Keras' BackupAndRestore.
  /// - `commit_success.txt`, `_CHECKPOINT_METADATA`: Orbax; `checkpoint_manager_snapshot.json`: Ray Train.
  /// - `_SUCCESS`, `DONE`: Hadoop's custom and its like.
  public static let defaultCommitLast = DefaultNames.markers

  /// NeMo's mark of a checkpoint that is being written or deleted.
  public static let defaultInProgressNames = DefaultNames.marks

  /// What training programs and launchers append to: text logs and tables, TensorBoard's event files, W&B's run files, and the
  /// streams of launchers that name them so (Open MPI's `--output-filename`, torchrun's `--log-dir`).
  public static let defaultAppendNames = DefaultNames.appended

  /// Names that a file or directory has only until it is whole.
  ///
  /// - `*.orbax-checkpoint-tmp*/`: Orbax; `tmp-checkpoint-*`: Hugging Face's Trainer; `.metadata.tmp`: torch's distributed checkpoints;
  ///   `*.dirty.pt`: NVRx; `._dlrover_ckpt_stage/`: DLRover; `checkpoint_tmp`: Flax; `.tmp??????`: safetensors;
  ///   `*.sagemaker-uploading`: SageMaker.
  /// - `.*.swp` and `?*~`: editors.
  /// - `.NAME.XXXXXX` with an upper-case letter among the last six: rsync. A name that ends in six lower-case letters or digits
  ///   may be a hidden file with an extension, such as `.model.sha256`, so it is no temporary.
  public static let defaultTemporaryNames = DefaultNames.temporaries

  func commitOrder() throws -> CommitOrder {
    var order = try CommitOrder(commitLast: commitLast)
    order.marks = try ProgressMarks(inProgressNames)
    order.appended = try NamePatterns(appendNames)
    return order
  }

  /// - Throws: `MirrorError.invalid` that names the option with a pattern that cannot be read.
  func checkNames() throws(MirrorError) {
    let lists = [
      ("commitLast", commitLast), ("appendNames", appendNames), ("inProgressNames", inProgressNames),
    ]
    for (name, patterns) in lists {
      do {
        _ = try NamePatterns(patterns)
      } catch {
        throw MirrorError(.invalid, "\(name): \(error)")
      }
    }
    do {
      _ = try PathFilter.everything.leavingOut(temporaries: temporaryNames)
    } catch {
      throw MirrorError(.invalid, "temporaryNames: \(error)")
    }
  }
}

extension CommitOrder {
  /// The class of a name that is no temporary one; nil for plain data.
  func nameClass(of path: RelativePath) -> NameClass? {
    if isMarker(path) { return .marker }
    if marks.contains(path) { return .inProgress }
    return appended.contains(path) ? .append : nil
  }
}
