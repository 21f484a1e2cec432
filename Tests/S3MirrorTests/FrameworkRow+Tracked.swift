// Checkpoints that are directories, and that a tracker names.
extension FrameworkRow {
  static let tracked: [FrameworkRow] = [
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
}
