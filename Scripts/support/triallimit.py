"""A server that serves a few requests at one time and refuses the others: SeaweedFS with its circuit breaker.

Everything has to arrive, whatever number of requests the user wishes. An independent client compares every byte.
"""

import os
import shutil
import subprocess
import time

import transferlog
from independent import Prefix
from mirrorrun import environment
from seaweedfs import SeaweedFS

MOST = 6  # requests of a kind that the server takes at one time; the independent client sends fewer
NUMBERS = ("auto", "64", "256")
SMALL_BYTES, SMALL_EACH = 4096, 100
LARGE_BYTES = 200 << 20
SECONDS = 600  # for one command
SETTLE_SECONDS = 2  # the gateway reads its limits when they change, a moment later


class Limit:
    def __init__(self, s3mirror, work):
        self.s3mirror, self.work = s3mirror, work
        self.repeated = 0  # transfers of which a request was sent twice or more

    def run(self, small):
        """Prints the table. Returns what was violated, as sentences."""
        tree = self.work / "tree"
        for number in range(small):
            path = tree / f"d{number // SMALL_EACH:03}/f{number:05}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(SMALL_BYTES))
        (tree / "large.bin").write_bytes(os.urandom(LARGE_BYTES))
        print(
            f"\n{small} files of 4 KiB and one of {LARGE_BYTES >> 20} MiB, {MOST} requests at one time\n\n"
            "| --max-workers | way | seconds | sent twice or more | attempts at the most | what S3 or the tree holds |\n"
            "|---|---|---|---|---|---|"
        )
        found = []
        fetched = self.work / "fetched"
        with SeaweedFS() as server:
            server.limit_requests(MOST)
            time.sleep(SETTLE_SECONDS)
            for number in NUMBERS:
                prefix = Prefix(server.client(), server.bucket, f"{number}/")
                remote = f"s3://{server.bucket}/{number}"
                found += self.transfer(server, prefix, number, "up", tree, [tree, remote])
                found += self.transfer(server, prefix, number, "down", fetched, [remote + "/", fetched])
                shutil.rmtree(fetched, ignore_errors=True)
        if not self.repeated:
            found.append("no request was sent twice, so the server showed no limit")
        return found

    def transfer(self, server, prefix, number, way, tree, ends):
        """Runs the command and compares the tree with what is under the prefix. Returns what was violated, as sentences."""
        logs = self.work / f"log-{number}-{way}"
        began = time.monotonic()
        ended = subprocess.run(
            [self.s3mirror, f"{way}load", *ends, "--max-workers", number, "--log-dir", logs, "--quiet"],
            env={**environment(self.work), **server.environment()}, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        seconds = time.monotonic() - began
        attempts = transferlog.attempts(transferlog.records(logs))
        repeated = sum(each > 1 for each in attempts)
        self.repeated += repeated
        row = f"| {number} | {way} | {seconds:.1f} | {repeated} | {max(attempts, default=0)}"
        what = f"--max-workers {number}, {way}"
        if ended.returncode:
            print(f"{row} | status {ended.returncode} |\n{ended.stderr[-2000:]}")
            return [f"{what}: ended with status {ended.returncode}"]
        comparison = prefix.compare(tree)
        print(f"{row} | {comparison} |", flush=True)
        return [] if comparison.complete else [f"{what}: {comparison}"]
