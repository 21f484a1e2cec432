"""Readers: programs that save as frameworks do, and readers of the bucket that follow each framework's rule, with and without kills.

A rule that asks for a marker must never find an incomplete checkpoint. A rule that takes the newest directory, whatever it holds,
finds one for as long as the directory is half visible: the table says how long that was.
"""

import pathlib
import random
import statistics
import subprocess
import threading
import time

from ending import die_with_parent
from mirrorrun import environment
from seaweedfs import SeaweedFS
from trialrows import PAUSE_SECONDS, ROWS, Save

BUCKET = "trial"
KEPT = 2  # checkpoints that a trainer keeps
END_SECONDS = 30  # for s3mirror to end
REST_SECONDS = 1.5  # between two checkpoints
BEGIN_SECONDS = 1.0  # after which a mirror handles signals
KILL_SECONDS = (1.0, 4.0)  # from one kill of the mirror to the next


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
