"""One round of chaos: a writer, a mirror behind the fault proxy, one fault, and the judge beside them."""

import dataclasses
import json
import os
import pathlib
import random
import resource
import signal
import threading
import time

import chaoscontent as content
import chaosend
import chaosfaults
from chaosjudge import Judge, Violation
from chaosprocess import MIB, MirrorProcess, become_nobody, mount_tmpfs, own_mounts, remount, unmount
from chaosproxy import FaultProxy
from chaoswriter import Writer
from seaweedfs import REGION

GRACE_SECONDS = 10  # from the end of a fault to publication, beside one interval
EXIT_SECONDS = 25  # a drain that has nothing but small files takes a second
HARM_SECONDS = 3  # longer than planned, until a fault has harmed something
LINES = 200  # of standard error, in one round
MEMORY = 160 * MIB  # private; the promise is 96 MiB of payload, and the rest is small
DESCRIPTORS, THREADS = 128, 48
# How much more there may be at rest after the fault than at rest before it.
MORE_DESCRIPTORS, MORE_THREADS = 40, 16


@dataclasses.dataclass
class Result:
    seed: int
    fault: str
    seconds: float
    violations: list
    recovery: float | None = None
    described: str = ""
    trouble: str = ""  # the harness could not carry the round out
    harmed: int = 0


class Journal:
    """What happened when, for whoever has to find out why."""

    def __init__(self):
        self.began = time.time()
        self.lines = []
        self._lock = threading.Lock()

    def note(self, text):
        with self._lock:
            self.lines.append(f"{time.time() - self.began:8.3f}  {text}")


class Round:
    def __init__(self, seed, name, server, s3mirror, work, own_server=None):
        self.seed, self.name, self.server, self.s3mirror = seed, name, server, s3mirror
        self.work = pathlib.Path(work)
        self.random = random.Random(f"{seed}/{name}/round")
        self.fault = chaosfaults.draw(name, seed)
        self.journal = Journal()
        self.prefix = f"{name}-{seed}/"
        self.tree = self.work / "tree"
        self.small = self.work / "small"  # state, logs and caches; a small filesystem of its own in disk faults
        self.log = self.small / "log"
        self.own_server = own_server
        self.interval = self.random.choice([0, 0.5, 1, 1])
        self.result = Result(seed, name, 0.0, [], described=self.fault.describe())
        self.mirrors = []
        self.recovery = None

    def run(self):
        began = time.monotonic()
        try:
            self.prepare()
            self.proxy = FaultProxy(self.server.port, self.choose)
            with self.proxy:
                try:
                    self.play()
                finally:
                    for each in self.mirrors:
                        each.kill()
            self.weigh_all()
        except Exception as error:
            self.result.trouble = f"{type(error).__name__}: {error}"
            self.journal.note(f"TROUBLE {self.result.trouble}")
        self.result.harmed = self.proxy.harmed if hasattr(self, "proxy") else 0
        self.result.seconds = time.monotonic() - began
        return self.result

    def choose(self, request):
        effect = self.fault.choose(request)
        part = f" part {request.part}" if request.part else ""
        self.journal.note(f"{request.operation} {request.key}{part}, {request.size} bytes{describe(effect)}")
        return effect

    def prepare(self):
        """Before any thread: mounts and the user."""
        self.tree.mkdir()
        self.small.mkdir()
        place = self.fault.place
        if place in chaosfaults.NEEDS_MOUNTS:
            own_mounts()
        if place in ("disk-full", "disk-read-only"):
            mount_tmpfs(self.small, "256k")
        if place == "disk-read-only":
            (self.small / "log").mkdir()
            remount(self.small, "ro")
        if place == "unmounted":
            mount_tmpfs(self.tree / "volume", "8m")
        if place == "unreadable":
            become_nobody(self.work)

    def mirror(self, words, output):
        limits = []
        if self.fault.place == "few-descriptors":
            limits.append((resource.RLIMIT_NOFILE, self.fault.facts["limit"]))
        if self.fault.place == "little-memory":
            limits.append((resource.RLIMIT_DATA, self.fault.facts["limit"] * MIB))
        command = [self.s3mirror, *words, "--log-dir", self.log, "--no-progress"]
        aws = self.credentials()
        aws |= {"XDG_STATE_HOME": str(self.small / "state"), "XDG_CACHE_HOME": str(self.small / "cache")}
        self.journal.note(f"$ {' '.join(map(str, command))}")
        started = MirrorProcess(command, self.work, aws, self.work / output, limits)
        self.mirrors.append(started)
        return started

    def credentials(self):
        found = self.server.environment(self.proxy.endpoint)
        if self.name == "expired-token":
            provider, calls = self.work / "provider.sh", self.work / "provider-calls"
            answer = {
                "Version": 1,
                "AccessKeyId": found.pop("AWS_ACCESS_KEY_ID"),
                "SecretAccessKey": found.pop("AWS_SECRET_ACCESS_KEY"),
            }
            provider.write_text(f"#!/bin/sh\necho >>'{calls}'\necho '{json.dumps(answer)}'\n")
            provider.chmod(0o755)
            (self.work / "aws-config").write_text(f"[default]\nregion = {REGION}\ncredential_process = {provider}\n")
            found["AWS_CONFIG_FILE"] = str(self.work / "aws-config")
        return found

    def provider_calls(self):
        path = self.work / "provider-calls"
        return path.stat().st_size if path.exists() else 0

    def say(self, rule, facts):
        self.result.violations.append(Violation(rule, facts))
        self.journal.note(f"VIOLATION {rule}: {facts}")

    def weigh_all(self):
        """The rules `memory`, `descriptors`, `threads` and `lines`, over every mirror of the round."""
        for each in self.mirrors:
            if not each.weights:
                continue
            if (most := max(weight.memory for weight in each.weights)) > MEMORY:
                self.say("memory", f"{most >> 20} MiB of private memory")
            if (most := max(weight.descriptors for weight in each.weights)) > DESCRIPTORS:
                self.say("descriptors", f"{most} are open")
            if (most := max(weight.threads for weight in each.weights)) > THREADS:
                self.say("threads", f"{most} run")
        lines = sum(len(path.read_text(errors="replace").splitlines()) for path in self.work.glob("mirror*.out"))
        if lines > LINES:
            self.say("lines", f"{lines} lines on standard error")

    def explain(self):
        """Writes what explains a violation beside the logs."""
        (self.work / "journal.txt").write_text("\n".join(self.journal.lines) + "\n")


