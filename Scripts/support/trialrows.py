"""What frameworks write when they save, and the rules by which their readers pick a checkpoint, as rows of a table."""

import collections
import os
import re
import shutil
import subprocess
import time

MIB = 1 << 20
LARGE = 17 * MIB  # above the multipart threshold of 16 MiB
SMALL = 4096
PAUSE_SECONDS = 0.03  # between two pieces of a file


class Save:
    """One checkpoint as it is written: every file has a size of its own, so that a listing tells which checkpoint it belongs to."""

    def __init__(self, tree, step, pause=PAUSE_SECONDS):
        self.tree, self.step, self.pause = tree, step, pause
        self.sizes = {}  # by name below the tree, as the reader will find it

    def write(self, name, size, final=None):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size += self.step
        with open(path, "wb") as file:
            # In pieces, so that ticks occur during the writing.
            for start in range(0, size, 4 * MIB):
                file.write(os.urandom(min(4 * MIB, size - start)))
                file.flush()
                time.sleep(self.pause)
        self.sizes[final or name] = size

    def text(self, name, text, final=None):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.sizes[final or name] = len(text)

    def link(self, name, target):
        """Made anew each time, as Lightning and Composer do."""
        (self.tree / name).unlink(missing_ok=True)
        (self.tree / name).symlink_to(target)

    def rename(self, old, new):
        os.rename(self.tree / old, self.tree / new)

    def remove(self, name):
        path = self.tree / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def hugging_face(save, old):
    at = f"checkpoint-{save.step}"
    for name in ["model.safetensors", "optimizer.pt"]:
        save.write(f"{at}/{name}", LARGE)
    for name in ["config.json", "rng_state.pth", "scheduler.pt"]:
        save.write(f"{at}/{name}", SMALL)
    save.write(f"{at}/trainer_state.json", SMALL)
    if old:
        save.remove(f"checkpoint-{old}")


def accelerate(save, old):
    at = f"checkpoint_{save.step}"
    for name, size in [
        ("model.safetensors", LARGE),
        ("optimizer.bin", LARGE),
        ("random_states_0.pkl", SMALL),
    ]:
        save.write(f"{at}/{name}", size)
    if old:
        save.remove(f"checkpoint_{old}")


def orbax(save, old):
    """Up to 0.12.2: a temporary directory, renamed."""
    temporary, final = f"{save.step}.orbax-checkpoint-tmp-1", str(save.step)
    for name, size in [("d/array", LARGE), ("d/other", LARGE), ("manifest.ocdbt", SMALL)]:
        save.write(f"{temporary}/{name}", size, final=f"{final}/{name}")
    save.rename(temporary, final)
    if old:
        save.remove(str(old))


def nemo(save, old):
    at = f"step={save.step}-last"
    save.text(f"{at}-unfinished", "")
    del save.sizes[f"{at}-unfinished"]
    for name, size in [
        ("context/io.json", SMALL),
        ("weights/__0_0.distcp", LARGE),
        ("weights/__0_1.distcp", LARGE),
        ("weights/.metadata", SMALL),
        ("weights/metadata.json", SMALL),
    ]:
        save.write(f"{at}/{name}", size)
    save.remove(f"{at}-unfinished")
    if old:
        previous = f"step={old}-last"
        (save.tree / f"{previous}-unfinished").touch()
        save.remove(previous)
        save.remove(f"{previous}-unfinished")


def distributed(save, old):
    """torch's distributed checkpoints, in torchtitan's directories."""
    at = f"step-{save.step}"
    for rank in range(2):
        save.write(f"{at}/__{rank}_0.distcp", LARGE)
    save.write(f"{at}/.metadata.tmp", SMALL, final=f"{at}/.metadata")
    save.rename(f"{at}/.metadata.tmp", f"{at}/.metadata")
    if old:
        save.remove(f"step-{old}")


def deepspeed(save, old):
    at = f"global_step{save.step}"
    for rank in range(2):
        save.write(f"{at}/zero_pp_rank_{rank}_optim_states.pt", LARGE)
    save.write(f"{at}/mp_rank_00_model_states.pt", SMALL)
    save.text("latest", at)
    del save.sizes["latest"]
    if old:
        save.remove(f"global_step{old}")


def megatron(save, old):
    at = f"iter_{save.step:07d}"
    for rank in range(2):
        save.write(f"{at}/__{rank}_0.distcp", LARGE)
    save.write(f"{at}/.metadata", SMALL)
    save.write(f"{at}/metadata.json", SMALL)
    save.text("latest_checkpointed_iteration.txt", str(save.step))
    del save.sizes["latest_checkpointed_iteration.txt"]
    if old:
        save.remove(f"iter_{old:07d}")


