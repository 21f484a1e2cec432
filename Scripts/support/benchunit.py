"""How long a checkpoint is half visible: `Scripts/bench unit`.

A program writes a directory of 20 files while `s3mirror watch` runs. The other clients copy the same directory when it is whole,
which is the best that they can do. The sink says when it answered what made each object: the first of the 20 is the moment from
which a reader finds the checkpoint, and the last the one from which it is complete. Nothing is polled for.
"""

import contextlib
import dataclasses
import random
import shutil
import statistics
import subprocess
import time
import urllib.request
from typing import Callable

import benchpeers
import benchrun

GOAL = 1  # seconds for which a unit of s3mirror may be half visible
MODEL_SHARDS, OPTIMIZER_SHARDS = 12, 4  # one of the optimizer has twice the bytes
SMALL_BYTES = {"config.json": 1000, "scheduler.pt": 1500, "rng_state.pth": 15_000, "trainer_state.json": 40_000}
WAIT_SECONDS = 300  # for one client; then it counts as failed
BUCKET = "uploads"


@dataclasses.dataclass
class Contestant:
    name: str
    # Publishes a directory that is whole under a prefix, and returns its sample. None for the watch, which sees it being written.
    publish: Callable | None


@dataclasses.dataclass
class Sample:
    half: float  # seconds from the first object of the unit to the last
    whole: float  # seconds until the last, from the end of the writing or the start of the command
    counts: dict  # requests by kind
    appeared: dict  # file -> seconds after the first one of the unit


def file_sizes(total):
    """A checkpoint as transformers writes one: what is written last is last."""
    piece = (total - sum(SMALL_BYTES.values())) // (MODEL_SHARDS + 2 * OPTIMIZER_SHARDS)
    found = {f"model-{number:05}-of-{MODEL_SHARDS:05}.safetensors": piece for number in range(1, MODEL_SHARDS + 1)}
    found |= {f"optimizer-{number}.pt": 2 * piece for number in range(OPTIMIZER_SHARDS)}
    return found | SMALL_BYTES


