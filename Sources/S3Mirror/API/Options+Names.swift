import MirrorModel

/// How the name of a file decides when the file is published. ``Options/commitLast``,
/// ``Options/inProgressNames``, ``Options/appendNames`` and ``Options/temporaryNames`` assign names to
/// classes.
public enum NameClass: String, Sendable, Hashable, CaseIterable {
  /// Published after all data that the marker names.
  case marker
  /// Published before any change of the paths that the mark names, and removed after all of these changes.
  case inProgress = "in-progress"
  /// May be published while a program has the file open, if the file only adds bytes to the published ones.
  case append
  /// Never published under this name.
  case temporary
  /// A symbolic link to a file of the tree. It is published after that file, as a copy of the file's object.
  case pointer
}

// The names that common training frameworks give their files. They were read from the frameworks' sources in
// November 2026.
extension Options {
  /// Commit markers: files that show that other files are complete, and files that name the newest
  /// checkpoint.
  ///
  /// - `latest`, `latest_*`: DeepSpeed and others; `latest-*`: Composer; `LATEST`, `last_checkpoint`,
  ///   `last_checkpoint.*`: checkpointers in the style of fvcore, and mmengine.
  /// - `.metadata`, `metadata.json`, `latest_checkpointed_iteration.txt`: torch's distributed checkpoints and
  ///   Megatron-Core; `meta.pt`: Lightning's sharded checkpoints; `dlrover_latest.txt`: DLRover.
  /// - `*.index.json`: safetensors and Hugging Face; `trainer_state.json`: its Trainer.
  /// - `checkpoint`, `*.index`: TensorFlow; `training_metadata.json`: Keras' BackupAndRestore.
  /// - `commit_success.txt`, `_CHECKPOINT_METADATA`: Orbax; `checkpoint_manager_snapshot.json`: Ray Train.
  /// - `_SUCCESS`, `DONE`: Hadoop's convention and similar ones.
  public static let defaultCommitLast = DefaultNames.markers

  /// NeMo's mark of a checkpoint that is being written or deleted.
  public static let defaultInProgressNames = DefaultNames.marks

  /// Names of files to which training programs and launchers append: text logs and tables, TensorBoard's
  /// event files, W&B's run files, and the streams of launchers that use these names (Open MPI's
  /// `--output-filename`, torchrun's `--log-dir`).
  public static let defaultAppendNames = DefaultNames.appended

  /// Names that a file or directory has only until it is complete.
  ///
  /// - `*.orbax-checkpoint-tmp*/`: Orbax; `tmp-checkpoint-*`: Hugging Face's Trainer; `.metadata.tmp`:
  ///   torch's distributed checkpoints; `*.dirty.pt`: NVRx; `._dlrover_ckpt_stage/`: DLRover;
  ///   `checkpoint_tmp`: Flax; `.tmp??????`: safetensors; `*.sagemaker-uploading`: SageMaker.
  /// - `.*.swp` and `?*~`: editors.
  /// - `.NAME.XXXXXX` with an upper-case letter among the last six characters: rsync. A name that ends in six
  ///   lower-case letters or digits may be a hidden file with an extension, such as `.model.sha256`, so it
  ///   does not count as temporary.
  public static let defaultTemporaryNames = DefaultNames.temporaries

  func commitOrder() throws -> CommitOrder {
    var order = try CommitOrder(commitLast: commitLast)
    order.marks = try ProgressMarks(inProgressNames)
    order.appended = try NamePatterns(appendNames)
    return order
  }

  /// The names that distinguish checkpoints from other files.
  func unitNames() throws -> UnitNames {
    try UnitNames(
      markers: restoreMarkers, marks: inProgressNames, temporaries: temporaryNames, appended: appendNames)
  }

  /// - Throws: `MirrorError.invalid` that names the option with the invalid pattern.
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
  /// The class of a name that is not temporary; nil for plain data.
  func nameClass(of path: RelativePath) -> NameClass? {
    if isMarker(path) { return .marker }
    if marks.contains(path) { return .inProgress }
    return appended.contains(path) ? .append : nil
  }
}
