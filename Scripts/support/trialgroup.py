"""Group: eight hosts that write one checkpoint, whose mirrors are killed, stopped and replaced at random moments.

Each host writes its shard of a step to its own directory. When all shards are written, host 0 writes `.metadata`, which names every
shard with its digest. A reader follows each `.metadata` on S3: every shard that it names must be there, with that digest. A mirror that
slept through its replacement must end with status 1, and nothing of its directory may appear.
"""

import hashlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time

from independent import Prefix
from mirrorrun import Mirror, environment

BUCKET = "trial"
SECONDS = 120  # for anything that a mirror is awaited for
TAKEOVER = 4  # how long a mirror waits that replaces one which did not end
KEPT = 3  # steps that stay
POLL_SECONDS = 0.05
SLEEP_SECONDS = (1, 12)  # of a mirror that is stopped and goes on
# What happens to a mirror at random moments. The holder of the marker keeps its disk: its markers would be lost with it.
KINDS = ("killed", "ended and started again", "stopped for a while", "killed, disk lost", "stopped and replaced")
KINDS_OF_HOLDER = KINDS[:3]
ZOMBIE = b"written beside a mirror that was replaced"


class Host:
    """One host of the job: a directory, and the mirror that acts for the host."""

    def __init__(self, trial, member):
        self.trial, self.member, self.starts = trial, member, 0
        self.tree = self.mirror = self.work = self.nap = None

    def begin(self):
        """Starts a mirror on a new, empty directory."""
        self.starts += 1
        self.work = self.trial.work / f"host{self.member}-{self.starts}"
        self.tree = self.work / "tree"
        self.tree.mkdir(parents=True)
        self.mirror = self.start()

    def start(self):
        command = [self.trial.s3mirror, "watch", self.tree, f"s3://{BUCKET}/{self.trial.prefix}", "--interval", "0.5"]
        command += ["--delete", "--group", "trial", "--member", self.member, "--members", self.trial.members]
        command += ["--group-takeover", TAKEOVER, "--group-timeout", SECONDS]
        with open(self.work / "mirror.out", "ab") as output:
            deadline = time.monotonic() + 10 * SECONDS
            return Mirror(command, self.work, self.trial.server.environment(), deadline, output)

    def sleep(self, seconds):
        """Stops the mirror for a while."""
        self.mirror.process.send_signal(signal.SIGSTOP)
        self.nap = threading.Timer(seconds, self.mirror.process.send_signal, [signal.SIGCONT])
        self.nap.start()

    def wake(self):
        if self.nap:
            self.nap.cancel()
            self.nap.join()
            self.mirror.process.send_signal(signal.SIGCONT)
            self.nap = None

    def write(self, name, content):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class Groups:
    def __init__(self, s3mirror, work, seed, server):
        self.s3mirror, self.work, self.server = s3mirror, pathlib.Path(work), server
        self.random = random.Random(f"{seed}/group")
        self.prefix, self.found, self.checked = "run/", [], 0
        self.counts = dict.fromkeys(KINDS, 0)
        self.is_over = threading.Event()

    def run(self, members, steps):
        """Prints the table. Returns what was violated, as sentences."""
        self.members = members
        self.objects = Prefix(self.server.client(), BUCKET, self.prefix)
        reader = threading.Thread(target=self.read)
        hosts = [Host(self, member) for member in range(members)]
        try:
            for host in hosts:
                host.begin()
            reader.start()
            published = self.work_off(hosts, steps)
            self.end(hosts, steps)
        finally:
            self.is_over.set()
            for host in hosts:
                host.wake()
                if host.mirror:
                    host.mirror.kill()
            if reader.ident:
                reader.join()
        columns = [f"{steps} steps of {members} hosts", "markers awaited", "looks at a marker", *self.counts]
        print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        print(f"| | {published} | {self.checked} | {' | '.join(str(each) for each in self.counts.values())} |")
        return self.found

    # The job

    def work_off(self, hosts, steps):
        published, last = set(), None
        for step in range(steps):
            self.disturb(hosts, step, steps)
            shards = {}
            for host in self.random.sample(hosts, len(hosts)):
                name = f"step-{step}/__{host.member}_0.distcp"
                content = self.random.randbytes(self.random.randrange(1, 1 << 20))
                host.write(name, content)
                shards[name] = hashlib.sha256(content).hexdigest()
            hosts[0].write(f"step-{step}/.metadata", json.dumps(shards).encode())
            last = step
            # Half of the checkpoints are awaited; the others come while more is written.
            if step % 2 == 0 and self.await_(lambda: f"step-{last}/.metadata" in self.objects.names(), SECONDS // 6):
                published.add(step)
            self.rotate(hosts, step - KEPT)
        return len(published)

    def rotate(self, hosts, step):
        """The marker goes first. The other hosts delete their shards once it is gone from S3."""
        if step < 0:
            return
        marker = f"step-{step}/.metadata"
        (hosts[0].tree / marker).unlink(missing_ok=True)
        self.await_(lambda: marker not in self.objects.names(), 10)
        if marker in self.objects.names():
            return  # Host 0 has lost the disk with this marker, so its object stays, and so do the shards.
        for host in hosts:
            shutil.rmtree(host.tree / f"step-{step}", ignore_errors=True)

    def disturb(self, hosts, step, steps):
        # A marker whose data were lost with a disk is never published. At the end no such marker may be left.
        if step % 2 == 0 or step >= steps - KEPT - 1:
            return
        host = self.random.choice(hosts)
        kind = self.random.choice(KINDS if host.member else KINDS_OF_HOLDER)
        self.counts[kind] += 1
        host.wake()
        if kind == "killed":
            host.mirror.kill()
            host.mirror = host.start()
        elif kind == "ended and started again":
            self.start_again(host)
        elif kind == "stopped for a while":
            host.sleep(self.random.uniform(*SLEEP_SECONDS))
        elif kind == "killed, disk lost":
            host.mirror.kill()
            host.begin()
        else:
            self.replace_sleeper(host)

    def start_again(self, host):
        """A host whose mirror has ended writes nothing until the next one has claimed the slot."""
        host.mirror.process.send_signal(signal.SIGTERM)
        status = host.mirror.await_end()
        # A marker whose data were lost with a disk stays back, and its holder reports that.
        if status and (host.member or status != 1):
            self.found.append(f"the mirror of host {host.member} ended with {status}: {host.work}/mirror.out")
        host.mirror = host.start()
        slot = f".s3mirror/groups/trial/{host.member}-of-{self.members}.json"
        if not self.await_(lambda: json.loads(self.objects.read(slot))["state"] == "running", SECONDS):
            self.found.append(f"the next mirror of host {host.member} has not entered")

    def replace_sleeper(self, host):
        sleeper, tree = host.mirror, host.tree
        sleeper.process.send_signal(signal.SIGSTOP)
        host.begin()
        # A name of its own, because an object that another host has written would count too early.
        name, content = f"arrived-{host.member}", b"%d" % host.starts
        host.write(name, content)
        if not self.await_(lambda: self.objects.read(name) == content, SECONDS):
            self.found.append(f"the mirror that replaced host {host.member}'s has published nothing")
        for name in ("zombie", "step-0/__99_0.distcp"):
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).write_bytes(ZOMBIE)
        sleeper.process.send_signal(signal.SIGCONT)
        status = sleeper.await_end()
        if status != 1:
            self.found.append(f"a mirror that slept through its replacement ended with {status}")

    def end(self, hosts, steps):
        for host in hosts:
            host.wake()
            host.mirror.process.send_signal(signal.SIGTERM)
        for host in hosts:
            if status := host.mirror.await_end():
                self.found.append(f"the mirror of host {host.member} ended with {status}: {host.work}/mirror.out")
        names = self.objects.names()
        if f"step-{steps - 1}/.metadata" not in names:
            self.found.append("the last marker is not on S3")
        for host in hosts:
            for path in host.tree.rglob("*"):
                name = str(path.relative_to(host.tree))
                if path.is_file() and self.objects.read(name) != path.read_bytes():
                    self.found.append(f"{name} of host {host.member} is not on S3 as it is there")
        if any(name.endswith(("zombie", "__99_0.distcp")) for name in names):
            self.found.append("a mirror that was replaced has published something")
        self.restore(hosts, f"step-{steps - 1}")

    def restore(self, hosts, newest):
        """What all hosts wrote of the newest step comes back, by their receipts."""
        place = self.work / "restored"
        command = [str(self.s3mirror), "restore", f"s3://{BUCKET}/{self.prefix}", str(place)]
        answer = subprocess.run(
            command, env={**environment(self.work), **self.server.environment()}, capture_output=True, text=True, timeout=SECONDS
        )
        wanted = {path.name: path.read_bytes() for host in hosts for path in (host.tree / newest).iterdir()}
        found = {path.name: path.read_bytes() for path in (place / newest).iterdir()} if (place / newest).exists() else {}
        if answer.returncode or found != wanted:
            self.found.append(f"restore ended with {answer.returncode} and fetched {sorted(found)}: {answer.stderr[-500:]}")

    def await_(self, condition, seconds):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if condition():
                return True
            time.sleep(POLL_SECONDS)
        return False

    # The reader

    def read(self):
        """Follows every marker that is on S3, in a loop."""
        objects = Prefix(self.server.client(), BUCKET, self.prefix)
        while not self.is_over.is_set():
            for marker in sorted(name for name in objects.names() if name.endswith("/.metadata")):
                self.look(objects, marker)
            time.sleep(POLL_SECONDS)

    def look(self, objects, marker):
        content = objects.read(marker)
        if content is None:
            return
        for name, digest in json.loads(content).items():
            shard = objects.read(name)
            if shard is not None and hashlib.sha256(shard).hexdigest() == digest:
                continue
            # A checkpoint that is being removed has lost its marker first.
            if objects.read(marker) == content:
                self.found.append(f"{marker} is there, and {name} is {'missing' if shard is None else 'another one'}")
                return
        self.checked += 1
