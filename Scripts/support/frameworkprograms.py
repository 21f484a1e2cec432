"""Programs that save and load with real frameworks, for `Scripts/trial frameworks`. Run by the Python that has those.

    frameworkprograms.py save NAME ROOT COUNT   saves COUNT checkpoints below ROOT, some seconds apart, and removes old ones
    frameworkprograms.py load NAME              reads paths, a line each, and answers each with the step, or an error

What a checkpoint of step N holds is N, in every number of it: so what two steps mixed into one is found, and what is torn too.
Nothing here knows of S3.
"""

import importlib
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import traceback

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

REST = 2.0  # seconds between two checkpoints
KEPT = 2  # checkpoints
RANKS = 2
SIDE = 2048  # a square of float32 is 16 MiB: with a header more than goes in one request
STEPS_EACH = 4  # of a trainer, for one checkpoint


class Wrong(Exception):
    """It loads, and is not one whole checkpoint."""


def same(values, step, what):
    """Every number is the step's."""
    low, high = float(values.min()), float(values.max())
    if low != step or high != step:
        raise Wrong(f"{what} of step {step} holds {low:g} to {high:g}")


def number(path):
    return int(re.search(r"(\d+)$", path.stem)[1])


# MARK: torch's distributed checkpoints, by several processes


def save_distributed(root, count):
    import torch.multiprocessing

    with tempfile.TemporaryDirectory() as place:
        torch.multiprocessing.spawn(distributed_rank, (root, count, f"{place}/store"), nprocs=RANKS)


def distributed_rank(rank, root, count, store):
    import torch
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    mesh = init_device_mesh("cpu", (RANKS,))
    for step in range(1, count + 1):
        weight = distribute_tensor(torch.full((RANKS * SIDE, SIDE), float(step)), mesh, [Shard(0)])
        dcp.save({"model": {"weight": weight}, "step": step}, checkpoint_id=root / f"step-{step}")
        dist.barrier()
        if rank == 0:
            rotate(root, f"step-{step - KEPT}")
            time.sleep(REST)
        dist.barrier()
    dist.destroy_process_group()


def load_distributed(path):
    import torch
    import torch.distributed.checkpoint as dcp

    state = {"model": {"weight": torch.zeros(RANKS * SIDE, SIDE)}, "step": 0}
    dcp.load(state, checkpoint_id=path, no_dist=True)
    same(state["model"]["weight"], number(path), "the weight")
    return state["step"]


# MARK: Hugging Face's Trainer


def trainer(place, last, callback, **arguments):
    import torch
    import transformers

    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(vocab_size=8192, n_positions=64, n_embd=256, n_layer=4, n_head=4)
    )
    tokens = torch.arange(16)
    return transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(place), max_steps=last, per_device_train_batch_size=1, report_to=[], use_cpu=True,
            disable_tqdm=True, dataloader_pin_memory=False, **arguments,
        ),
        train_dataset=[{"input_ids": tokens, "labels": tokens}] * 1000,
        callbacks=[callback],
    )  # fmt: skip