def safetensors(save, old):
    at = f"step_{save.step}"
    for number in range(2):
        name = f"model-0000{number}-of-00002.safetensors"
        save.write(f"{at}/.tmpA{save.step % 10}b{number}Xy", LARGE, final=f"{at}/{name}")
        save.rename(f"{at}/.tmpA{save.step % 10}b{number}Xy", f"{at}/{name}")
    save.write(f"{at}/model.safetensors.index.json", SMALL)
    if old:
        save.remove(f"step_{old}")


def mmengine(save, old):
    save.write(f"epoch_{save.step}.pth", LARGE)
    save.text("last_checkpoint", f"epoch_{save.step}.pth")
    del save.sizes["last_checkpoint"]
    if old:
        save.remove(f"epoch_{old}.pth")


def keras(save, old):
    """BackupAndRestore: one pair of names for all steps. The pair before is copied aside, then both are written over."""
    pair = ("latest.weights.h5", "training_metadata.json")
    for name in pair:
        if (save.tree / "backup" / name).exists():
            shutil.copy(save.tree / "backup" / name, save.tree / "backup" / f"prev_{name}")
    save.write(f"backup/{pair[0]}", LARGE)
    save.text(f"backup/{pair[1]}", f'{{"epoch": {save.step}}}')
    del save.sizes[f"backup/{pair[1]}"]


def lightning(save, old):
    """`save_last="link"`: one file a checkpoint, and a link to the newest."""
    name = f"epoch=0-step={save.step}.ckpt"
    save.write(name, LARGE)
    save.link("last.ckpt", name)
    if old:
        save.remove(f"epoch=0-step={old}.ckpt")


def newest(pattern, names, having=None):
    """The newest step of a pattern with one group, by its number; of those only that have a file, if one is named."""
    found = {}
    for name in names:
        if match := re.match(pattern, name):
            found[int(match[1])] = match[0]
    steps = [step for step, at in found.items() if having is None or at + having in names]
    return max(steps, default=None)


def by_tracker(name, pattern):
    def rule(_, read):
        text = read(name)
        match = re.search(pattern, text or "")
        return int(match[1]) if match else None

    return rule


def unmarked(names, _):
    steps = {int(match[1]) for name in names if (match := re.match(r"step=(\d+)-last/", name))}
    return max((step for step in steps if f"step={step}-last-unfinished" not in names), default=None)


def by_link(names, _):
    """The step that the link's object holds: the size tells."""
    return names["last.ckpt"] - LARGE if "last.ckpt" in names else None


def offers_pointers(s3mirror):
    """Whether this build makes an object of a symbolic link."""
    text = subprocess.run([str(s3mirror), "watch", "--help"], check=True, capture_output=True, text=True).stdout
    return "pointer" in text.partition("--symlinks <")[2].partition(" --")[0]


Row = collections.namedtuple("Row", "title save rule is_marked")
ROWS = [
    Row("Hugging Face Trainer: largest N", hugging_face, lambda n, _: newest(r"checkpoint-(\d+)/", n), False),
    Row("Accelerate: largest N", accelerate, lambda n, _: newest(r"checkpoint_(\d+)/", n), False),
    Row("Orbax: largest N without the suffix", orbax, lambda n, _: newest(r"(\d+)/", n), False),
    Row("NeMo: newest without X-unfinished", nemo, unmarked, False),
    Row(
        "torch DCP, torchtitan: largest N with .metadata",
        distributed,
        lambda n, _: newest(r"step-(\d+)/", n, ".metadata"),
        True,
    ),
    Row("DeepSpeed: latest", deepspeed, by_tracker("latest", r"global_step(\d+)"), True),
    Row("Megatron: the tracker", megatron, by_tracker("latest_checkpointed_iteration.txt", r"(\d+)"), True),
    Row(
        "safetensors: largest N with its index",
        safetensors,
        lambda n, _: newest(r"step_(\d+)/", n, "model.safetensors.index.json"),
        True,
    ),
    Row("mmengine: last_checkpoint", mmengine, by_tracker("last_checkpoint", r"epoch_(\d+)"), True),
    Row(
        "Keras BackupAndRestore: the metadata, in place",
        keras,
        by_tracker("backup/training_metadata.json", r'"epoch": (\d+)'),
        True,
    ),
]


def lightning_row(s3mirror):
    if offers_pointers(s3mirror):
        return Row("Lightning: last.ckpt, a link", lightning, by_link, True)
    return Row("Lightning: largest step", lightning, lambda n, _: newest(r"epoch=0-step=(\d+)\.ckpt", n), True)
