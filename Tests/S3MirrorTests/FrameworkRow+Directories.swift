import MirrorModel

// Checkpoints that are directories with markers of their own.
extension FrameworkRow {
  static func distributed(_ step: String, _ others: String...) -> Files {
    [step + "/.metadata": metadata("__0_0.distcp"), step + "/__0_0.distcp": "zero"]
  }

  static let directories: [FrameworkRow] = [
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
}
