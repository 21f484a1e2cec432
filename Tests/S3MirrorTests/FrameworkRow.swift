import MirrorModel
import Testing

/// How one framework leaves its checkpoints on S3: the newest that is complete, and newer ones that are not.
///
/// The file is long because it is one table: a row for each framework.
struct FrameworkRow: Sendable, CustomTestStringConvertible {
  typealias Files = KeyValuePairs<String, String>

  /// A checkpoint that no reader may take.
  struct Broken: Sendable {
    enum Flaw: String, Sendable {
      case dataMissing = "data missing"
      case markerMissing = "marker missing"
      case unfinished
    }

    var flaw: Flaw
    /// What lies on S3 of it.
    var files: Files
  }

  var framework: String
  /// The path of the checkpoint that is to be restored.
  var unit: String
  /// What is to be here afterwards: the checkpoint, and what names it.
  var files: Files
  /// What lies on S3 besides and is not to come: pointers to other checkpoints.
  var others: Files = [:]
  var broken: [Broken]

  var testDescription: String { framework }

  /// A receipt that names a file which is not there.
  static func receipt(_ unit: String, missing key: String) -> (String, String) {
    let receipt = UnitReceipt(unit: RelativePath(unit), objects: [.init(key: key, bytes: 7, etag: "")])
    return (".s3mirror/receipts/\(unit).json", String(decoding: receipt.json, as: UTF8.self))
  }

  private static func lost(_ unit: String, _ file: String, missing key: String? = nil) -> Files {
    let (path, text) = receipt(unit, missing: key ?? file + ".lost")
    return [file: "x", path: text]
  }

  /// A file that its receipt knows in another length: it was written since.
  private static func torn(_ unit: String) -> Files {
    let (path, text) = receipt(unit, missing: unit)
    return [unit: "x", path: text]
  }

  /// The same for a file of a directory.
  private static func torn(_ unit: String, _ file: String) -> Files {
    let (path, text) = receipt(unit, missing: file)
    return [file: "x", path: text]
  }

  private static func index(_ names: String...) -> String {
    let entries = names.enumerated().map { "\"w\($0.offset)\": \"\($0.element)\"" }.joined(separator: ", ")
    return "{\"metadata\": {\"total_size\": 9}, \"weight_map\": {\(entries)}}"
  }

  /// What a pickle has of the names of shards.
  private static func metadata(_ names: String...) -> String {
    names.map { "\u{8c}\u{c}\($0)\u{94}q\u{1}" }.joined()
  }

  private static let committed =
    #"{"item_handlers": {"default": "x"}, "init_timestamp_nsecs": 1, "commit_timestamp_nsecs": 2}"#
  private static let begun =
    #"{"item_handlers": {"default": "x"}, "init_timestamp_nsecs": 1, "commit_timestamp_nsecs": null}"#

  static let all: [FrameworkRow] = singleFiles + directories + tracked + logs

  // MARK: Checkpoints of one file or a few

