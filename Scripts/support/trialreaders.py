"""Readers: programs that save as frameworks do, and readers of the bucket that follow each framework's rule, with and without kills.

A rule that asks for a marker must never find an incomplete checkpoint. A rule that takes the newest directory, whatever it holds,
finds one for as long as the directory is half visible: the table says how long that was.
"""

import collections
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import threading
import time

from mirrorrun import environment
from seaweedfs import SeaweedFS, die_with_parent

BUCKET = "trial"
MIB = 1 << 20
LARGE = 17 * MIB  # above the multipart threshold of 16 MiB
SMALL = 4096
KEPT = 2  # checkpoints that a trainer keeps
END_SECONDS = 30  # for s3mirror to end
PAUSE_SECONDS = 0.03  # between two pieces of a file
REST_SECONDS = 1.5  # between two checkpoints
BEGIN_SECONDS = 1.0  # after which a mirror handles signals
KILL_SECONDS = (1.0, 4.0)  # from one kill of the mirror to the next


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


class Trainer(threading.Thread):
    """Saves one checkpoint after the other, and removes old ones."""

    def __init__(self, row, tree, seconds, pause=PAUSE_SECONDS, rest=REST_SECONDS):
        super().__init__(daemon=True)
        self.row, self.tree, self.seconds, self.pause, self.rest = row, tree, seconds, pause, rest
        self.saves = {}  # by step; complete only when `save` has returned

    def run(self):
        until = time.monotonic() + self.seconds
        step = 0
        while time.monotonic() < until:
            step += 1
            save = Save(self.tree, step, self.pause)
            self.saves[step] = save
            self.row.save(save, step - KEPT if step > KEPT else None)
            time.sleep(self.rest)


class Reader(threading.Thread):
    """Lists, and follows the rule, as fast as it can."""

    def __init__(self, row, prefix, client, trainer, bucket=BUCKET):
        super().__init__(daemon=True)
        self.row, self.prefix, self.client, self.trainer, self.bucket = row, prefix, client, trainer, bucket
        self.looks = 0
        self.complete = set()
        self.half = {}  # step: when it was first and last seen incomplete
        self.found = []  # what a rule with a marker must not find
        self.is_ending = threading.Event()

    def run(self):
        while not self.is_ending.is_set():
            self.look()

    def look(self):
        names = self.list()
        step = self.row.rule(names, self.read)
        self.looks += 1
        save = self.trainer.saves.get(step)
        if save is None:
            return
        if not self.lacking(save, names):
            self.complete.add(step)
            return
        # The tracker was read after the listing.
        names = self.list()
        if self.row.rule(names, self.read) != step:
            return
        if lacking := self.lacking(save, names):
            now = time.monotonic()
            self.half.setdefault(step, [now, now])[1] = now
            if self.row.is_marked:
                self.found.append(f"{self.row.title}: {step} lacks {', '.join(lacking[:3])}")

    def lacking(self, save, names):
        return [name for name, size in sorted(save.sizes.items()) if names.get(name) != size]

    def list(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        objects = [each for page in pages for each in page.get("Contents", ())]
        return {each["Key"][len(self.prefix) :]: each["Size"] for each in objects}

    def read(self, name):
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read().decode()
        except self.client.exceptions.NoSuchKey:
            return None


class Readers:
    def __init__(self, s3mirror, work, seconds, intervals):
        self.s3mirror, self.work, self.seconds, self.intervals = s3mirror, work, seconds, intervals

    def run(self, rows=ROWS):
        """Prints the table. Returns what was violated, as sentences."""
        found = []
        print("\nReaders that follow a framework's rule, while a program saves as the framework does\n")
        columns = [
            "rule",
            "interval s",
            "kills",
            "checkpoints",
            "looks",
            "incomplete",
            "half visible s: median",
            "longest",
        ]
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        with SeaweedFS(bucket=BUCKET) as self.server:
            for row in rows:
                for interval in self.intervals:
                    for is_killed in (False, True):
                        found += self.one(row, interval, is_killed)
        return found

    def watch(self, tree, prefix, interval, log):
        return subprocess.Popen(
            # A mirror that begins anew finds more to delete than the bound allows.
            [
                str(self.s3mirror), "watch", str(tree), f"s3://{BUCKET}/{prefix}", "--delete", "--interval", str(interval),
                "--max-delete", "none",
            ],
            env={**environment(self.work), **self.server.environment()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )  # fmt: skip

    def one(self, row, interval, is_killed):
        prefix = f"{row.save.__name__}-{interval}{'-killed' if is_killed else ''}/"
        tree = self.work / prefix.rstrip("/")
        tree.mkdir()
        trainer = Trainer(row, tree, self.seconds)
        reader = Reader(row, prefix, self.server.client(), trainer)
        kills = 0
        with open(self.work / f"{tree.name}.log", "wb") as log:
            mirror = self.watch(tree, prefix, interval, log)
            trainer.start()
            reader.start()
            while is_killed and trainer.is_alive():
                trainer.join(random.uniform(*KILL_SECONDS))
                if trainer.is_alive():
                    mirror.kill()
                    mirror.wait()
                    kills += 1
                    mirror = self.watch(tree, prefix, interval, log)
            trainer.join()
            if kills:
                time.sleep(BEGIN_SECONDS)
            mirror.terminate()
            status = mirror.wait(END_SECONDS)
            reader.is_ending.set()
            reader.join()
        halves = [last - first for first, last in reader.half.values()]
        times = f"{statistics.median(halves):.2f} | {max(halves):.2f}" if halves else "0 | 0"
        incomplete = (
            len(reader.found) if row.is_marked else f"{len(halves)} checkpoints for a moment" if halves else 0
        )
        print(
            f"| {row.title} | {interval} | {kills} | {len(reader.complete)} | {reader.looks} | {incomplete} | {times} |",
            flush=True,
        )
        problems = reader.found[:5]
        if status != 0:
            problems.append(
                f"{row.title}: s3mirror ended with {status}: {pathlib.Path(log.name).read_text()[-500:]}"
            )
        if not reader.complete:
            problems.append(f"{row.title}: no complete checkpoint was ever found")
        return problems
