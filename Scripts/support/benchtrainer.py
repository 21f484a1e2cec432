"""What a mirror costs the program that it serves: `Scripts/bench trainer`.

A training loop keeps every core busy and writes a checkpoint every twelve seconds, 10 GB an hour. It runs alone, beside
`s3mirror watch --interval 10`, and beside what people do instead: a loop that copies what is new every ten seconds. The steps that it
does show what the copying takes from it.

    benchtrainer.py loop cpu|memory SECONDS DIRECTORY|- FIRST     one process of the loop; prints its steps and checkpoints
"""

import contextlib
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import benchpeers
import benchrun

FILES, FILE_BYTES = 4, 8 << 20
EVERY_SECONDS = 12  # from one checkpoint to the next
LOOP_SECONDS = 10  # from the end of one copy to the next
DIRECTORIES = 1000  # that the sink knows
MOST_CHECKPOINTS = 20  # of one run; the next run has other names, because the sink remembers all of them
GOAL = 0.01  # of the steps
BUCKET, KEY = "trainer", "data"
KINDS = ["cpu", "memory"]


# MARK: the training loop


def loop(kind, seconds, directory, first):
    """Prints how many steps it did, and how many checkpoints; `first` is the number of the first one."""
    import numpy

    step = {"cpu": multiply, "memory": add}[kind](numpy)
    content = benchrun.pattern() * (FILE_BYTES // benchrun.PATTERN_BYTES + 1) if directory else b""
    start = time.monotonic()
    steps = saved = 0
    while (now := time.monotonic()) < start + seconds:
        if directory and now >= start + saved * EVERY_SECONDS:
            save(directory, first + saved, content)
            saved += 1
        step()
        steps += 1
    print(steps, saved)


def multiply(numpy):
    left, right = numpy.random.rand(192, 192), numpy.random.rand(192, 192)
    return lambda: [numpy.matmul(left, right) for _ in range(10)]


def add(numpy):
    total, gradient = numpy.zeros(4 << 20), numpy.ones(4 << 20)
    return lambda: numpy.add(total, gradient, out=total)


def save(directory, number, content):
    """Under names that the sink lists. No two files have the same content."""
    place = directory / f"d{number:04}"
    place.mkdir()
    for index in range(number * FILES, (number + 1) * FILES):
        offset = 64 * index
        (place / f"f{index:06}").write_bytes(content[offset : offset + FILE_BYTES])


# MARK: beside it


class Failed(Exception):
    pass


class Trainer:
    """The measure: rounds of all ways to copy, each in another order."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.sink = benchrun.Sink(options.built / "sink", work, {BUCKET: (DIRECTORIES, FILES, FILE_BYTES, "md5")})
        self.tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, self.sink.url, work)
        self.environment = {**self.tools.base, "XDG_RUNTIME_DIR": str(work)}
        self.runs = 0

    def ways(self):
        """By name; each is a context in which copies are made of a directory to a key."""
        found = {"none": lambda root, key: contextlib.nullcontext([0.0]), "s3mirror watch": self.watched}
        for client, width in [
            (self.tools.aws(), 10), (self.tools.s5cmd(), 256), (self.tools.rclone(), 4), (self.tools.pos3(), 10),
        ]:  # fmt: skip
            found[f"{client.name} in a loop"] = self.looped(client, width)
        wanted = self.options.only.split(",") if self.options.only else list(found)
        if unknown := set(wanted) - set(found):
            raise SystemExit(f"bench: {', '.join(sorted(unknown))}: no such way; there are {', '.join(found)}")
        return {name: way for name, way in found.items() if name in wanted or name == "none"}

    @contextlib.contextmanager
    def watched(self, root, key):
        seconds = [0.0]
        watch = subprocess.Popen(
            [self.options.s3mirror, "watch", root, f"s3://{BUCKET}/{key}", "--interval", str(LOOP_SECONDS)],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        try:
            while not self.sink.counts().get("List"):
                if watch.poll() is not None:
                    raise Failed("s3mirror watch ended")
                time.sleep(0.1)
            benchrun.settle(watch.pid)
            before = benchrun.processor_seconds(watch.pid)
            yield seconds
            seconds[0] = benchrun.processor_seconds(watch.pid) - before
        finally:
            watch.terminate()
            watch.wait()

    def looped(self, client, width):
        @contextlib.contextmanager
        def way(root, key):
            seconds, is_over = [0.0], threading.Event()
            job = benchpeers.Job("reconcile", BUCKET, key, root, width)
            command = list(map(str, client.command(job)))

            def copy():
                while not is_over.wait(LOOP_SECONDS):
                    process = subprocess.Popen(
                        command, env={**self.environment, **client.environment}, stdin=subprocess.DEVNULL,
                        stdout=self.log, stderr=self.log,
                    )  # fmt: skip
                    _, _, usage = os.wait4(process.pid, 0)
                    seconds[0] += usage.ru_utime + usage.ru_stime

            thread = threading.Thread(target=copy)
            thread.start()
            try:
                yield seconds
            finally:
                is_over.set()
                thread.join()

        return way

    def sample(self, kind, way):
        """Steps a second, the copies' processor seconds, and the bytes that arrived for each byte written."""
        self.runs += 1
        root = self.work / f"run-{self.runs}"
        root.mkdir()
        self.sink.counts()
        self.sink.ask("bytes")
        with way(root, KEY) as seconds:
            processes = [
                subprocess.Popen(
                    [self.options.peers / "bin/python", __file__, "loop", kind, str(self.options.seconds), root if index == 0 else "-", str(self.runs * MOST_CHECKPOINTS)],
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True,
                )
                for index in range(os.cpu_count())
            ]  # fmt: skip
            said = [process.communicate()[0].split() for process in processes]
            if any(process.returncode for process in processes):
                raise SystemExit("bench: the training loop failed; is numpy among the peers?")
            arrived = self.sink.ask("bytes")["bytes"]
        steps = sum(int(each[0]) for each in said)
        written = int(said[0][1]) * FILES * FILE_BYTES
        return steps / self.options.seconds, seconds[0], arrived / written

    def run(self):
        ways = self.ways()
        results = []
        rate = FILES * FILE_BYTES * 3600 / EVERY_SECONDS / 1e9
        print(f"\n{os.cpu_count()} loops of {self.options.seconds} s, {rate:.0f} GB of checkpoints an hour, {self.options.rounds} rounds")
        with open(self.options.built / "clients.log", "ab") as self.log:
            for kind in KINDS:
                samples = {name: [] for name in ways}
                for _ in range(self.options.rounds):
                    for name in random.sample(list(ways), len(ways)):
                        samples[name].append(self.sample(kind, ways[name]))
                results.append(self.table(kind, samples))
        self.sink.stop()
        return results

    def table(self, kind, samples):
        print(f"\n## a loop that is bound by {'the processor' if kind == 'cpu' else kind}\n")
        print("| beside it | steps a second | steps lost | the copies' CPU, % of a core | arrived / written |")
        print("|---|---:|---:|---:|---:|")
        found = {}
        for name, taken in samples.items():
            steps = statistics.median(each[0] for each in taken)
            # Each run is compared with the one without copies of its own round.
            lost = statistics.median(1 - each[0] / alone[0] for each, alone in zip(taken, samples["none"], strict=True))
            spent = statistics.median(each[1] for each in taken) / self.options.seconds
            arrived = min(each[2] for each in taken)
            print(f"| {name} | {steps:.1f} | {lost:.2%} | {spent:.2%} | {arrived:.2f} |", flush=True)
            found[name] = {"steps": steps, "lost": lost, "cpu": spent, "arrived": arrived}
        return {"kind": kind, "ways": found}


def measure(options, work):
    return Trainer(options, work).run()


def promises(results):
    """What copies 10 GB an hour takes one step in a hundred at most, and it does copy."""
    broken = []
    for table in results:
        ours = table["ways"].get("s3mirror watch")
        if ours and ours["lost"] > GOAL:
            broken.append(f"{table['kind']}: {ours['lost']:.2%} of the steps are lost, not {GOAL:.0%}")
        if ours and ours["arrived"] < 0.6:
            broken.append(f"{table['kind']}: {ours['arrived']:.0%} of what was written arrived")
    return broken


if __name__ == "__main__":
    _, _, kind, seconds, directory, first = sys.argv
    loop(kind, float(seconds), None if directory == "-" else Path(directory), int(first))
