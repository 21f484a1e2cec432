"""Session: SIGKILL of a Python program at a random moment. No process stays, nothing torn is on S3, and the next run converges.

The program is a training loop with the package `s3mirror`: it writes, renames and removes checkpoints, and flushes. The moment
falls into the start of the session, the entry, the body, a flush or the exit.

A writer that is killed leaves half a file here, closed by the kernel, and the session publishes what lies here. Such an object is
counted apart: it must be the very file that was left, and published after the kill. Any other half is torn.
"""

import hashlib
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

from ending import die_with_parent
from independent import Prefix
from mirrorrun import environment
from seaweedfs import SeaweedFS
from sessions import sessions_of

BUCKET = "trial"
PYTHON = pathlib.Path(__file__).resolve().parents[2] / "Sources" / "Python"
SECONDS = 120  # for a session to publish what is left, and for a run
POLL_SECONDS = 0.01

# Every file begins with the digest of its rest, so that an incomplete file is noticed.
LOOP = """
import hashlib, os, random, sys
from s3mirror import Mirror, Upload

url, tree, seed, steps = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
source = random.Random(seed)

def save(path, size):
    body = source.randbytes(size)
    with open(path, "wb") as file:
        file.write(hashlib.sha256(body).hexdigest().encode())
        file.write(body)

print("start", flush=True)
with Mirror(out=Upload(url, local=tree, interval=0.2)) as m:
    print("body", flush=True)
    for step in range(steps):
        save(m.out / ".tmp", source.randrange(1, 1 << 20))
        os.replace(m.out / ".tmp", m.out / f"step-{step % 8}")
        save(m.out / "latest", 10)
        if step % 5 == 4:
            (m.out / f"step-{source.randrange(8)}").unlink(missing_ok=True)
        if step % 3 == 2:
            print("flush", flush=True)
            m.flush("out")
    print("exit", flush=True)
print("end", flush=True)
"""


class Sessions:
    def __init__(self, s3mirror, work, seed):
        self.s3mirror, self.work, self.seed = s3mirror, work, seed
        self.random = random.Random(f"{seed}/session")

    def run(self, count):
        """Prints the table. Returns what was violated, as sentences."""
        found = []
        print("\nSIGKILL of a Python program in a mirror, and the next run\n")
        columns = ["killed after s", "it had come to", "session gone after s", "left half", "files here"]
        columns += ["objects after the next run"]
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        with SeaweedFS(bucket=BUCKET) as self.server:
            # The duration of a run without a kill. The kills come at random moments of it.
            tree = self.work / "measured"
            tree.mkdir()
            measured = self.start(Prefix(self.server.client(), BUCKET, "measured/"), tree, 12)
            began = time.monotonic()
            measured.communicate(timeout=SECONDS)
            if measured.returncode != 0:
                return [f"a run that nobody kills ended with {measured.returncode}"]
            length = time.monotonic() - began
            for number in range(count):
                found += [f"kill {number}: {each}" for each in self.one(number, length)]
        return found

    def start(self, prefix, tree, steps):
        """Returns when the package is imported: a kill before that would meet nothing."""
        given = environment(self.work)
        started = subprocess.Popen(
            [sys.executable, "-c", LOOP, f"s3://{BUCKET}/{prefix.prefix.rstrip('/')}", str(tree),
             str(self.random.random()), str(steps)],
            env={**given, **self.server.environment(), "S3MIRROR_BIN": str(self.s3mirror), "PYTHONPATH": str(PYTHON)},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        if started.stdout.readline() != "start\n":
            sys.exit(f"the program cannot begin: {started.communicate()[1]}")
        return started

    def one(self, number, length):
        tree = self.work / f"tree-{number}"
        tree.mkdir()
        prefix = Prefix(self.server.client(), BUCKET, f"session-{number}/")
        after = self.random.uniform(0, length)
        while True:
            victim = self.start(prefix, tree, 12)
            time.sleep(after)
            victim.send_signal(signal.SIGKILL)
            killed, instant = time.monotonic(), time.time()
            said, _ = victim.communicate()
            if victim.returncode == -signal.SIGKILL and "end" not in said:
                break
            # The mirror had already ended; the kill should come before its end.
            after *= 0.8
        problems = []
        while sessions_of(victim.pid):
            if time.monotonic() - killed > SECONDS:
                for session in sessions_of(victim.pid):
                    os.kill(session, signal.SIGKILL)
                problems.append(f"its session was there after {SECONDS} s")
            time.sleep(POLL_SECONDS)
        gone = time.monotonic() - killed
        halves = {name: body for name, body in contents(prefix).items() if is_torn(body)}
        for name, body in halves.items():
            if read(tree / name) != body:
                problems.append(f"{name} is torn on S3, and not what the killed writer left")
            elif published(prefix, name) < int(instant):
                problems.append(f"{name} was published half while its writer was alive")
        survivor = self.start(prefix, tree, 3)
        _, messages = survivor.communicate(timeout=SECONDS)
        if survivor.returncode != 0:
            problems.append(f"the next run ended with {survivor.returncode}: {messages}")
        if sessions_of(survivor.pid):
            problems.append("the next run left its session")
        here = {str(each.relative_to(tree)): each.read_bytes() for each in tree.rglob("*") if each.is_file()}
        there = contents(prefix)
        if here != there:
            names = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
            problems.append(f"after the next run these differ: {', '.join(names)}")
        stage = (said.split() or ["start"])[-1]
        print(f"| {after:.2f} | {stage} | {gone:.2f} | {len(halves)} | {len(here)} | {len(there)} |", flush=True)
        return problems


def contents(prefix):
    """Every object below, by its key: what boto3 reads."""
    return {name: prefix.read(name) for name in prefix.names()}


def read(path):
    return path.read_bytes() if path.is_file() else None


def published(prefix, name):
    """When, in whole seconds since 1970, which is as exact as S3 says it."""
    head = prefix.client.head_object(Bucket=BUCKET, Key=prefix.prefix + name)
    return int(head["LastModified"].timestamp())


def is_torn(body):
    return hashlib.sha256(body[64:]).hexdigest().encode() != body[:64]
