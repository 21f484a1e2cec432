"""Real frameworks as readers: `Scripts/trial frameworks`. Run by the Python that has them, beside a server (seaweedfs.py).

A program saves with a framework while `s3mirror watch` runs. At random moments a reader takes what the bucket shows, in turn by a
list and GETs of what the framework's rule picks, as fast as it can, and by `s3mirror restore`. The framework's own loader then
loads the copy, and checks that all of it is of one step (frameworkprograms.py).
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Callable

import boto3
import botocore.config
from ending import die_with_parent, raise_on_signals
from mirrorrun import environment
from seaweedfs import REGION
from trialrows import offers_pointers

SUPPORT = pathlib.Path(__file__).parent
PROGRAMS = SUPPORT / "frameworkprograms.py"
INTERVAL = 1  # seconds
COUNT, QUICK_COUNT = 20, 4  # checkpoints
PAUSE = 0.5  # seconds between two looks, at the most
START_SECONDS = 180  # until the first object is there: frameworks take long to import
END_SECONDS = 60
BY_LISTING, BY_RESTORE = "list and GET", "`s3mirror restore`"


@dataclasses.dataclass
class Framework:
    name: str
    title: str
    packages: tuple  # whose versions the table tells
    rule: str  # for the reader of the table
    # What the loader is given, below the copy, and the names that belong to it; None if the bucket shows no checkpoint.
    pick: Callable
    # Names are written over: a copy is of one moment only if the objects were the same before and after it.
    is_rewritten: bool = False
    is_restored: bool = True


def newest_directory(pattern, having=None):
    """The directory with the largest number, of those that have a file if one is named."""

    def pick(names):
        found = {int(match[1]): match[0] for name in names if (match := re.match(pattern + "/", name))}
        steps = [step for step, at in found.items() if having is None or at + having in names]
        if not steps:
            return None
        directory = found[max(steps)]
        return directory.rstrip("/"), [name for name in names if name.startswith(directory)]

    return pick


def newest_file(pattern):
    def pick(names):
        found = {int(match[1]): name for name in names if (match := re.fullmatch(pattern, name))}
        return (found[max(found)], [found[max(found)]]) if found else None

    return pick


def whole_tree(marker):
    def pick(names):
        return (".", list(names)) if any(re.search(marker, name) for name in names) else None

    return pick


def frameworks(s3mirror):
    lightning = (
        ("`last.ckpt`, a link", lambda names: ("last.ckpt", ["last.ckpt"]) if "last.ckpt" in names else None)
        if offers_pointers(s3mirror)
        else ("largest step", newest_file(r"step=(\d+)\.ckpt"))
    )
    return [
        Framework("distributed", "torch DCP, 2 processes", ("torch",), "largest N with `.metadata`",
                  newest_directory(r"step-(\d+)", ".metadata")),
        Framework("trainer", "transformers Trainer", ("transformers", "torch"), "largest N", newest_directory(r"checkpoint-(\d+)")),
        Framework("lightning", "Lightning", ("lightning",), *lightning),
        Framework("orbax", "Orbax", ("orbax-checkpoint", "jax"), "largest N", newest_directory(r"(\d+)")),
        Framework("keras", "Keras BackupAndRestore", ("keras",), "`training_metadata.json`",
                  whole_tree(r"^training_metadata\.json$"), is_rewritten=True),
        Framework("safetensors", "safetensors", ("safetensors", "huggingface_hub"), "largest N with its index",
                  newest_directory(r"step-(\d+)", "model.safetensors.index.json")),
        Framework("tensorboard", "TensorBoard", ("tensorboard",), "the file", whole_tree("events.out.tfevents"), is_restored=False),
    ]  # fmt: skip


# MARK: the parts of one trial


class Loader:
    """The framework's own loader, in a process that has imported it already."""

    def __init__(self, name, work):
        self.log = open(work / f"{name}.load.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, PROGRAMS, "load", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
            text=True, cwd=work, env=quiet(), preexec_fn=die_with_parent,
        )  # fmt: skip

    def await_ready(self):
        self.answer("ready")

    def answer(self, first_word):
        for line in self.process.stdout:
            word, _, rest = line.partition(" ")
            if word.strip() == first_word:
                return rest
        raise SystemExit(f"trial: the loader ended; see {self.log.name}")

    def load(self, path):
        """(the step, None), or (None, what the framework said)."""
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        answer = json.loads(self.answer("answer"))
        if "error" in answer:
            self.log.write(answer["trace"].encode())
            self.log.flush()
        return answer.get("step"), answer.get("error")

    def end(self):
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.log.close()


