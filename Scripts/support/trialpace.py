"""Pace: what arrives per second under --max-upload-rate, one large file in parts and many small ones, over several loops.

A proxy before the server stamps every piece of a body as it comes; the server (sink.c) is never the bottleneck.
"""

import os
import shutil
import time

import benchrun
from mirrorrun import environment
from proxy import CountingProxy

WORKERS = 10
SECONDS = 10  # of the stretch that is judged
LEAD = 1.0  # seconds after the first byte, in which connections are made
AVERAGE = 0.05  # how far the whole stretch may be off
SECOND = 0.10  # how far any second of it may be
# The largest amount in a tenth of a second, as a multiple of its share: a piece of 256 KiB plus the content of the kernel's
# buffers.
BURST = 2.0
MIB = 1 << 20


class Pace:
    def __init__(self, sink, s3mirror, work):
        self.binary, self.s3mirror, self.work = sink, s3mirror, work

    def run(self, rates):
        """Prints the table. Rates in MiB a second. Returns what was violated, as sentences."""
        found = []
        print(f"\nwhat arrives in {SECONDS} s with {WORKERS} workers\n")
        print("| what | limit MiB/s | arrived MiB/s | off | furthest second | largest tenth of a second |")
        print("|---|---|---|---|---|---|")
        sink = benchrun.Sink(self.binary, self.work, {"uploads": (0, 0, 0)})
        try:
            for rate in rates:
                for what in ("one file in parts", "files of 64 KiB"):
                    found += self.one(sink, what, rate)
        finally:
            sink.stop()
        return found

    def one(self, sink, what, rate):
        total = int(rate * MIB * (SECONDS + LEAD + 2))
        tree = self.work / "pace"
        tree.mkdir()
        if what == "one file in parts":
            # A sparse file, so reading it needs no disk.
            with open(tree / "file.bin", "wb") as file:
                file.truncate(total)
        else:
            each = 64 << 10
            benchrun.write_tree(tree, max(1, total // each // 100), 100, each)
        pieces = []  # (time, bytes); appended to by the proxy's threads

        def took(request):
            # `sent` counts the received bytes of one body. The difference to the last value is this piece.
            pieces.append((time.monotonic(), id(request), request.sent))

        with CountingProxy(int(sink.url.rsplit(":", 1)[1]), body_gate=took) as proxy:
            aws = {
                "AWS_ENDPOINT_URL": proxy.endpoint, "AWS_ACCESS_KEY_ID": "trial", "AWS_SECRET_ACCESS_KEY": "trial-secret",
                "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            }  # fmt: skip
            command = [self.s3mirror, "upload", tree, f"s3://uploads/{rate}", "--max-upload-rate", f"{int(rate * MIB)}"]
            sample = benchrun.weigh(
                [*command, "--max-workers", WORKERS, "--quiet"], {**environment(self.work), **aws}, sink,
                self.work / "pace.log", limit=120,
            )  # fmt: skip
        shutil.rmtree(tree)
        if sample is None:
            return [f"{what} at {rate} MiB/s: s3mirror failed"]
        return self.judge(what, rate, arrivals(pieces))

    def judge(self, what, rate, arrived):
        start = arrived[0][0] + LEAD
        if arrived[-1][0] < start + SECONDS:
            return [f"{what} at {rate} MiB/s: all had arrived after {arrived[-1][0] - arrived[0][0]:.1f} s"]
        tenths = [0] * (SECONDS * 10)
        for moment, count in arrived:
            index = int((moment - start) * 10)
            if moment >= start and index < len(tenths):
                tenths[index] += count
        average = sum(tenths) / SECONDS / MIB
        seconds = [sum(tenths[at : at + 10]) / MIB for at in range(len(tenths) - 9)]
        furthest = max(seconds, key=lambda each: abs(each - rate))
        largest = max(tenths) / MIB / (rate / 10)
        print(
            f"| {what} | {rate} | {average:.2f} | {average / rate - 1:+.1%} | {furthest / rate - 1:+.1%} | "
            f"{largest:.2f} times its share |",
            flush=True,
        )
        found = []
        if abs(average / rate - 1) > AVERAGE:
            found.append(f"{what} at {rate} MiB/s: {average:.2f} arrived")
        if abs(furthest / rate - 1) > SECOND:
            found.append(f"{what} at {rate} MiB/s: {furthest:.2f} in one second")
        if largest > BURST:
            found.append(f"{what} at {rate} MiB/s: {largest:.2f} times its share in a tenth of a second")
        return found


def arrivals(pieces):
    """(time, bytes that came then), in order."""
    seen, found = {}, []
    for moment, request, sent in sorted(pieces):
        found.append((moment, sent - seen.get(request, 0)))
        seen[request] = sent
    return found