class UploadRound(Round):
    """`watch` or `run` streams what the writer writes."""

    saboteur = None  # of the self-test: called with the round at named moments

    def play(self):
        source = self.random
        self.writer = Writer(self.tree, f"{self.seed}/{self.name}", self.interval, self.name == "hectic")
        self.ledger = self.writer.ledger
        self.writer.before()
        if self.fault.place == "unmounted":
            for number in range(source.randint(3, 15)):
                path = f"volume/part-{number}.bin"
                self.writer.write(path, path, 1, self.writer.size(1, 30))
        self.judge = Judge(self.server.client(), self.server.bucket, self.prefix, self.tree, self.ledger, self.journal)
        self.judge.violations = self.result.violations
        self.words = self.command(source)
        is_early = source.random() < 0.2 and self.fault.place == "network"
        is_late = source.random() < 0.2 and self.fault.place == "network" and not self.fault.persists
        self.judge.start()
        try:
            if source.random() < 0.5:
                self.writer.start()
            if is_early:
                self.begin()
            self.process = self.mirror(self.words, "mirror-1.out")
            if self.writer.is_unstarted():
                self.writer.start()
            self.weighed(source.uniform(0.6, 1.6))
            self.sabotage("running")
            if not is_early:
                self.begin()
            if is_late:
                self.weighed(self.fault.seconds / 2)
                self.leave_in_fault()
            else:
                self.weighed(self.fault.seconds)
                self.await_harm()
                self.end()
                self.start_again_after_refusal(is_early)
                self.recover()
                self.leave()
        finally:
            self.judge.stop()
            self.writer.finish()
        if self.judge.trouble:
            self.result.trouble = f"the judge: {self.judge.trouble}"
        if self.writer.trouble:
            self.result.trouble = f"the writer: {self.writer.trouble[0]}"
        self.result.recovery = self.recovery

    def command(self, source):
        words = ["watch", self.tree, f"s3://{self.server.bucket}/{self.prefix}", "--interval", self.interval, "--delete"]
        # The bound of deletes is tried in a quarter of the rounds; who restarts infers more than it allows.
        if source.random() < 0.75 or self.fault.place in ("kill", "terminate"):
            words += ["--max-delete", "none"]
        words += source.choice([["--multipart-threshold", "5", "--part-size", "5"], ["--multipart-threshold", "0"], []])
        return words

    def sabotage(self, moment):
        if self.saboteur:
            self.saboteur(self, moment)

    def weighed(self, seconds):
        """Lets time pass, and weighs the process meanwhile."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.process.weigh() if hasattr(self, "process") else None
            time.sleep(0.05)

    # The fault

    def begin(self):
        self.journal.note(f"FAULT {self.name}: {self.fault.describe()}")
        act = getattr(self, "begin_" + self.fault.place.replace("-", "_"), None)
        act() if act else self.fault.begin(self)

    def end(self):
        act = getattr(self, "end_" + self.fault.place.replace("-", "_"), None)
        act() if act else self.fault.end(self)
        self.ended = time.time()
        self.due = self.ledger.settled()
        self.journal.note("FAULT over")

    def await_harm(self):
        """A fault of requests that did not come has not been tried yet."""
        ends = time.monotonic() + HARM_SECONDS
        while self.fault.effect and not self.fault.done and time.monotonic() < ends and self.process.is_running():
            self.weighed(0.05)

    def start_again_after_refusal(self, is_early):
        """Whoever starts within a fault may find no access, and says so with status 3."""
        if is_early and not self.process.is_running() and self.process.process.returncode == 3:
            if not chaosend.troubles(self.process.said()):
                self.say("silent", "exit status 3, and standard error says nothing of why")
            self.process = self.mirror(self.words, f"mirror-{len(self.mirrors) + 1}.out")
            self.ended = time.time()

    def recover(self):
        """The rule `recovery`: all that was closed when the fault ended is on S3 within the interval and ten seconds."""
        bound = self.interval + GRACE_SECONDS
        ends = self.ended + bound
        while missing := self.judge.missing(self.due):
            if time.time() > ends:
                self.say("recovery", f"{bound} s after the fault {len(missing)} are missing: {', '.join(sorted(missing)[:5])}")
                self.journal.note("the proxy resets all connections")
                self.proxy.reset_all()
                self.recovery = bound
                return
            if not self.process.is_running():
                self.say("crash", f"ended by itself with status {self.process.process.returncode}: {chaosend.last(self.process.said())}")
                return
            self.weighed(0.05)
        self.recovery = time.time() - self.ended

    # The end

    def leave(self):
        if self.random.random() < 0.5:
            self.writer.hold()
            self.weighed(self.random.uniform(0, 0.5))
        chaosend.zcat_now(self.judge, self.log)
        self.writer.finish()
        self.sabotage("leaving")
        self.journal.note("SIGTERM")
        self.process.signal(signal.SIGTERM)
        self.finish(EXIT_SECONDS)

    def leave_in_fault(self):
        self.writer.finish()
        self.journal.note("SIGTERM within the fault")
        self.process.signal(signal.SIGTERM)
        self.weighed(self.fault.seconds / 2)
        self.end()
        self.finish(EXIT_SECONDS + self.interval + GRACE_SECONDS, is_late=True)

    def finish(self, seconds, is_late=False):
        began = time.monotonic()
        status = self.process.await_end(seconds)
        if status is None:
            self.say("hang", f"it runs {seconds} s after SIGTERM")
            self.proxy.reset_all()
            status = self.process.await_end(5)
            self.process.kill()
            if status is None:
                return
        self.journal.note(f"exit status {status} after {time.monotonic() - began:.1f} s")
        self.sabotage("ended")
        self.judge.stop()
        said = self.process.said()
        expected = self.expected(is_late)
        chaosend.end_of_mirror(self.judge, self.tree, self.status(status), said, expected, self.spared())
        last_done = chaosend.log_is_true(
            self.judge, self.log, self.proxy.publications, self.fault.place == "kill", self.prefix
        )
        if status == 0:
            chaosend.last_states(self.judge, last_done)
        if lost := getattr(self, "kept", set()) - self.judge.current.keys():
            self.say("deleted", f"{len(lost)} objects below what was unmounted: {', '.join(sorted(lost)[:5])}")
        if missing := [each for each in self.must_be_named() if os.path.basename(each) not in said]:
            self.say("silent", f"{', '.join(missing)} was not published, and is not named")

    def status(self, status):
        return status

    def expected(self, is_late):
        # What is ordered to leave within a fault may give up, if it says so.
        if is_late:
            return (0, 1)
        if self.fault.place == "unreadable" and self.fault.facts.get("stays"):
            return (1,)
        # Superfluous objects stay below what was unmounted, and that is said.
        return (1,) if self.fault.place == "unmounted" and self.kept else (0,)

    def spared(self):
        if self.fault.place == "unmounted":
            return ("volume/",)
        if self.fault.place == "unreadable" and self.fault.facts.get("stays"):
            return ("locked",)
        return ()

    def must_be_named(self):
        return ["locked.bin"] if self.fault.place == "unreadable" and self.fault.facts.get("stays") else []

    # Faults of the process, the server and the disk

    def begin_kill(self):
        self.process.kill()

    def end_kill(self):
        self.process = self.mirror(self.words, f"mirror-{len(self.mirrors) + 1}.out")

    def begin_terminate(self):
        self.process.signal(signal.SIGTERM)
        status = self.process.await_end(EXIT_SECONDS)
        if status is None:
            self.say("hang", f"it runs {EXIT_SECONDS} s after SIGTERM, while the writer goes on")
            self.process.kill()
        elif status not in (0, 1):
            self.say("crash" if status < 0 else "status", f"exit status {status}: {chaosend.last(self.process.said())}")
        elif status == 1 and not chaosend.troubles(self.process.said()):
            self.say("silent", "exit status 1, and standard error says nothing of why")

    end_terminate = end_kill

    def begin_stop(self):
        self.process.signal(signal.SIGSTOP)

    def end_stop(self):
        self.process.signal(signal.SIGCONT)

    def begin_server_restart(self):
        self.judge.away()
        self.server.stop(self.fault.facts["how"] == "kill")

    def end_server_restart(self):
        self.server.again()
        self.judge.back()

    def begin_disk_full(self):
        with open(self.small / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def end_disk_full(self):
        (self.small / "filler").unlink()

    def begin_unreadable(self):
        self.fault.facts["stays"] = self.random.random() < 0.5
        # Neither is readable here at any moment, not even as it is made.
        if self.fault.facts["what"] == "file" or self.fault.facts["stays"]:
            self.locked, paths = self.tree / "locked.bin", ["locked.bin"]
        else:
            self.locked, paths = self.tree / "locked", [f"locked/part-{number}.bin" for number in range(3)]
            self.locked.mkdir(0o300)
        for path in paths:
            self.ledger.opened(path, path)
            with open(os.open(self.tree / path, os.O_WRONLY | os.O_CREAT, 0o200 if len(paths) == 1 else 0o600), "wb") as file:
                file.write(content.whole(path, 1, content.fitting(3000)))
        self.locked.chmod(0)
        self.locked_paths = paths

    def end_unreadable(self):
        if self.fault.facts["stays"]:
            return
        self.locked.chmod(0o755)
        for path in self.locked_paths:
            self.ledger.closed(path, 1)

    def begin_unmounted(self):
        volume = {path: 1 for path in self.ledger.settled() if path.startswith("volume/")}
        ends = time.monotonic() + GRACE_SECONDS
        while self.judge.missing(volume) and time.monotonic() < ends:
            self.weighed(0.05)
        self.ledger.goes("volume")
        self.kept = {key for key in self.judge.current if key.startswith("volume/")}
        unmount(self.tree / "volume")

    def end_unmounted(self):
        pass  # it stays away


def describe(effect):
    if effect is None:
        return ""
    status = f" {effect.status} {effect.code}" if effect.status else ""
    return f" -> {effect.kind}{status}"
