"""What one sick file costs the others: `Scripts/bench stuck`. The sink makes the keys below `sick` ill (sink.c, `enum sickness`).

`s3mirror watch` has two uploads: `run`, with an interval of a second, in which the sick files are in flight when 1,000 small
files and then the commit marker of their directory are written; and `other`, that only a flush publishes.
"""

import collections
import dataclasses
import math
import json
import os
import shutil
import signal
import statistics
import subprocess
import time
import urllib.request

import benchpeers
import benchrun

SMALL_FILES = 1000
SMALL_BYTES = 4096
INTERVAL = 1  # seconds, of the upload
SPARE = 1  # seconds that the others may take longer than an interval more than without a sick file
END_SECONDS = 120  # the longest end where nothing moves
SLOW_BYTES_PER_SECOND = 5_000_000
# The limit of a first attempt without an answer: 6 s, plus half a second for the checks.
FIRST_ATTEMPT_SECONDS = 6.5
SLOTS = 10  # by default
MULTIPART_BYTES = 24 << 20  # more than goes in one request by default
MOVING_SECONDS = 5  # how long an end is looked at where a transfer moves


@dataclasses.dataclass
class Illness:
    title: str
    sickness: str  # as the sink calls it
    size: int
    count: int = 1
    moves: bool = False  # its end takes as long as the transfer

    @property
    def is_healthy(self):
        return self.sickness == "none"

    @property
    def grace(self):
        """Seconds for which all slots may be taken: nothing tells a file that is not answered from a slow one before its first attempt
        has ended."""
        return FIRST_ATTEMPT_SECONDS * math.ceil(self.count / SLOTS) if self.count >= SLOTS else 0


def illnesses(options):
    found = {
        "healthy": Illness("no sick file", "none", SMALL_BYTES),
        "hang": Illness("a PUT is never answered", "hang-put", SMALL_BYTES),
        "complete": Illness("a completion is never answered", "hang-complete", MULTIPART_BYTES),
        "busy": Illness("503 with Retry-After: 30", "busy", SMALL_BYTES),
        "slow": Illness(f"{options.sick_size:g} GB at 5 MB/s", "slow", int(options.sick_size * 1e9), moves=True),
        "many": Illness(f"{options.many} PUTs are never answered", "hang-put", SMALL_BYTES, options.many),
    }
    wanted = options.only.split(",") if options.only else list(found)
    if unknown := set(wanted) - set(found):
        raise SystemExit(f"bench: {', '.join(sorted(unknown))}: no such sickness; there are {', '.join(found)}")
    # Without the healthy run there is nothing to compare with.
    return [illness for name, illness in found.items() if name in wanted or illness.is_healthy]


def stuck(options, work):
    print(f"\n## {SMALL_FILES} small files and a marker beside a sick file, `s3mirror watch` with `interval` {INTERVAL} "
          f"(medians of {options.rounds})\n")
    print("| the sick file | files s | marker s | flush of another upload s | end s | exit status |")
    print("|---|---|---|---|---|---|")
    results = []
    for illness in illnesses(options):
        samples = [Round(illness, options, work, number).run() for number in range(options.rounds)]
        results.append(row(illness, samples))
        shown = [value(results[-1][what]) for what in ("files", "marker", "flush", "end")]
        print(f"| {illness.title} | {' | '.join(shown)} | {results[-1]['statuses']} |", flush=True)
    print(f"\nGoals: files, marker and flush at most {INTERVAL + SPARE} s later than without a sick file, and where sick "
          f"files fill all slots their first attempts besides ({FIRST_ATTEMPT_SECONDS} s for each {SLOTS}); an end under "
          f"{END_SECONDS} s where nothing moves, and none that cuts what moves. `>` means not within that time.")
    return results


def row(illness, samples):
    """The medians of the rounds, in seconds. None where the median had not come when the round gave up, at `cap` seconds."""
    found = {"sickness": illness.title, "healthy": illness.is_healthy, "moves": illness.moves,
             "grace": illness.grace}
    for what in ("files", "marker", "flush", "end"):
        cap = samples[0]["caps"][what]
        middle = statistics.median(float("inf") if sample[what] is None else sample[what] for sample in samples)
        found[what] = {"seconds": None if middle == float("inf") else middle, "cap": cap}
    found["cut"] = any(sample["cut"] for sample in samples)
    found["statuses"] = ", ".join(sorted({str(sample["status"]) for sample in samples}))
    return found