def save_trainer(root, count):
    import torch
    import transformers

    class Fill(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            time.sleep(REST / STEPS_EACH)
            with torch.no_grad():
                model.transformer.wpe.weight.fill_(float(state.global_step))

    torch.set_num_threads(1)
    trainer(root, count * STEPS_EACH, Fill(), save_steps=STEPS_EACH, save_total_limit=KEPT).train()


TRAINER_FILES = {
    "config.json", "generation_config.json", "model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt",
    "trainer_state.json", "training_args.bin",
}  # fmt: skip


def load_trainer(path):
    """Resumes a training for one step. What is missing it would make anew in silence, so the names are compared first."""
    import torch
    import transformers

    if missing := TRAINER_FILES - {each.name for each in path.iterdir()}:
        raise Wrong(f"{path.name} has no {', '.join(sorted(missing))}")
    found = []

    class Look(transformers.TrainerCallback):
        def on_train_begin(self, args, state, control, model=None, optimizer=None, **_):
            same(model.transformer.wpe.weight.detach(), state.global_step, "the weight")
            moments = next(iter(optimizer.state_dict()["state"].values()))
            if int(moments["step"]) != state.global_step:
                raise Wrong(f"the optimizer is at {int(moments['step'])}, the trainer at {state.global_step}")
            found.append(state.global_step)

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        trainer(place, number(path) + 1, Look(), save_strategy="no").train(resume_from_checkpoint=str(path))
    return found[0]


# MARK: Lightning


def lightning_model():
    import lightning.pytorch
    import torch

    class Model(lightning.pytorch.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)
            self.register_buffer("filled", torch.zeros(SIDE + 1, SIDE))

        def training_step(self, batch, _):
            time.sleep(REST / STEPS_EACH)
            self.filled.fill_(float(self.global_step + 1))
            self.log("n", float(self.global_step + 1))
            return self.layer(batch).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    return Model


def save_lightning(root, count):
    import lightning.pytorch
    import torch
    from lightning.pytorch.callbacks import ModelCheckpoint

    saver = ModelCheckpoint(
        root, filename="{step}", every_n_train_steps=STEPS_EACH, save_top_k=KEPT, monitor="n", mode="max", save_last="link"
    )
    lightning.pytorch.Trainer(
        max_steps=count * STEPS_EACH, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[saver],
    ).fit(lightning_model()(), torch.utils.data.DataLoader(torch.ones(10_000, 4), batch_size=1))  # fmt: skip


def load_lightning(path):
    import torch

    step = torch.load(path, map_location="cpu", weights_only=False)["global_step"]
    model = lightning_model().load_from_checkpoint(path, map_location="cpu", weights_only=False)
    same(model.filled, step, "the buffer")
    return step


# MARK: Orbax


def save_orbax(root, count):
    import jax.numpy as jnp
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(max_to_keep=KEPT)
    with ocp.CheckpointManager(root, options=options) as manager:
        for step in range(1, count + 1):
            state = {name: jnp.full((SIDE, SIDE), float(step)) for name in ("weight", "moment")}
            manager.save(step, args=ocp.args.StandardSave(state))
            manager.wait_until_finished()
            time.sleep(REST)


def load_orbax(path):
    """What its manager takes for the newest step of the directory that holds this one."""
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(path.parent) as manager:
        step = manager.latest_step()
        if step != int(path.name):
            raise Wrong(f"the newest step is {step}, where {path.name} is")
        state = manager.restore(step, args=ocp.args.StandardRestore())
    for name in ("weight", "moment"):
        same(state[name], step, name)
    return step


# MARK: Keras


def keras_model():
    import keras

    model = keras.Sequential([keras.layers.Input((SIDE,)), keras.layers.Dense(SIDE)])
    model.compile("sgd", "mse")
    return model


def save_keras(root, count):
    import keras
    import numpy

    class Fill(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.set_weights([numpy.full_like(each, epoch + 1) for each in self.model.get_weights()])
            time.sleep(REST)

    backup = keras.callbacks.BackupAndRestore(root, save_freq="epoch", delete_checkpoint=False)
    ones = numpy.ones((1, SIDE), "float32")
    keras_model().fit(ones, ones, epochs=count, verbose=0, callbacks=[Fill(), backup])


def load_keras(path):
    import keras

    model = keras_model()
    # It begins anew in silence where it finds no pair.
    backup = keras.callbacks.BackupAndRestore(path, save_freq="epoch", delete_checkpoint=False)
    backup.set_model(model)
    backup.on_train_begin()
    step = json.loads((path / "training_metadata.json").read_text())["epoch"]
    for values in model.get_weights():
        same(values, step, "the weight")
    return step


# MARK: safetensors, in shards with an index


def save_safetensors(root, count):
    import huggingface_hub
    import torch

    for step in range(1, count + 1):
        state = {f"layer{index}.weight": torch.full((SIDE, SIDE), float(step)) for index in range(3)}
        place = root / f"step-{step}"
        place.mkdir()
        huggingface_hub.save_torch_state_dict(state, place, max_shard_size="20MB")
        rotate(root, f"step-{step - KEPT}")
        time.sleep(REST)


def load_safetensors(path):
    from safetensors.torch import load_file

    shards = json.loads((path / "model.safetensors.index.json").read_text())["weight_map"]
    state = {name: value for shard in set(shards.values()) for name, value in load_file(path / shard).items()}
    if state.keys() != shards.keys():
        raise Wrong(f"{sorted(shards.keys() - state.keys())} are missing")
    for name, value in state.items():
        same(value, number(path), name)
    return number(path)


# MARK: TensorBoard: one file, appended to for as long as the program runs

SCALARS_A_SECOND = 20


def save_tensorboard(root, count):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(root / "run"), flush_secs=1) as writer:
        for step in range(int(count * REST * SCALARS_A_SECOND)):
            writer.add_scalar("step", float(step), step)
            writer.add_text("text", f"{step} " * 1000, step)
            time.sleep(1 / SCALARS_A_SECOND)


def load_tensorboard(path):
    """The last step; all before it have to be there, in order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path / "run"), size_guidance={"scalars": 0, "tensors": 1})
    events.Reload()
    if "step" not in events.Tags()["scalars"]:
        raise Wrong("it has no step")
    found = events.Scalars("step")
    for index, event in enumerate(found):
        if (event.step, event.value) != (index, float(index)):
            raise Wrong(f"event {index} is of step {event.step}, with {event.value:g}")
    return len(found) - 1


# MARK: the program


def rotate(root, name):
    if (root / name).exists():
        shutil.rmtree(root / name)


IMPORTED = {
    "distributed": ["torch.distributed.checkpoint"],
    "trainer": ["torch", "transformers.trainer"],
    "lightning": ["torch", "lightning.pytorch"],
    "orbax": ["jax.numpy", "orbax.checkpoint"],
    "keras": ["keras"],
    "safetensors": ["safetensors.torch"],
    "tensorboard": ["tensorboard.backend.event_processing.event_accumulator"],
}


def load_each(name):
    # Before the saving begins: it would be over before the first look.
    for module in IMPORTED[name]:
        importlib.import_module(module)
    load = globals()[f"load_{name}"]
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            answer = {"step": load(pathlib.Path(line.rstrip("\n")))}
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # what a framework raises is what a reader of the bucket would get; torch's is no Exception
            trace = traceback.format_exc()
            answer = {"error": trace.strip().splitlines()[-1], "trace": trace}
        print("answer " + json.dumps(answer), flush=True)


def main():
    what, name, *rest = sys.argv[1:]
    if what == "save":
        root, count = rest
        globals()[f"save_{name}"](pathlib.Path(root), int(count))
    else:
        load_each(name)


if __name__ == "__main__":
    main()