@dataclasses.dataclass
class Tally:
    looks: int = 0
    loads: int = 0
    moved: int = 0  # looks whose checkpoint was removed or written over while it was copied: no look
    steps: set = dataclasses.field(default_factory=set)
    incomplete: list = dataclasses.field(default_factory=list)


class Trial:
    def __init__(self, framework, options, work, source):
        self.framework, self.options, self.source = framework, options, source
        self.work = work / framework.name
        self.root = self.work / "root"
        self.root.mkdir(parents=True)
        self.bucket = os.environ["S3MIRROR_TEST_BUCKET"]
        self.prefix = f"frameworks/{framework.name}/"
        self.client = client()
        self.pool = concurrent.futures.ThreadPoolExecutor(8)
        self.tallies = collections.defaultdict(Tally)

    def run(self):
        with contextlib.ExitStack() as stack:
            loader = Loader(self.framework.name, self.work)
            stack.callback(loader.end)
            loader.await_ready()
            saver = self.start(
                stack, [sys.executable, PROGRAMS, "save", self.framework.name, self.root, self.options.count], "save"
            )
            mirror = self.start(stack, self.mirroring(), "watch")
            self.await_first(saver, mirror)
            readers = [BY_LISTING]
            if self.framework.is_restored and not self.options.control:
                readers.append(BY_RESTORE)
            while saver.poll() is None:
                self.check_alive(mirror)
                for reader in readers:
                    time.sleep(self.source.uniform(0, PAUSE))
                    self.look(reader, loader)
            self.expect(saver, "the saving program")
            mirror.terminate()
            self.expect(mirror, "s3mirror")
            last = {reader: self.look(reader, loader) for reader in readers}
        return self.problems(last)

    def mirroring(self):
        if self.options.control:
            return [sys.executable, SUPPORT / "plaincopy.py", self.root, self.bucket, self.prefix, INTERVAL]
        remote = f"s3://{self.bucket}/{self.prefix}"
        return [self.options.s3mirror, "watch", self.root, remote, "--delete", "--interval", INTERVAL]

    def start(self, stack, command, log):
        output = stack.enter_context(open(self.work / f"{log}.log", "wb"))
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.work,
            env={**quiet(), **environment(self.work), **credentials()}, preexec_fn=die_with_parent,
        )  # fmt: skip

        def end():
            if process.poll() is None:
                process.kill()
                process.wait()

        stack.callback(end)
        return process

    def expect(self, process, what):
        if status := process.wait(END_SECONDS):
            raise SystemExit(f"trial: {self.framework.title}: {what} ended with {status}; see {self.work}")

    def check_alive(self, mirror):
        if mirror.poll() is not None:
            raise SystemExit(f"trial: {self.framework.title}: s3mirror ended with {mirror.returncode}; see {self.work}")

    def await_first(self, saver, mirror):
        deadline = time.monotonic() + START_SECONDS
        while not self.list():
            self.check_alive(mirror)
            if saver.poll() is not None:
                self.expect(saver, "the saving program")
            if time.monotonic() > deadline:
                raise SystemExit(f"trial: {self.framework.title}: nothing came; see {self.work}")
            time.sleep(0.02)

    # MARK: a look

    def look(self, reader, loader):
        """The step that was loaded, or None."""
        with tempfile.TemporaryDirectory(dir=self.work) as place:
            tally = self.tallies[reader]
            copy = self.copied if reader == BY_LISTING else self.restored
            path = copy(pathlib.Path(place), tally)
            if path is None:
                return None
            tally.looks += 1
            step, error = loader.load(path)
        if error:
            tally.incomplete.append(error)
            return None
        if step < max(tally.steps, default=step):
            tally.incomplete.append(f"step {step} after step {max(tally.steps)}")
            return None
        tally.loads += 1
        tally.steps.add(step)
        return step

    def list(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        objects = [each for page in pages for each in page.get("Contents", ())]
        return {each["Key"][len(self.prefix) :]: each["ETag"] for each in objects}

    def copied(self, place, tally):
        """What the listing shows of the checkpoint that the rule picks."""
        before = self.list()
        picked = self.framework.pick(before)
        if picked is None:
            return None
        path, names = picked
        came = list(self.pool.map(lambda name: self.get(name, place), names))
        after = self.list()
        gone = not all(came) and not set(names) <= after.keys()
        rewritten = self.framework.is_rewritten and any(before[name] != after.get(name) for name in names)
        if gone or rewritten:
            tally.moved += 1
            return None
        return place / path

    def get(self, name, place):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            body = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
        except self.client.exceptions.NoSuchKey:
            return False
        with open(path, "wb") as file:
            for chunk in body.iter_chunks(1 << 20):
                file.write(chunk)
        return True

    def restored(self, place, tally):
        """None while no checkpoint is complete; that it says."""
        command = [self.options.s3mirror, "restore", f"s3://{self.bucket}/{self.prefix}", place, "--quiet"]
        ended = subprocess.run(
            list(map(str, command)), env={**quiet(), **environment(self.work), **credentials()}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        with open(self.work / "restore.log", "a") as log:
            log.write(f"{ended.returncode} {ended.stdout}{ended.stderr}")
        if ended.returncode != 0:
            # While its only checkpoint is written over, none is complete, and a restore says so.
            if tally.steps and not self.framework.is_rewritten and "known to be complete" in ended.stderr:
                tally.looks += 1
                tally.incomplete.append(ended.stderr.strip()[-300:])
            else:
                # None was there yet, or its program removed it while it came.
                tally.moved += 1
            return None
        return pathlib.Path(ended.stdout.strip())

    # MARK: the verdict

    def problems(self, last):
        found = []
        for reader, tally in self.tallies.items():
            found += [f"{self.framework.title}, {reader}: {each}" for each in tally.incomplete[:3]]
            if last[reader] is None:
                found.append(f"{self.framework.title}, {reader}: nothing was loaded at the end; see {self.work}")
        return found

    def rows(self):
        versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in self.framework.packages)
        for reader, tally in self.tallies.items():
            how = f"{reader}: {self.framework.rule}" if reader == BY_LISTING else reader
            if self.options.control:
                how += ", of a plain copy"
            yield (
                f"| {self.framework.title} ({versions}) | {how} | {tally.looks} | {len(tally.steps)} | {tally.loads} "
                f"| {len(tally.incomplete)} | {tally.moved} |"
            )


def client():
    return boto3.client(
        "s3", endpoint_url=os.environ["S3MIRROR_TEST_ENDPOINT"], region_name=REGION,
        config=botocore.config.Config(max_pool_connections=16, s3={"addressing_style": "path"}, proxies={}),
    )  # fmt: skip


def credentials():
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name.lower() == "no_proxy"}