def value(measured):
    return f">{measured['cap']:g}" if measured["seconds"] is None else f"{measured['seconds']:.2f}"


def stuck_promise(results):
    """The others go as if there were no sick file, and an end is bounded where nothing moves."""
    broken = []
    healthy = next(result for result in results if result["healthy"])
    for result in results:
        for what in ("files", "marker", "flush"):
            if healthy[what]["seconds"] is None:
                broken.append(f"{what} did not come in {healthy[what]['cap']:g} s without a sick file")
                continue
            limit = healthy[what]["seconds"] + INTERVAL + SPARE + result["grace"]
            if result[what]["seconds"] is None or result[what]["seconds"] > limit:
                broken.append(f"{result['sickness']}: {what} took {value(result[what])} s; the goal is {limit:.2f} s")
        if result["moves"]:
            if result["cut"]:
                broken.append(f"{result['sickness']}: SIGTERM cut a transfer that moved")
        elif result["end"]["seconds"] is None or result["end"]["seconds"] >= END_SECONDS:
            broken.append(f"{result['sickness']}: the end took {value(result['end'])} s; the goal is {END_SECONDS} s")
        # Unpublished files must be reported, also by the exit status.
        expected = "0" if result["healthy"] else None if result["moves"] else "1"
        if expected and result["end"]["seconds"] is not None and result["statuses"] != expected:
            broken.append(f"{result['sickness']}: the exit status was {result['statuses']}, not {expected}")
    return broken


