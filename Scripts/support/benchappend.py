"""What an upload sends of a large file that changed: `Scripts/bench append`.

A log grows by a MiB at a time to --size MiB, and a checkpoint of as many (512 at least) is saved again and again under one name with 70 %
of its weights unchanged, as when a part of a model is frozen. `s3mirror watch` runs meanwhile. The sink counts the bytes of all bodies.
"""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import time

import benchpeers
import benchrun

MEBIBYTE = 1 << 20
BUCKET = "uploads"
# The goals: of what was appended, and of what was changed.
LOG_FACTOR, LOG_SPARE = 1.2, 8 * MEBIBYTE
CHECKPOINT_FACTOR = 1.05
UNCHANGED_PERCENT = 70
SAVES = 3
# A change costs the block of 16 MiB around it. Of a smaller checkpoint that would be more than 5 % of the changed part.
SMALLEST_CHECKPOINT = 512
OPEN_LOG_MEBIBYTES = 32  # of the log that stays open when the watch begins
OPEN_APPENDS = 10
WAIT_SECONDS = 120
WRITTEN, REPLACED = "written in place", "replaced by a rename"


@dataclasses.dataclass
class Result:
    title: str
    changed: int  # bytes that were appended, or that differ from the version before
    sent: int
    limit: float | None  # bytes; None where there is no goal
    requests: dict
    seconds: float
    processor_seconds: float  # of the watch