def quiet():
    """Its own caches and settings stay out of it, and one thread of each library is enough here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}


def main():
    parser = argparse.ArgumentParser(prog="Scripts/trial frameworks", description=__doc__)
    parser.add_argument("--s3mirror", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_COUNT} checkpoints of each and not {COUNT}")
    parser.add_argument("--trials", dest="count", type=int, help="how many checkpoints")
    parser.add_argument("--only", nargs="+", help="frameworks: distributed, trainer, lightning, orbax, keras, …")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--control", action="store_true",
                        help="a plain copy of what has changed, file by file, in the place of s3mirror: what the loaders find then")
    parser.add_argument("--dir", help="where the files lie")
    parser.add_argument("--keep", action="store_true", help="leave the working directory behind")
    options = parser.parse_args()
    options.count = options.count or (QUICK_COUNT if options.quick else COUNT)
    raise_on_signals()
    chosen = [each for each in frameworks(options.s3mirror) if not options.only or each.name in options.only]
    work = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-frameworks.", dir=options.dir))
    print(f"\n# frameworks, seed {options.seed}: {options.count} checkpoints of each, interval {INTERVAL} s\n")
    print("| framework | reader | looks | checkpoints | loads | incomplete | moved on |\n|---|---|---|---|---|---|---|", flush=True)
    began, problems = time.monotonic(), []
    try:
        for framework in chosen:
            trial = Trial(framework, options, work, random.Random(f"{options.seed} {framework.name}"))
            problems += trial.run()
            print("\n".join(trial.rows()), flush=True)
    except SystemExit:
        options.keep = True
        raise
    finally:
        if options.keep or problems and not options.control:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    print()
    for problem in problems:
        print(f"{'found' if options.control else 'FAIL'} {problem[:300]}")
    verdict = f"{len(problems)} problems" if problems else "held"
    print(f"frameworks: {verdict}, in {time.monotonic() - began:.0f} s, seed {options.seed}")
    # A control that finds nothing wrong would say that the loaders can find nothing.
    return (0 if problems else 1) if options.control else (1 if problems else 0)


if __name__ == "__main__":
    sys.exit(main())
