"""Trials of what s3mirror promises. Called by Scripts/trial, which builds what they need."""

import argparse
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

import pages
from ending import raise_on_signals
from motoserver import MotoServer
from seaweedfs import SeaweedFS
from trialgroup import BUCKET as GROUP_BUCKET
from trialgroup import Groups
from trialkill import Kill
from triallimit import Limit
from trialmemory import Memory
from trialpace import Pace
from trialreaders import Readers
from trialrows import ROWS, lightning_row
from trialsession import Sessions
from trialtorn import Torn

MIB = 1 << 20
SHARED = pathlib.Path("/dev/shm")


def torn(options, work):
    count = options.trials or (24 if options.quick else 200)
    control = 0 if options.no_control else 6 if options.quick else max(8, count // 5)
    trees = {"disk": work / "disk"}
    if options.dir is None and os.access(SHARED, os.W_OK):
        # A filesystem in memory treats the times of mapped files differently from a disk.
        trees["memory"] = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-trial-", dir=SHARED))
    trees["disk"].mkdir()
    try:
        largest = 24 * MIB if options.quick else 64 * MIB
        trial = Torn(options.built / "writer", options.s3mirror, work, trees, options.seed, largest, options.kinds)
        return trial.run(count, control)
    finally:
        for tree in trees.values():
            shutil.rmtree(tree, ignore_errors=True)


def kill(options, work):
    size = options.size or (256 if options.quick else 1024)
    return Kill(options.s3mirror, work, options.seed).run(options.trials or (1 if options.quick else 5), size * MIB)


def memory(options, work):
    trial = Memory(options.built / "sink", options.s3mirror, work)
    if options.quick:
        return trial.run(large=1024, several=64, small=2000)
    return trial.run(large=4096, several=1024, small=20_000)


def session(options, work):
    return Sessions(options.s3mirror, work, options.seed).run(options.trials or (5 if options.quick else 50))


def group(options, work):
    members, steps = (4, 10) if options.quick else (8, 200)
    server = SeaweedFS(bucket=GROUP_BUCKET) if options.server == "seaweedfs" else MotoServer(GROUP_BUCKET, options.moto)
    with server:
        return Groups(options.s3mirror, work, options.seed, server).run(members, options.trials or steps)


def readers(options, work):
    seconds = options.trials or (6 if options.quick else 20)
    rows = [*ROWS, lightning_row(options.s3mirror)]
    rows = [row for row in rows if not options.only or row.save.__name__ in options.only]
    return Readers(options.s3mirror, work, seconds, [1] if options.quick else [0, 1]).run(rows)


def pace(options, work):
    return Pace(options.built / "sink", options.s3mirror, work).run([8] if options.quick else [1, 8, 64])


def limit(options, work):
    return Limit(options.s3mirror, work).run(500 if options.quick else 3000)


def main():
    parser = argparse.ArgumentParser(prog="Scripts/trial", description=__doc__)
    parser.add_argument("trial", choices=["torn", "kill", "memory", "session", "group", "readers", "pace", "limit", "all"])
    parser.add_argument("--quick", action="store_true", help="a smaller number, and smaller files")
    parser.add_argument("--trials", type=int, help="how many: 200 of torn, 5 of kill, 50 of session, 200 steps of group; 20 seconds of each of readers")
    parser.add_argument("--server", choices=["seaweedfs", "moto"], default="seaweedfs", help="the server of group")
    parser.add_argument("--only", nargs="+", help="the rows of readers, by the names of their functions")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--kinds", nargs="+", choices=pages.KINDS, default=pages.KINDS, help="the writers of torn")
    parser.add_argument("--no-control", action="store_true", help="torn: leave boto3's own uploads out")
    parser.add_argument("--size", type=int, help="of the file of kill, in MiB; 1024 by default")
    parser.add_argument("--dir", help="where the files lie; by default on the disk, and for torn in memory too")
    parser.add_argument("--keep", action="store_true", help="leave the working directory behind")
    parser.add_argument("--built", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--s3mirror", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--moto", help=argparse.SUPPRESS)
    options = parser.parse_args()
    raise_on_signals()
    # Memory comes first: for a child process getrusage(2) reports at least what this process used when it started the child.
    trials = {"memory": memory, "torn": torn, "kill": kill, "session": session, "limit": limit}
    timed = {"group": group, "pace": pace, "readers": readers}
    verdicts = []
    # A rule about seconds does not belong to the checks that a busy machine must pass.
    for name in trials if options.trial == "all" else [options.trial]:
        print(f"\n# {name}, seed {options.seed}", flush=True)
        work = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-trial.", dir=options.dir))
        began = time.monotonic()
        try:
            violations = {**trials, **timed}[name](options, work)
        finally:
            if options.keep:
                print(f"kept: {work}")
            else:
                shutil.rmtree(work, ignore_errors=True)
        for violation in violations[:20]:
            print(f"FAIL {violation}")
        verdicts.append(f"{name}: {f'{len(violations)} violations' if violations else 'held'}")
        print(f"\n{verdicts[-1]}, in {time.monotonic() - began:.0f} s, seed {options.seed}", flush=True)
    if len(verdicts) > 1:
        print("\n" + "; ".join(verdicts))
    return 1 if any("violations" in each for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