class Watch:
    """`s3mirror watch` over a directory, until the end of the block."""

    count = 0

    def __init__(self, options, work, sink, *flags):
        self.options, self.sink, self.flags = options, sink, flags
        self.directory = work / "watched"
        self.tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, sink.url, work)
        # Its socket must be found by no other s3mirror of this user.
        self.environment = {**self.tools.base, "XDG_RUNTIME_DIR": str(work)}
        self.log_path = options.built / "clients.log"

    def __enter__(self):
        self.directory.mkdir()
        self.log = open(self.log_path, "ab")
        # The sink remembers what the watch before has sent.
        Watch.count += 1
        command = [self.options.s3mirror, "watch", self.directory, f"s3://{BUCKET}/append-{Watch.count}", *self.flags]
        self.process = subprocess.Popen(
            list(map(str, command)), env=self.environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.flush()
        return self

    def __exit__(self, *_):
        # Killed: its comparison would send all of it again, since the sink lists nothing.
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory)

    def flush(self):
        """Publishes what is closed. Asked again while the watch is beginning."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            done = subprocess.run(
                [self.options.s3mirror, "flush"], env=self.environment, stdout=self.log, stderr=self.log, check=False
            )
            if done.returncode == 0:
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: s3mirror flush ended with status {done.returncode}, see {self.log_path}")
            time.sleep(0.1)


class Table:
    """The rows, each printed when it is known."""

    def __init__(self, sink):
        self.sink, self.results, self.seen = sink, [], {}
        print("| what | changed MB | sent MB | goal MB | sent / changed | s | CPU s | requests |")
        print("|---|---|---|---|---|---|---|---|")

    @contextlib.contextmanager
    def row(self, watch, title, changed, limit):
        self.take()
        self.seen = {}
        self.sink.ask("bytes")
        start, used = time.monotonic(), benchrun.processor_seconds(watch.process.pid)
        yield
        seconds = time.monotonic() - start
        used = benchrun.processor_seconds(watch.process.pid) - used
        self.take()
        result = Result(title, changed, self.sink.ask("bytes")["bytes"], limit, self.seen, seconds, used)
        self.results.append(result)
        goal = f"{limit / 1e6:.1f}" if limit is not None else ""
        requests = ", ".join(f"{count} {kind}" for kind, count in sorted(self.seen.items()))
        print(
            f"| {title} | {changed / 1e6:.1f} | {result.sent / 1e6:.1f} | {goal} | {result.sent / changed:.3f} | {seconds:.1f} "
            f"| {used:.1f} | {requests} |",
            flush=True,
        )

    def take(self):
        """Adds the requests since the last call, and returns them."""
        counts = self.sink.counts()
        counts.pop("cpu")
        for kind, count in counts.items():
            self.seen[kind] = self.seen.get(kind, 0) + count
        return counts

    def wait_for_object(self, watch):
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.take().keys() & {"Put", "Complete"}:
            if watch.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"bench: s3mirror watch published nothing, see {watch.log_path}")
            time.sleep(0.05)


def closed_log(options, work, table, piece):
    """The log is closed after each append, and published."""
    appended = options.size * MEBIBYTE
    with Watch(options, work, table.sink, "--interval", "3600") as watch:
        with table.row(watch, f"a log to {options.size} MiB", appended, LOG_FACTOR * appended + LOG_SPARE):
            for _ in range(options.size):
                with open(watch.directory / "train.log", "ab") as log:
                    log.write(piece)
                watch.flush()


def open_log(options, work, table, piece):
    """The log is never closed, and ticks publish what was appended."""
    appended = OPEN_APPENDS * MEBIBYTE
    with Watch(options, work, table.sink, "--interval", "1", "--settle", "0.1") as watch:
        with open(watch.directory / "train.log", "ab", buffering=0) as log:
            log.write(piece * OPEN_LOG_MEBIBYTES)
            table.take()
            table.wait_for_object(watch)
            title = f"a log that stays open, from {OPEN_LOG_MEBIBYTES} MiB to {OPEN_LOG_MEBIBYTES + OPEN_APPENDS} MiB"
            with table.row(watch, title, appended, LOG_FACTOR * appended + LOG_SPARE):
                for _ in range(OPEN_APPENDS):
                    log.write(piece)
                    table.wait_for_object(watch)


def checkpoint(options, work, table, how, flags=()):
    """One name is saved again and again; the beginning of its content stays."""
    mebibytes = max(options.size, SMALLEST_CHECKPOINT)
    size = mebibytes * MEBIBYTE
    unchanged = size * UNCHANGED_PERCENT // 100
    changed = SAVES * (size - unchanged)
    with Watch(options, work, table.sink, "--interval", "3600", *flags) as watch:
        path = watch.directory / "last.ckpt"
        benchrun.write_large(path, size)
        watch.flush()
        limit = None if flags else CHECKPOINT_FACTOR * changed
        with table.row(watch, " ".join([f"{SAVES} checkpoints of {mebibytes} MiB, {how}", *flags]), changed, limit):
            for _ in range(SAVES):
                save(path, unchanged, size, how)
                watch.flush()


def save(path, unchanged, size, how):
    target = path
    if how == REPLACED:
        target = path.with_name("last.ckpt.tmp")
        shutil.copyfile(path, target)
    with open(target, "r+b") as file:
        file.seek(unchanged)
        for start in range(unchanged, size, MEBIBYTE):
            file.write(os.urandom(min(MEBIBYTE, size - start)))
    if how == REPLACED:
        target.rename(path)


def append(options, work):
    print(f"\n## what is sent of a file that changed; a checkpoint keeps {UNCHANGED_PERCENT} % of its content\n")
    sink = benchrun.Sink(options.built / "sink", work, {BUCKET: (0, 0, 0)})
    # A MiB of the sink's content: it answers each part with the ETag and the CRC-32 of that.
    piece = benchrun.pattern()
    try:
        table = Table(sink)
        closed_log(options, work, table, piece)
        open_log(options, work, table, piece)
        checkpoint(options, work, table, WRITTEN)
        checkpoint(options, work, table, REPLACED)
        checkpoint(options, work, table, WRITTEN, ("--delta", "off"))
    finally:
        sink.stop()
    return [dataclasses.asdict(result) for result in table.results]


def append_promise(results):
    """Little more is sent than what changed."""
    return [
        f"{result['title']}: {result['sent']} bytes were sent for {result['changed']} that changed; the goal is {result['limit']:.0f}"
        for result in results
        if result["limit"] is not None and result["sent"] > result["limit"]
    ]
