"""Many rounds, some at a time, each a process of its own; the server they share is replaced before its disk is full."""

import collections
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

import chaosfaults
import chaosselftest
from chaosdownload import DownloadRound
from chaosjudge import Violation
from chaosround import Result
from chaosupload import UploadRound
from ending import die_with_parent
from seaweedfs import SeaweedFS

BUCKET = "chaos"
ROUNDS_PER_SERVER = 60  # of some 50 MB each; SeaweedFS frees nothing at once
ROUND_SECONDS = 150  # beyond it the round itself hangs
PROGRESS_ROUNDS = 50


class Pool:
    """A server for so many rounds, then another. One is stopped when its last round has ended."""

    def __init__(self):
        self.current, self.given, self.users = None, 0, {}

    def take(self):
        if self.current is None or self.given >= ROUNDS_PER_SERVER:
            before = self.current
            self.current, self.given = SeaweedFS(bucket=BUCKET).__enter__(), 0
            self.users[self.current] = 0
            if before and not self.users[before]:
                self.stop(before)
        self.given += 1
        self.users[self.current] += 1
        return self.current

    def give_back(self, server):
        self.users[server] -= 1
        if not self.users[server] and server is not self.current:
            self.stop(server)

    def stop(self, server):
        del self.users[server]
        server.__exit__()

    def close(self):
        for server in list(self.users):
            self.stop(server)


@dataclasses.dataclass
class Running:
    seed: int
    fault: str
    server: SeaweedFS
    work: pathlib.Path
    ends: float
    is_weighed: bool
    planted: str | None = None
    is_self_test: bool = False


class Campaign:
    def __init__(self, s3mirror, kept, jobs, is_verbose=False, output=sys.stdout):
        self.s3mirror, self.kept, self.jobs = s3mirror, kept, jobs
        self.is_verbose, self.output = is_verbose, output
        self.is_weighed = True
        self.results = []
        self.planted = {}  # of a self-test: what was planted -> the result

    def run(self, rounds):
        """`rounds`: (seed, fault) pairs, or (seed, fault, what is planted) of a self-test. Returns their results."""
        waiting, running = collections.deque(rounds), {}
        total, began = len(waiting), time.monotonic()
        pool = Pool()
        try:
            while waiting or running:
                while waiting and len(running) < self.jobs:
                    seed, fault, *planted = waiting.popleft()
                    ends = time.monotonic() + ROUND_SECONDS
                    each = Running(seed, fault, pool.take(), self.directory(), ends, self.is_weighed, *planted, is_self_test=bool(planted))
                    running[fork(each, self.s3mirror)] = each
                for pid in list(running):
                    each = running[pid]
                    if time.monotonic() > each.ends:
                        os.kill(pid, signal.SIGKILL)
                    if os.waitpid(pid, os.WNOHANG) == (0, 0):
                        continue
                    del running[pid]
                    pool.give_back(each.server)
                    self.ended(each)
                    if len(self.results) % PROGRESS_ROUNDS == 0:
                        self.progress(total, time.monotonic() - began)
                time.sleep(0.02)
        finally:
            for pid, each in running.items():
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
                shutil.rmtree(each.work, ignore_errors=True)
            pool.close()
        return self.results

    def directory(self):
        work = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-chaos."))
        work.chmod(0o755)
        return work

    def ended(self, each):
        path = each.work / "result.json"
        if path.exists():
            facts = json.loads(path.read_text())
            result = Result(**{**facts, "violations": [Violation(**one) for one in facts["violations"]]})
        else:
            result = Result(each.seed, each.fault, ROUND_SECONDS, [], trouble="the round's process ended without a result")
        if result.violations or result.trouble:
            self.keep(each.work, self.kept / f"{each.fault}-{each.seed}")
        shutil.rmtree(each.work, ignore_errors=True)
        self.results.append(result)
        if each.is_self_test:
            self.planted[each.planted] = result
        else:
            self.show(result)

    def keep(self, work, directory):
        """What explains a violation, without the data."""
        directory.mkdir(parents=True, exist_ok=True)
        for pattern in ("journal.txt", "result.json", "mirror*.out", "small/log/*.gz"):
            for path in work.glob(pattern):
                shutil.copy(path, directory)

    def show(self, result):
        where = f"seed {result.seed}, fault {result.fault}"
        if self.is_verbose:
            recovery = "" if result.recovery is None else f", recovered after {result.recovery:.1f} s"
            self.print(f"round {result.seed} {result.fault} ({result.described}): {result.seconds:.1f} s{recovery}")
        for violation in result.violations:
            self.print(f"VIOLATION of {violation.rule}, {where}: {violation.facts}")
        if result.trouble:
            self.print(f"TROUBLE, {where}: {result.trouble}")
        if result.violations or result.trouble:
            self.print(f"    repeat: Scripts/chaos --seed {result.seed} --rounds 1 --only {result.fault}")
            self.print(f"    kept:   {self.kept}/{result.fault}-{result.seed}")

    def progress(self, total, seconds):
        bad = sum(bool(each.violations) for each in self.results)
        self.print(f"{len(self.results)} of {total} rounds in {seconds:.0f} s, {bad} with violations")

    def print(self, text):
        print(text, file=self.output, flush=True)


def fork(each, s3mirror):
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    # The child process must not return, because the parent's clean-up is not its own.
    status = 1
    try:
        die_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
        if os.getppid() == parent:
            play(each, s3mirror)
            status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def play(each, s3mirror):
    kind = DownloadRound if each.fault in chaosfaults.DOWNLOADS else UploadRound
    with contextlib.ExitStack() as stack:
        server = each.server
        if each.fault == "server-restart":
            server = stack.enter_context(SeaweedFS(bucket=BUCKET))
        round = kind(each.seed, each.fault, server, s3mirror, each.work)
        round.is_weighed = each.is_weighed
        if each.is_self_test:
            round.saboteur, round.written = functools.partial(chaosselftest.plant, each.planted), ()
        result = round.run()
    (each.work / "result.json").write_text(json.dumps(dataclasses.asdict(result)))
    round.explain()