class Unit:
    """The measure: rounds of all clients, each in another order, with one server."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.sizes = file_sizes(options.size << 20)
        self.sink = benchrun.Sink(options.built / "sink", work, {BUCKET: (0, 0, 0)})
        self.tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, self.sink.url, work)
        # Its socket must be found by no other s3mirror of this user.
        self.environment = {**self.tools.base, "XDG_RUNTIME_DIR": str(work)}
        self.log_path = options.built / "clients.log"
        self.log_path.unlink(missing_ok=True)
        self.events = {}  # path -> when it was first there
        self.prefixes = 0

    # MARK: the clients

    def contestants(self):
        """Each with the number of requests that its users get: they leave it as it is."""
        aws, s5cmd, rclone = self.tools.aws(), self.tools.s5cmd(), self.tools.rclone()
        found = [
            Contestant("s3mirror watch", None),
            Contestant("s3mirror upload", self.command(lambda root, url: [
                self.options.s3mirror, "upload", root, url, "--quiet",
            ])),
            Contestant("aws s3 sync", self.client(aws, "reconcile", 10)),
            Contestant("s5cmd sync", self.client(s5cmd, "reconcile", 256)),
            Contestant("rclone copy", self.client(rclone, "up-small", 4)),
        ]  # fmt: skip
        wanted = self.options.only.split(",") if self.options.only else [each.name for each in found]
        if unknown := set(wanted) - {each.name for each in found}:
            raise SystemExit(f"bench: {', '.join(sorted(unknown))}: no such client; there are {', '.join(e.name for e in found)}")
        # Its directory is what the others copy.
        return [each for each in found if each.name in wanted or each.publish is None]

    def client(self, client, what, width):
        def command(root, url):
            job = benchpeers.Job(what, BUCKET, url.removeprefix(f"s3://{BUCKET}/"), root, width)
            return client.command(job)

        return self.command(command, client.environment)

    def command(self, command_of, environment=None):
        """A client that copies a directory that is whole."""

        def publish(root, prefix):
            command = list(map(str, command_of(root, f"s3://{BUCKET}/{prefix}")))
            with open(self.log_path, "ab") as log:
                log.write(f"\n$ {' '.join(command)}\n".encode())
                log.flush()
                start = time.monotonic()
                try:
                    status = subprocess.run(
                        command, env={**self.environment, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=log,
                        stderr=log, timeout=WAIT_SECONDS, check=False,
                    ).returncode  # fmt: skip
                except subprocess.TimeoutExpired:
                    status = f"none in {WAIT_SECONDS} s"
            self.look()
            if status != 0:
                raise Failed(f"status {status}, see {self.log_path}")
            return self.sample(prefix, start)

        return publish

    def watched(self, root, prefix):
        """`s3mirror watch`, with the program that writes the unit beside it."""
        command = [self.options.s3mirror, "watch", root, f"s3://{BUCKET}/{prefix}", "--interval", str(self.options.interval)]
        with open(self.log_path, "ab") as log, ended(subprocess.Popen(
            command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )) as watch:  # fmt: skip
            (root / "first").write_bytes(b"x")
            self.wait(watch, lambda: f"/{BUCKET}/{prefix}/first" in self.events, "its entry")
            benchrun.settle(watch.pid)
            self.sink.counts()
            write(root / "checkpoint-500", self.sizes)
            written = time.monotonic()
            self.wait(watch, lambda: self.paths(prefix) <= self.events.keys(), "the unit")
            benchrun.settle(watch.pid)
            # Killed then: its comparison would send all of it again, since the sink lists nothing.
            sample = self.sample(prefix, written)
        (root / "first").unlink()
        return sample

    # MARK: what the sink says

    def look(self):
        with urllib.request.urlopen(f"{self.sink.url}/-/log") as answer:
            for line in answer.read().decode().splitlines():
                moment, what, path = line.split(" ", 2)
                # A part is no object.
                if what in ("put", "complete"):
                    self.events.setdefault(path, float(moment))

    def wait(self, watch, is_there, what):
        deadline = time.monotonic() + WAIT_SECONDS
        while not is_there():
            if watch.poll() is not None:
                raise Failed(f"s3mirror watch ended before {what}, see {self.log_path}")
            if time.monotonic() > deadline:
                raise Failed(f"{what} did not come in {WAIT_SECONDS} s, see {self.log_path}")
            time.sleep(0.05)
            self.look()

    def paths(self, prefix):
        return {f"/{BUCKET}/{prefix}/checkpoint-500/{name}" for name in self.sizes}

    def sample(self, prefix, start):
        counts = self.sink.counts()
        counts.pop("cpu")
        paths = self.paths(prefix)
        if missing := paths - self.events.keys():
            raise Failed(f"it did not send {len(missing)} files, see {self.log_path}")
        moments = {path.rpartition("/")[2]: self.events[path] for path in paths}
        first, last = min(moments.values()), max(moments.values())
        appeared = {name: round(moment - first, 6) for name, moment in sorted(moments.items(), key=lambda each: each[1])}
        return Sample(last - first, last - start, counts, appeared)

    # MARK: rounds

    def run(self):
        contestants = self.contestants()
        print("\nclients:")
        print(f"- s3mirror watch: --interval {self.options.interval}; a program writes the unit meanwhile")
        print("- s3mirror upload, and all that follow: as they come, when the unit is whole")
        for client in (self.tools.aws(), self.tools.s5cmd(), self.tools.rclone()):
            print(f"- {client.name}: {client.setting.split(';')[0]}")
        results = []
        try:
            self.look()
            for latency in dict.fromkeys([0, self.options.latency]):
                self.sink.delay(latency)
                samples = self.rounds(contestants)
                results.append(self.table(contestants, samples, latency))
        finally:
            self.sink.stop()
        return results

    def rounds(self, contestants):
        samples = {contestant.name: [] for contestant in contestants}
        for _ in range(self.options.rounds):
            root = self.work / f"root-{self.prefixes}"
            root.mkdir()
            others = [contestant for contestant in contestants if contestant.publish]
            # The watch first: what it has seen come is what the others find.
            for contestant in [contestants[0], *random.sample(others, len(others))]:
                self.prefixes += 1
                self.sink.counts()
                publish = contestant.publish or self.watched
                try:
                    samples[contestant.name].append(publish(root, f"{contestant.name.replace(' ', '-')}-{self.prefixes}"))
                except Failed as failure:
                    if not contestant.publish:
                        raise SystemExit(f"bench: {contestant.name}: {failure}") from None
                    print(f"\n{contestant.name}: {failure}", flush=True)
            shutil.rmtree(root)
        return samples

    def table(self, contestants, samples, latency):
        gigabytes = sum(self.sizes.values()) / 1e9
        print(f"\n## a unit of {len(self.sizes)} files and {gigabytes:.1f} GB, {latency} ms latency "
              f"(medians of {self.options.rounds})\n")
        print("| client | half visible s | longest | whole after s | requests | of these |")
        print("|---|---|---|---|---|---|")
        clients = {}
        for contestant in contestants:
            taken = samples[contestant.name]
            if not taken:
                print(f"| {contestant.name} | no sample | | | | |")
                continue
            half, whole = (statistics.median(getattr(sample, what) for sample in taken) for what in ("half", "whole"))
            longest = max(sample.half for sample in taken)
            counts = taken[-1].counts
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
            total = statistics.median(sum(sample.counts.values()) for sample in taken)
            clients[contestant.name] = {
                "half": half, "longest": longest, "whole": whole, "requests": total, "kinds": counts, "rounds": len(taken),
                "appeared": taken[-1].appeared,
            }  # fmt: skip
            print(f"| {contestant.name} | {half:.3f} | {longest:.3f} | {whole:.2f} | {total:g} | {kinds} |", flush=True)
        return {"latency": latency, "bytes": sum(self.sizes.values()), "clients": clients}


class Failed(Exception):
    """A client did not come to its end."""


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def write(directory, sizes):
    """One file after the other, as a program saves."""
    directory.mkdir()
    for name, size in sizes.items():
        benchrun.write_large(directory / name, size)


def unit(options, work):
    print(f"\nHow long a unit is half visible: from its first object to its last, by the server's own log. Goal: under {GOAL} s.")
    return Unit(options, work).run()


def unit_promise(results):
    """A reader that takes the newest directory meets one that is half there for a moment only."""
    broken = []
    for result in results:
        for name in ("s3mirror watch", "s3mirror upload"):
            client = result["clients"].get(name)
            if client and client["longest"] >= GOAL:
                broken.append(f"{name}: a unit was half visible for {client['longest']:.2f} s at {result['latency']} ms latency; "
                              f"the goal is under {GOAL} s")
    return broken
