"""A writer in the style of training, whose every file describes itself (chaoscontent.py). It keeps a ledger.

Checkpoints with shards, an index and `latest`; rotation; an optimizer state rewritten in place, through write(2), a mapping
or truncation; slow writes of whole files; logs that stay open; renames into place; hard and symbolic links. Each of these is
a generator that yields how long it pauses; one thread runs them all, so the seed decides their order.
"""

import contextlib
import heapq
import itertools
import mmap
import os
import pathlib
import random
import shutil
import threading
import time

import chaoscontent as content
from chaosledger import Ledger

KIB, MIB = 1 << 10, 1 << 20
KEPT = 2  # checkpoints
# A marker waits for all data below its directory. Files that are written without a pause are in another directory; otherwise no
# marker would ever be published.
RUN = "run"
STATE, LATEST = f"{RUN}/optimizer.state", f"{RUN}/latest"


class Writer:
    """Writes below `root` from start() to finish()."""

    def __init__(self, root, seed, interval, is_hectic=False, only=None):
        self.root = pathlib.Path(root)
        self.random = random.Random(f"{seed}/writer")
        self.interval = interval
        self.pace = (0.1, 0.5) if is_hectic else (0.8, 2.2)  # seconds from one checkpoint to the next
        self.ledger = Ledger()
        self.step = 0
        self.trouble = []  # what the writer could not do: a fault of the harness
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._files = contextlib.ExitStack()
        self._state_version = 0
        optional = [self.state, self.replaced, self.slow, self.table, self.events, self.rotated, self.links, self.passing]
        chosen = self.random.sample(optional, k=self.random.randint(3, len(optional)))
        if only is not None:
            chosen = [each for each in optional if each.__name__ in only]
        self.tasks = [self.checkpoints, self.log, *chosen]

    def before(self):
        """What is there when the mirror starts: files of an earlier life."""
        for number in range(self.random.randint(1, 5)):
            path = f"data/part-{number}.bin"
            self.write(path, path, 1, self.size(1, 64))

    def start(self):
        self._thread.start()

    def hold(self):
        """Ends what never ends by itself, and lets the rest go on at its own pace."""
        self._stopping.set()

    def finish(self):
        """Everything is written out and closed when this returns."""
        self._stopping.set()
        self._hurry.set()
        if not self.is_unstarted():
            self._thread.join()

    def is_unstarted(self):
        return self._thread.ident is None

    def _run(self):
        count = itertools.count()
        queue = [(time.monotonic(), next(count), task()) for task in self.tasks]
        heapq.heapify(queue)
        try:
            while queue:
                due, _, task = heapq.heappop(queue)
                if (wait := due - time.monotonic()) > 0 and not self._hurry.is_set():
                    # finish() wakes this; a hold leaves the pace unchanged.
                    self._hurry.wait(wait)
                pause = next(task, None)
                if pause is not None:
                    heapq.heappush(queue, (time.monotonic() + pause, next(count), task))
        except Exception as error:  # shown by the round: a writer that stopped proves nothing
            self.trouble.append(f"{type(error).__name__}: {error}")
        finally:
            self._files.close()

    # What it writes

    def checkpoints(self):
        kept = []
        while not self._stopping.is_set():
            self.step += 1
            yield from self.checkpoint(self.step)
            kept.append(f"{RUN}/step-{self.step}")
            if len(kept) > KEPT:
                self.remove(kept.pop(0))
            yield self.random.uniform(*self.pace)

    def checkpoint(self, step):
        name = f"{RUN}/step-{step}"
        directory = self.random.choice([name, f"{RUN}/tmp-step-{step}"])
        self.make(directory)
        files = {}
        for number in range(self.random.randint(1, 3)):
            shard = f"{name}/model-{number:05}.bin"
            large = number == 0 and self.random.random() < 0.3
            size = self.size(5300, 6500) if large else self.size(2, 200)
            path = f"{directory}/model-{number:05}.bin"
            files[shard] = yield from self.slowly(path, shard, step, size, self.random.choice([0.0, 0.0, 0.3]))
        index = "model.index.json"
        self.write_marker(f"{directory}/{index}", f"{name}/{index}", step, files)
        if directory != name:
            yield self.random.choice([0.0, 0.1])
            self.rename(directory, name)
        if self.state in self.tasks and self._state_version and self.ledger.waits(STATE, 0):
            files = {**files, STATE: self._state_facts}
        self.write_marker(LATEST, LATEST, step, files, renamed=self.random.random() < 0.5)

    def log(self):
        yield from self.growing("train.log", 0.02, 0.25)

    def rotated(self):
        """A log that is renamed away while it is open; another begins under its name."""
        for number in itertools.count():
            name = f"console-{number}.out"
            yield from self.growing("console.out", 0.05, 0.3, self.random.uniform(1, 3), number, name)
            if self._stopping.is_set():
                return

    def events(self):
        for number in itertools.count():
            yield from self.growing(f"tb/events.out.tfevents.{number}.host", 0.05, 0.4, self.random.uniform(1, 3))
            if self._stopping.is_set():
                return

    def table(self):
        """Opened, extended and closed each time."""
        path, count = "metrics.csv", 0
        while not self._stopping.is_set():
            more = self.random.randint(1, 20)
            with self.opened(path, path, "ab") as file:
                file.write(content.lines(path, 0, more, first=count))
            count += more
            self.ledger.closed(path, count * (content.LINE + 1))
            yield self.random.uniform(0.1, 0.6)

    def state(self):
        """In place, at equal size: no comparison of sizes sees it."""
        path, size = STATE, self.size(64, 900)
        for version in itertools.count(1):
            way = self.random.choice(["write", "mapping", "truncate"]) if version > 1 else "truncate"
            seconds = self.random.choice([0.0, 0.05, 0.4])
            if way == "mapping":
                yield from self.through_mapping(path, version, size, seconds)
            else:
                yield from self.slowly(path, path, version, size, seconds, "r+b" if way == "write" else "wb")
            self._state_version = version
            self._state_facts = facts(path, version, size)
            if self._stopping.is_set():
                return
            yield self.interval + self.random.uniform(1.5, 3)

    def replaced(self):
        """Written beside it and renamed into place."""
        path = "vocab.bin"
        for version in itertools.count(1):
            temporary = self.random.choice([".vocab.tmp", f"vocab.bin.tmp{version}"])
            self.write(temporary, path, version, self.size(1, 300))
            yield self.random.choice([0.0, 0.02])
            self.rename(temporary, path)
            if self._stopping.is_set():
                return
            yield self.random.uniform(0.2, 1.0)

    def slow(self):
        """Whole files whose writing takes longer than an interval; the second time over a good one."""
        path = "slow.bin"
        for version in itertools.count(1):
            seconds = (self.interval + 1) * self.random.uniform(1.1, 1.6)
            yield from self.slowly(path, path, version, self.size(200, 1500), seconds, "wb")
            if self._stopping.is_set():
                return
            yield self.interval + self.random.uniform(1.5, 2.5)

    def links(self):
        for number in itertools.count():
            yield self.random.uniform(0.4, 1.2)
            if self._stopping.is_set():
                return
            shard = f"{RUN}/step-{self.step}/model-00000.bin"
            if os.path.exists(self.root / shard):
                if number % 2:
                    self.symlink(os.path.dirname(shard), "last")
                elif not self.ledger.entries[shard].is_open:
                    self.link(shard, f"best-{number}.bin")

    def passing(self):
        """Files that come and go at once, and empty directories."""
        for number in itertools.count():
            if self._stopping.is_set():
                return
            path = f"scratch-{number}.bin"
            self.write(path, path, 1, self.size(1, 20))
            self.make(f"empty/{number}")
            yield self.random.uniform(0, 0.3)
            self.remove(path)
            yield self.random.uniform(0.1, 0.5)

    # How it writes

    def size(self, least, most):
        return content.fitting(self.random.randint(least * KIB, most * KIB))

    def make(self, directory):
        (self.root / directory).mkdir(parents=True, exist_ok=True)

    def opened(self, path, name, mode):
        self.make(os.path.dirname(path))
        self.ledger.opened(path, name)
        return open(self.root / path, mode, buffering=0)

    def write(self, path, name, version, size):
        with self.opened(path, name, "wb") as file:
            file.write(content.whole(name, version, size))
        self.ledger.closed(path, version)
        return facts(name, version, size)

    def slowly(self, path, name, version, size, seconds, mode="wb"):
        """A generator: the file is complete `seconds` later. Its value is what a marker says of it."""
        count = content.block_count(size)
        with self.opened(path, name, mode) as file:
            for number, block in enumerate(content.blocks(name, version, size), start=1):
                file.write(block)
                if seconds and number < count and number * 10 // count != (number - 1) * 10 // count:
                    yield seconds / 10
        self.ledger.closed(path, version)
        return facts(name, version, size)

    def through_mapping(self, path, version, size, seconds):
        with self.opened(path, path, "r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
            for number, block in enumerate(content.blocks(path, version, size)):
                mapped[number * content.BLOCK : number * content.BLOCK + len(block)] = block
                if seconds and number % 8 == 7:
                    yield seconds / 10
            mapped.flush()
        self.ledger.closed(path, version)

    def growing(self, path, least, most, seconds=None, generation=0, renamed=None):
        """A log that stays open; lines come in any number, cut at any byte."""
        count, ends = 0, time.monotonic() + seconds if seconds else None
        with self.opened(path, path, "ab") as file:
            while not self._stopping.is_set() and (ends is None or time.monotonic() < ends):
                more = self.random.randint(1, 30)
                text = content.lines(path, generation, more, first=count)
                cut = self.random.randrange(len(text))
                file.write(text[:cut])
                file.write(text[cut:])
                count += more
                self.ledger.grew(path, count * (content.LINE + 1))
                yield self.random.uniform(least, most)
            if renamed and not self._stopping.is_set():
                self.rename(path, renamed)
                path = renamed
        self.ledger.closed(path, count * (content.LINE + 1))

    def write_marker(self, path, name, version, files, renamed=False):
        written = f"{path}.tmp" if renamed else path
        with self.opened(written, name, "wb") as file:
            file.write(content.marker(name, version, files))
        self.ledger.closed(written, version)
        if renamed:
            self.rename(written, path)

    def rename(self, old, new):
        os.rename(self.root / old, self.root / new)
        self.ledger.moved(old, new)

    def link(self, old, new):
        os.link(self.root / old, self.root / new)
        self.ledger.linked(old, new)

    def symlink(self, target, path):
        (self.root / path).unlink(missing_ok=True)
        os.symlink(target, self.root / path)

    def remove(self, path):
        self.ledger.goes(path)
        if (self.root / path).is_dir():
            shutil.rmtree(self.root / path)
        else:
            (self.root / path).unlink()


def facts(name, version, size):
    """What a marker says of a file."""
    return {"version": version, "bytes": size, "sha256": content.digest(content.whole(name, version, size))}