class Round:
    """One `s3mirror watch` from its start to its end, beside a sink of its own."""

    def __init__(self, illness, options, work, number):
        self.illness, self.options = illness, options
        self.place = work / f"{illness.sickness}-{illness.count}-{number}"
        self.run_root, self.other_root = self.place / "run", self.place / "other"
        for directory in ("sick", "small"):
            (self.run_root / directory).mkdir(parents=True)
        self.other_root.mkdir()
        self.events = collections.defaultdict(dict)  # what happened -> path -> its first time
        self.last = {}  # what happened -> its last time

    def run(self):
        log = open(self.options.built / "watch.log", "ab")
        self.sink = benchrun.Sink(self.options.built / "sink", self.place, {"tree": (0, 0, 0)})
        tools = benchpeers.Tools(self.options.built, self.options.peers, self.options.s3mirror, self.sink.url, self.place)
        # `flush` must find this mirror's socket, and no other s3mirror of this user.
        self.environment = {**tools.base, "XDG_RUNTIME_DIR": str(self.place)}
        self.watch = subprocess.Popen(
            [self.options.s3mirror, "watch", "--config", self.configuration()],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        try:
            self.sink.ask(f"sick/{self.illness.sickness}/{SLOW_BYTES_PER_SECOND}")
            self.look()
            self.await_entry(log)
            self.fall_ill()
            published = self.publish_the_others()
            flush = self.flush_the_other(log)
            return {**published, "flush": flush, **self.end(), "caps": self.caps()}
        finally:
            if self.watch.poll() is None:
                self.watch.kill()
                self.watch.wait()
            self.sink.stop()
            log.close()
            shutil.rmtree(self.place)

    def caps(self):
        return {"files": self.options.cap, "marker": self.options.cap, "flush": self.options.cap, "end": self.options.end_cap}

    def configuration(self):
        path = self.place / "uploads.json"
        path.write_text(json.dumps({"uploads": [
            {"name": "run", "local": str(self.run_root), "remote": "s3://tree/run", "interval": INTERVAL},
            {"name": "other", "local": str(self.other_root), "remote": "s3://tree/other", "interval": 3600},
        ]}))
        return path

    # MARK: what happens

    def look(self):
        """Reads what the sink has logged since the last look."""
        with urllib.request.urlopen(f"{self.sink.url}/-/log") as answer:
            for line in answer.read().decode().splitlines():
                moment, what, path = line.split(" ", 2)
                self.events[what].setdefault(path, float(moment))
                self.last[what] = float(moment)

    def wait(self, is_there, seconds, what):
        """Whether it came within that time."""
        deadline = time.monotonic() + seconds
        while not is_there():
            if self.watch.poll() is not None:
                raise SystemExit(f"bench: s3mirror watch ended before {what}; see watch.log")
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
            self.look()
        return True

    def await_entry(self, log):
        """A file in each upload goes first: then both are watched, and entry is over."""
        (self.run_root / "small/first").write_bytes(b"x")
        (self.other_root / "first").write_bytes(b"x")
        if not self.wait(lambda: "/tree/run/small/first" in self.events["put"], 30, "its entry"):
            raise SystemExit("bench: s3mirror watch published nothing; see watch.log")
        subprocess.run([self.options.s3mirror, "flush", "other"], env=self.environment, stdout=log, stderr=log, check=True)

    def fall_ill(self):
        for number in range(self.illness.count):
            # The file gets its whole size at once, without pages, so reads return zeros.
            with open(self.run_root / f"sick/{number:03}.bin", "wb") as file:
                os.ftruncate(file.fileno(), self.illness.size)
        signs = {"none": "put", "slow": "slow", "busy": "busy"}
        sign = signs.get(self.illness.sickness, "hung")
        if not self.wait(lambda: self.sick_paths(sign), 30, "a sick file was in flight"):
            raise SystemExit("bench: no sick file was sent; see watch.log")
        # As many as are sent at one time.
        count = 0
        while count < (count := self.sick_paths(sign)):
            time.sleep(INTERVAL / 2)
            self.look()

    def sick_paths(self, sign):
        return sum("/sick" in path for path in self.events[sign])

    def publish_the_others(self):
        content = benchrun.pattern()[:SMALL_BYTES]
        for number in range(SMALL_FILES):
            (self.run_root / f"small/{number:04}").write_bytes(content)
        (self.run_root / "small/latest").write_bytes(b"small/0999")
        start = time.monotonic()
        wanted = {f"/tree/run/small/{number:04}" for number in range(SMALL_FILES)}
        marker = "/tree/run/small/latest"
        self.wait(lambda: marker in self.events["put"] and wanted <= self.events["put"].keys(), self.options.cap, "the others")
        there = wanted <= self.events["put"].keys()
        files = max(self.events["put"][path] for path in wanted) - start if there else None
        return {"files": files, "marker": self.events["put"][marker] - start if marker in self.events["put"] else None}

    def flush_the_other(self, log):
        (self.other_root / "file").write_bytes(b"content")
        start = time.monotonic()
        try:
            subprocess.run([self.options.s3mirror, "flush", "other"], env=self.environment, stdout=log, stderr=log,
                           check=True, timeout=self.options.cap)
        except subprocess.TimeoutExpired:
            return None
        seconds = time.monotonic() - start
        self.look()
        if "/tree/other/file" not in self.events["put"]:
            raise SystemExit("bench: a flush ended before its file was published")
        return seconds

    def end(self):
        start = time.monotonic()
        self.watch.send_signal(signal.SIGTERM)
        if self.illness.moves:
            return self.end_while_moving()
        try:
            status = self.watch.wait(self.options.end_cap)
        except subprocess.TimeoutExpired:
            return {"end": None, "status": "killed", "cut": False}
        return {"end": time.monotonic() - start, "status": status, "cut": False}

    def end_while_moving(self):
        """The first signal leaves the transfer alone; what is measured is the end by a second one."""
        try:
            status = self.watch.wait(MOVING_SECONDS)
            return {"end": MOVING_SECONDS, "status": status, "cut": True}
        except subprocess.TimeoutExpired:
            self.look()
        cut = time.monotonic() - self.last["slow"] > MOVING_SECONDS / 2
        start = time.monotonic()
        self.watch.send_signal(signal.SIGTERM)
        try:
            status = self.watch.wait(self.options.end_cap)
        except subprocess.TimeoutExpired:
            return {"end": None, "status": "killed", "cut": cut}
        return {"end": time.monotonic() - start, "status": f"{status} by a second signal", "cut": cut}
