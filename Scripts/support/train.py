"""A small training program, as a stand-in for a large one. It knows files and nothing of S3.

It reads its dataset, then writes a checkpoint a step, in the ways real trainers do: shards under a temporary
directory name that is renamed when complete, an optimizer state rewritten in place at the same size, a marker
`latest` written last, old checkpoints rotated away, and a log that stays open to the end. Started again, it
continues from `latest`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import sys
import time

MIB = 1 << 20
SHARDS = (40 * MIB, 5 * MIB, 3 * MIB)  # the first is past any sensible multipart threshold
OPTIMIZER = 6 * MIB
KEPT = 2  # checkpoints
# The seconds of simulated computing, in turn. They vary, so that steps do not coincide with the mirror's ticks.
PACE = (2.1, 3.3, 2.6, 3.8)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, default=8)
    arguments.add_argument("--data", default=os.environ.get("S3MIRROR_DATASET"))
    arguments.add_argument("--out", default=os.environ.get("S3MIRROR_CHECKPOINTS"))
    arguments.add_argument("--events", help="a file to append what happened to, one JSON object a line")
    options = arguments.parse_args()
    if not options.data or not options.out:
        arguments.error("needs --data and --out, or S3MIRROR_DATASET and S3MIRROR_CHECKPOINTS")
    Training(pathlib.Path(options.data), pathlib.Path(options.out), options.events).run(options.steps)


class Training:
    def __init__(self, data, out, events):
        self.data, self.out, self.events = data, out, events
        self.log = None

    def run(self, steps):
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "train.log").open("a", buffering=1) as self.log:
            self.say("reading the dataset")
            files, size = read_dataset(self.data)
            done = self.resume()
            self.happened("started", pid=os.getpid(), files=files, bytes=size, resumed=done)
            for step in range(done + 1, steps + 1):
                self.compute(step)
                self.checkpoint(step)
            self.say("done")
        # The log is closed last. From here on nothing changes.
        self.happened("ended")

    def resume(self):
        """The last complete step, 0 for a fresh start. What a crash left half-made is removed."""
        for leftover in self.out.glob("tmp-checkpoint-*"):
            self.say(f"removing {leftover.name}, which a crash left")
            shutil.rmtree(leftover)
        marker = self.out / "latest"
        if not marker.exists():
            return 0
        name = marker.read_text().strip()
        verify_checkpoint(self.out / name)
        self.say(f"resuming from {name}")
        return number(name)

    def compute(self, step):
        lines = 10
        for line in range(lines):
            time.sleep(PACE[step % len(PACE)] / lines)
            self.say(f"step {step} batch {line}: loss {2.5 / (step + line / lines):.4f}")

    def checkpoint(self, step):
        name = f"checkpoint-{step}"
        temporary = self.out / f"tmp-{name}"
        temporary.mkdir()
        shards = {}
        for index, size in enumerate(SHARDS, start=1):
            shard = f"model-{index:05}-of-{len(SHARDS):05}.safetensors"
            shards[shard] = {"bytes": size, "sha256": write_shard(temporary / shard, size, f"{step}/{shard}")}
        write_text(temporary / "model.safetensors.index.json", json.dumps(shards, indent=1))
        write_text(temporary / "trainer_state.json", json.dumps({"step": step}))
        self.rewrite_optimizer(step)
        temporary.rename(self.out / name)
        write_text(self.out / "latest", name + "\n")
        self.rotate()
        self.say(f"saved {name}")
        self.happened("checkpoint", step=step)

    def rewrite_optimizer(self, step):
        """In place, at equal size: a comparison of sizes would never see it."""
        path = self.out / "optimizer.state"
        with path.open("r+b" if path.exists() else "wb") as file:
            for block in blocks(OPTIMIZER, f"{step}/optimizer"):
                file.write(block)

    def rotate(self):
        saved = sorted((path for path in self.out.glob("checkpoint-*")), key=lambda path: number(path.name))
        for old in saved[:-KEPT]:
            shutil.rmtree(old)

    def say(self, text):
        self.log.write(f"{time.strftime('%H:%M:%S')} {text}\n")

    def happened(self, event, **facts):
        if self.events:
            with open(self.events, "a") as file:
                file.write(json.dumps({"time": time.time(), "event": event, **facts}) + "\n")


def read_dataset(root):
    """Reads every file and checks it against the dataset's own SHA256SUMS: torn or missing data end the run."""
    count = size = 0
    for line in (root / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ", 1)
        content = (root / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            sys.exit(f"train: {root / name} is not the file that SHA256SUMS names")
        count, size = count + 1, size + len(content)
    return count, size


def verify_checkpoint(path):
    for shard, expected in json.loads((path / "model.safetensors.index.json").read_text()).items():
        content = (path / shard).read_bytes()
        if len(content) != expected["bytes"] or hashlib.sha256(content).hexdigest() != expected["sha256"]:
            sys.exit(f"train: {path / shard} is not the shard that the index names")


def write_shard(path, size, seed):
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for block in blocks(size, seed):
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


def blocks(size, seed):
    """`size` bytes that depend on the seed, a MiB at a time; no two blocks are alike."""
    filling = random.Random(seed).randbytes(MIB - 8)
    for index in range(size // MIB):
        yield index.to_bytes(8, "big") + filling


def write_text(path, text):
    with path.open("w") as file:
        file.write(text)


def number(name):
    return int(re.fullmatch(r"checkpoint-(\d+)", name)[1])


if __name__ == "__main__":
    main()
