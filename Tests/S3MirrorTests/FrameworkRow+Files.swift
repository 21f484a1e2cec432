// Checkpoints of one file or a few, and logs.
extension FrameworkRow {
  static let singleFiles: [FrameworkRow] = [
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

  static let logs: [FrameworkRow] = [
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