  private static let singleFiles: [FrameworkRow] = [
    FrameworkRow(
      framework: "torch.save", unit: "ckpt_300.pt", files: ["ckpt_300.pt": "whole"],
      broken: [
        .init(flaw: .dataMissing, files: torn("ckpt_400.pt")),
        .init(flaw: .markerMissing, files: lost("ckpt_500.pt", "ckpt_500.pt")),
        .init(flaw: .unfinished, files: [".ckpt_600.pt.Ab3XyZ": "half"]),
      ]),
    FrameworkRow(
      framework: "safetensors", unit: "step-300",
      files: [
        "step-300/model-00001-of-00002.safetensors": "a", "step-300/model-00002-of-00002.safetensors": "b",
        "step-300/model.safetensors.index.json": index(
          "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: [
            "step-400/a.safetensors": "a",
            "step-400/model.safetensors.index.json": index("a.safetensors", "b.safetensors"),
          ]),
        .init(flaw: .markerMissing, files: ["step-500/model-00001-of-00002.safetensors": "a"]),
        .init(flaw: .unfinished, files: ["step-600/.tmpAb3XyZ": "half"]),
      ]),
    FrameworkRow(
      framework: "Lightning", unit: "epoch=2-step=300.ckpt",
      files: ["epoch=2-step=300.ckpt": "whole", "last.ckpt": "whole"],
      broken: [
        .init(flaw: .dataMissing, files: torn("epoch=3-step=400.ckpt")),
        .init(flaw: .markerMissing, files: lost("epoch=4-step=500.ckpt", "epoch=4-step=500.ckpt")),
        .init(
          flaw: .unfinished,
          files: ["epoch=5-step=600.ckpt": "x", "epoch=5-step=600-unfinished": ""]),
      ]),
    FrameworkRow(
      framework: "Composer", unit: "ep1-ba300.pt",
      files: [
        "ep1-ba300-rank0.pt": "zero", "ep1-ba300-rank1.pt": "one",
      ],
      broken: [
        .init(
          flaw: .dataMissing, files: lost("ep1-ba400.pt", "ep1-ba400-rank0.pt", missing: "ep1-ba400-rank1.pt")
        ),
        .init(flaw: .markerMissing, files: lost("ep1-ba500.pt", "ep1-ba500-rank0.pt")),
        .init(flaw: .unfinished, files: ["ep1-ba600-rank0.pt~": "half"]),
      ]),
    FrameworkRow(
      framework: "TensorFlow", unit: "ckpt-300",
      files: [
        "ckpt-300.data-00000-of-00002": "a", "ckpt-300.data-00001-of-00002": "b", "ckpt-300.index": "i",
        "checkpoint": "model_checkpoint_path: \"ckpt-300\"\nall_model_checkpoint_paths: \"ckpt-200\"\n",
      ],
      broken: [
        .init(flaw: .dataMissing, files: ["ckpt-400.data-00000-of-00002": "a", "ckpt-400.index": "i"]),
        .init(flaw: .markerMissing, files: ["ckpt-500.data-00000-of-00001": "a"]),
        .init(flaw: .unfinished, files: ["ckpt-600.index": "i"]),
      ]),
    FrameworkRow(
      framework: "fvcore", unit: "model_0000300.pth",
      files: ["model_0000300.pth": "whole", "last_checkpoint": "model_0000300.pth"],
      broken: [
        .init(flaw: .dataMissing, files: torn("model_0000400.pth")),
        .init(flaw: .markerMissing, files: ["model_0000500.pth": "whole, and not named"]),
        .init(flaw: .unfinished, files: ["model_0000600.pth~": "half"]),
      ]),
    FrameworkRow(
      framework: "mmengine", unit: "epoch_3.pth",
      files: ["epoch_3.pth": "whole", "last_checkpoint": "/work/out/epoch_3.pth"],
      broken: [
        .init(flaw: .dataMissing, files: torn("epoch_4.pth")),
        .init(flaw: .markerMissing, files: ["epoch_5.pth": "whole, and not named"]),
        .init(flaw: .unfinished, files: ["epoch_6.pth": "x", "epoch_6.pth-unfinished": ""]),
      ]),
    FrameworkRow(
      framework: "NVRx", unit: "iter_0000300_0_local.pt", files: ["iter_0000300_0_local.pt": "whole"],
      broken: [
        .init(flaw: .dataMissing, files: torn("iter_0000400_0_local.pt")),
        .init(
          flaw: .markerMissing, files: lost("iter_0000500_0_local.pt", "iter_0000500_0_local.pt")),
        .init(flaw: .unfinished, files: ["iter_0000600_0_local.dirty.pt": "half"]),
      ]),
    FrameworkRow(
      framework: "Flax", unit: "checkpoint_300",
      files: ["checkpoint_300": "tree", "checkpoint_300_gda/params/d/0": "array"],
      broken: [
        .init(
          flaw: .dataMissing,
          files: lost("checkpoint_400", "checkpoint_400", missing: "checkpoint_400_gda/params/d/0")),
        .init(flaw: .markerMissing, files: ["checkpoint_500_gda/params/d/0": "array"]),
        .init(flaw: .unfinished, files: ["checkpoint_tmp": "half"]),
      ]),
    FrameworkRow(
      framework: "XGBoost", unit: "0300.model", files: ["0300.model": "trees"],
      broken: [
        .init(flaw: .dataMissing, files: torn("0400.model")),
        .init(flaw: .markerMissing, files: lost("0500.model", "0500.model")),
        .init(flaw: .unfinished, files: [".0600.model.Ab3XyZ": "half"]),
      ]),
    FrameworkRow(
      framework: "LightGBM", unit: "model.txt.snapshot_iter_300",
      files: ["model.txt.snapshot_iter_300": "trees"],
      broken: [
        .init(flaw: .dataMissing, files: torn("model.txt.snapshot_iter_400")),
        .init(
          flaw: .markerMissing, files: lost("model.txt.snapshot_iter_500", "model.txt.snapshot_iter_500")),
        .init(flaw: .unfinished, files: ["model.txt.snapshot_iter_600~": "half"]),
      ]),
  ]

  // MARK: Directories with markers of their own

  private static func distributed(_ step: String, _ others: String...) -> Files {
    [step + "/.metadata": metadata("__0_0.distcp"), step + "/__0_0.distcp": "zero"]
  }

  private static let directories: [FrameworkRow] = [
    FrameworkRow(
      framework: "torch DCP", unit: "dcp/step_300",
      files: [
        "dcp/step_300/.metadata": metadata("__0_0.distcp", "__1_0.distcp"),
        "dcp/step_300/__0_0.distcp": "zero",
        "dcp/step_300/__1_0.distcp": "one",
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: [
            "dcp/step_400/.metadata": metadata("__0_0.distcp", "__1_0.distcp"),
            "dcp/step_400/__0_0.distcp": "zero",
          ]),
        .init(flaw: .markerMissing, files: ["dcp/step_500/__0_0.distcp": "zero"]),
        .init(
          flaw: .unfinished,
          files: ["dcp/step_600/.metadata.tmp": "half", "dcp/step_600/__0_0.distcp": "zero"]),
      ]),
    FrameworkRow(
      framework: "torchtitan", unit: "checkpoint/step-300", files: distributed("checkpoint/step-300"),
      broken: [
        .init(flaw: .dataMissing, files: ["checkpoint/step-400/.metadata": metadata("__0_0.distcp")]),
        .init(flaw: .markerMissing, files: ["checkpoint/step-500/__0_0.distcp": "zero"]),
        .init(
          flaw: .unfinished,
          files: ["checkpoint/step-600/.metadata.tmp": "x", "checkpoint/step-600/__0_0.distcp": "zero"]),
      ]),
    FrameworkRow(
      framework: "Hugging Face Trainer", unit: "checkpoint-300",
      files: [
        "checkpoint-300/model.safetensors": "m", "checkpoint-300/optimizer.pt": "o",
        "checkpoint-300/trainer_state.json": "{}",
      ],
      others: ["model.safetensors": "the final model", "config.json": "{}", "training_args.bin": "a"],
      broken: [
        .init(
          flaw: .dataMissing,
          files: [
            "checkpoint-400/model-00001-of-00002.safetensors": "a",
            "checkpoint-400/model.safetensors.index.json": index(
              "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"),
            "checkpoint-400/trainer_state.json": "{}",
          ]),
        .init(
          flaw: .markerMissing,
          files: ["checkpoint-500/model.safetensors": "m", "checkpoint-500/optimizer.pt": "o"]),
        .init(
          flaw: .unfinished,
          files: ["tmp-checkpoint-600/model.safetensors": "m", "tmp-checkpoint-600/trainer_state.json": "{}"]),
      ]),
    FrameworkRow(
      framework: "Lightning FSDP", unit: "epoch=2-step=300.ckpt",
      files: [
        "epoch=2-step=300.ckpt/.metadata": metadata("__0_0.distcp"),
        "epoch=2-step=300.ckpt/__0_0.distcp": "zero",
        "epoch=2-step=300.ckpt/meta.pt": "meta",
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: [
            "epoch=3-step=400.ckpt/.metadata": metadata("__0_0.distcp"),
            "epoch=3-step=400.ckpt/meta.pt": "meta",
          ]),
        .init(flaw: .markerMissing, files: distributed("epoch=4-step=500.ckpt")),
        .init(
          flaw: .unfinished,
          files: [
            "epoch=5-step=600.ckpt/.metadata.tmp": "x", "epoch=5-step=600.ckpt/__0_0.distcp": "zero",
            "epoch=5-step=600.ckpt/meta.pt": "meta",
          ]),
      ]),
    FrameworkRow(
      framework: "NeMo", unit: "ckpts/m--loss=0.5-step=300",
      files: [
        "ckpts/m--loss=0.5-step=300/weights/.metadata": metadata("__0_0.distcp"),
        "ckpts/m--loss=0.5-step=300/weights/__0_0.distcp": "zero",
        "ckpts/m--loss=0.5-step=300/context/io.json": "{}",
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: ["ckpts/m--loss=0.4-step=400/weights/.metadata": metadata("__0_0.distcp")]),
        .init(flaw: .markerMissing, files: ["ckpts/m--loss=0.3-step=500/weights/__0_0.distcp": "zero"]),
        .init(
          flaw: .unfinished,
          files: [
            "ckpts/m--loss=0.2-step=600/weights/.metadata": metadata("__0_0.distcp"),
            "ckpts/m--loss=0.2-step=600/weights/__0_0.distcp": "zero",
            "ckpts/m--loss=0.2-step=600-unfinished": "",
          ]),
      ]),
    FrameworkRow(
      framework: "Orbax before 0.12.3", unit: "300",
      files: [
        "300/_CHECKPOINT_METADATA": committed, "300/default/_METADATA": "{}", "300/default/d/c/0/0": "array",
      ],
      broken: [
        .init(flaw: .dataMissing, files: lost("400", "400/_CHECKPOINT_METADATA", missing: "400/default/d/0")),
        .init(flaw: .markerMissing, files: ["500/default/_METADATA": "{}", "500/default/d/0": "array"]),
        .init(
          flaw: .unfinished,
          files: [
            "600.orbax-checkpoint-tmp-7/default/d/0": "array",
            "600.orbax-checkpoint-tmp-7/_CHECKPOINT_METADATA": committed,
          ]),
      ]),
    FrameworkRow(
      framework: "Orbax", unit: "run/300",
      files: [
        "run/300/_CHECKPOINT_METADATA": committed, "run/300/commit_success.txt": "done",
        "run/300/default/d/0": "array",
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: lost("run/400", "run/400/commit_success.txt", missing: "run/400/default/d/0")),
        .init(flaw: .markerMissing, files: ["run/500/default/d/0": "array"]),
        .init(
          flaw: .unfinished, files: ["run/600/_CHECKPOINT_METADATA": begun, "run/600/default/d/0": "array"]),
      ]),
    FrameworkRow(
      framework: "Keras BackupAndRestore", unit: "a/backup",
      files: ["a/backup/latest.weights.h5": "w", "a/backup/training_metadata.json": "{}"],
      broken: [
        .init(flaw: .dataMissing, files: lost("b/backup", "b/backup/training_metadata.json")),
        .init(flaw: .markerMissing, files: ["c/backup/latest.weights.h5": "w"]),
        .init(
          flaw: .unfinished,
          files: [
            "d/backup/latest.weights.h5": "w", "d/backup/training_metadata.json": "{}",
            "d/backup-unfinished": "",
          ]),
      ]),
    FrameworkRow(
      framework: "Accelerate", unit: "checkpoint_3",
      files: ["checkpoint_3/model.safetensors": "m", "checkpoint_3/random_states_0.pkl": "r"],
      others: [
        ".s3mirror/receipts/checkpoint_3.json": String(
          decoding: UnitReceipt(
            unit: "checkpoint_3",
            objects: [
              .init(
                key: "checkpoint_3/model.safetensors", bytes: 1, etag: "6f8f57715090da2632453988d9a1501b"),
              .init(key: "checkpoint_3/random_states_0.pkl", bytes: 1, etag: ""),
            ]
          ).json, as: UTF8.self)
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: lost("checkpoint_4", "checkpoint_4/model.safetensors", missing: "checkpoint_4/scheduler.bin")
        ),
        .init(flaw: .markerMissing, files: ["checkpoint_5/model.safetensors": "m"]),
        .init(flaw: .unfinished, files: torn("checkpoint_6", "checkpoint_6/model.safetensors")),
      ]),
  ]

  // MARK: Directories that a tracker names

  private static let tracked: [FrameworkRow] = [
    FrameworkRow(
      framework: "Megatron-Core", unit: "iter_0000300",
      files: [
        "iter_0000300/.metadata": metadata("__0_0.distcp"), "iter_0000300/__0_0.distcp": "zero",
        "iter_0000300/common.pt": "c", "iter_0000300/metadata.json": "{}",
        "latest_checkpointed_iteration.txt": "300",
      ],
      broken: [
        .init(
          flaw: .dataMissing,
          files: [
            "iter_0000400/.metadata": metadata("__0_0.distcp", "__1_0.distcp"),
            "iter_0000400/__0_0.distcp": "zero",
            "iter_0000400/metadata.json": "{}",
          ]),
        .init(flaw: .markerMissing, files: distributed("iter_0000500")),
        .init(
          flaw: .unfinished,
          files: ["iter_0000600/.metadata.tmp": "x", "iter_0000600/__0_0.distcp": "zero"]),
      ]),
    FrameworkRow(
      framework: "DeepSpeed", unit: "global_step300",
      files: [
        "global_step300/mp_rank_00_model_states.pt": "m",
        "global_step300/zero_pp_rank_0_mp_rank_00_optim_states.pt": "o", "latest": "global_step300",
      ],
      others: ["zero_to_fp32.py": "print()"],
      broken: [
        .init(
          flaw: .dataMissing,
          files: lost("global_step400", "global_step400/mp_rank_00_model_states.pt")),
        .init(flaw: .markerMissing, files: ["global_step500/mp_rank_00_model_states.pt": "m"]),
        .init(flaw: .unfinished, files: ["global_step600/.mp_rank_00_model_states.pt.Ab3XyZ": "m"]),
      ]),
    FrameworkRow(
      framework: "Ray Train", unit: "checkpoint_000300",
      files: [
        "checkpoint_000300/model.pt": "m",
        "checkpoint_manager_snapshot.json":
          #"{"checkpoint_results": [{"checkpoint_dir_name": "checkpoint_000300"}]}"#,
      ],
      broken: [
        .init(flaw: .dataMissing, files: lost("checkpoint_000400", "checkpoint_000400/model.pt")),
        .init(flaw: .markerMissing, files: ["checkpoint_000500/model.pt": "m"]),
        .init(flaw: .unfinished, files: ["checkpoint_000600/model.pt~": "m"]),
      ]),
    FrameworkRow(
      framework: "DLRover", unit: "checkpoint-300",
      files: ["checkpoint-300/rank_0.pt": "m", "dlrover_latest.txt": "300"],
      broken: [
        .init(flaw: .dataMissing, files: lost("checkpoint-400", "checkpoint-400/rank_0.pt")),
        .init(flaw: .markerMissing, files: ["checkpoint-500/rank_0.pt": "m"]),
        .init(
          flaw: .unfinished,
          files: ["._dlrover_ckpt_stage/600/rank_0.pt": "m", "._dlrover_ckpt_stage/600.done/0": ""]),
      ]),
  ]

  // MARK: Logs

  private static let logs: [FrameworkRow] = [
    FrameworkRow(
      framework: "TensorBoard", unit: "runs/a", files: ["runs/a/events.out.tfevents.1.host": "records"],
      broken: [
        .init(flaw: .dataMissing, files: lost("runs/b", "runs/b/events.out.tfevents.2.host")),
        .init(flaw: .markerMissing, files: torn("runs/c", "runs/c/events.out.tfevents.3.host")),
        .init(
          flaw: .unfinished, files: ["runs/d/events.out.tfevents.4.host": "r", "runs/d-unfinished": ""]),
      ]),
    FrameworkRow(
      framework: "W&B", unit: "wandb/run-a", files: ["wandb/run-a/run-a.wandb": "records"],
      broken: [
        .init(flaw: .dataMissing, files: lost("wandb/run-b", "wandb/run-b/run-b.wandb")),
        .init(flaw: .markerMissing, files: torn("wandb/run-c", "wandb/run-c/run-c.wandb")),
        .init(flaw: .unfinished, files: ["wandb/run-d/run-d.wandb": "r", "wandb/run-d-unfinished": ""]),
      ]),
  ]
}
