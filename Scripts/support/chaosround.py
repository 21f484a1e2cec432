"""One round of chaos: what all rounds have, whether they upload or download."""

import dataclasses
import json
import os
import pathlib
import random
import resource
import threading
import time

import chaosend
import chaosfaults
from chaosjudge import Violation
from chaosprocess import MIB, MirrorProcess, become_nobody, mount_tmpfs, own_mounts, remount
from chaosproxy import FaultProxy
from seaweedfs import REGION

GRACE_SECONDS = 10  # from the end of a fault to publication, beside one interval
EXIT_SECONDS = 25  # a drain that has nothing but small files takes a second


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
    def __init__(self, seed, name, server, s3mirror, work):
        self.seed, self.name, self.server, self.s3mirror = seed, name, server, s3mirror
        self.work = pathlib.Path(work)
        self.random = random.Random(f"{seed}/{name}/round")
        self.fault = chaosfaults.draw(name, seed)
        self.journal = Journal()
        self.prefix = f"{name}-{seed}/"
        self.tree = self.work / "tree"
        self.small = self.work / "small"  # state, logs and caches; a small filesystem of its own in disk faults
        self.log = self.small / "log"
        self.interval = self.random.choice([0, 0.5, 1, 1])
        self.result = Result(seed, name, 0.0, [], described=self.fault.describe())
        self.mirrors = []
        self.recovery = None
        self.inner = None  # the fault in hand of a soak
        self.is_weighed = True

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
        effect = (self.inner or self.fault).choose(request)
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

    def mirror(self, words, program, output, host=None):
        """`host`: where logs, state, cache and locks are; without it those of this round's first mirror."""
        limits = []
        if self.fault.place == "few-descriptors":
            limits.append((resource.RLIMIT_NOFILE, self.fault.facts["limit"]))
        if self.fault.place == "little-memory":
            limits.append((resource.RLIMIT_DATA, self.fault.facts["limit"] * MIB))
        small = host or self.small
        command = [self.s3mirror, *words, "--log-dir", small / "log", "--no-progress", *program]
        aws = self.credentials()
        aws |= {"XDG_STATE_HOME": str(small / "state"), "XDG_CACHE_HOME": str(small / "cache")}
        if host:
            (host / "run").mkdir(parents=True)
            aws["XDG_RUNTIME_DIR"] = str(host / "run")
        aws |= sanitizers()
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
        for each in self.mirrors if self.is_weighed else ():
            chaosend.bounded(self.say, each.weights)
        chaosend.few_lines(self.say, self.work.glob("mirror*.out"))

    def explain(self):
        """Writes what explains a violation beside the logs."""
        (self.work / "journal.txt").write_text("\n".join(self.journal.lines) + "\n")


def sanitizers():
    """What Scripts/sanitize has for the mirror."""
    found = {name: os.environ[name] for name in ("ASAN_OPTIONS", "TSAN_OPTIONS") if name in os.environ}
    if preload := os.environ.get("S3MIRROR_PRELOAD"):
        found["LD_PRELOAD"] = preload.partition("=")[2]
    return found


def describe(effect):
    if effect is None:
        return ""
    status = f" {effect.status} {effect.code}" if effect.status else ""
    return f" -> {effect.kind}{status}"
