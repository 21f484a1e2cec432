"""The demo of a group: several hosts write one checkpoint, one dies in the middle and returns. Started by `Scripts/demo --nodes N`.

Each node has a directory, a mirror and a state of its own, and reaches SeaweedFS through a proxy of its own that counts its requests.
Every node writes a shard of a step; when all shards are written, node 0 writes `.metadata`, which names each with its digest. A reader
looks at the bucket all the time. While the second checkpoint is being uploaded, the mirror of the last node is killed with SIGKILL. boto3
and the members' own logs have the last word.
"""

import collections
import contextlib
import hashlib
import json
import random
import shutil
import signal
import subprocess
import threading
import time

import transferlog
from independent import Prefix
from mirrorrun import Failed, Mirror, environment
from proxy import CountingProxy
from seaweedfs import SeaweedFS

SECONDS = 170  # for all of it
AWAITED = 60  # for one thing
BUCKET, RUN, GROUP = "demo", "runs/nodes/", "demo"
OWN = ".s3mirror/"  # what the tool keeps for itself below the prefix
INTERVAL = 2
SHARD = 24 << 20  # bytes: two parts
PARTS_BEFORE_KILL = 1
DEAD_SECONDS = 5  # for which nobody acts for the node
REST_SECONDS = 30  # over which requests at rest are counted; the attention after a pass is over before
ATTENTION_SECONDS = 16
# AWS's price list, S3 Standard, us-east-1 (aws.amazon.com/s3/pricing): dollars for one request.
PRICES = {"PutObject": 5e-6, "ListObjectsV2": 5e-6, "GetObject": 4e-7, "HeadObject": 4e-7}
DAY = 24 * 60  # minutes
LARGE = 64  # nodes


class Node:
    """A host: its directory, and the mirror that acts for it."""

    def __init__(self, act, number):
        self.act, self.number, self.mirror, self.starts = act, number, None, 0
        self.work = act.demo.work / f"node-{number}"
        self.tree, self.log = self.work / "outputs", self.work / "log"
        self.tree.mkdir(parents=True)
        self.log.mkdir()
        self.is_held = False
        self.release = threading.Event()
        self.proxy = CountingProxy(act.server.port, gate=self.gate)

    def start(self):
        self.starts += 1
        command = [
            self.act.demo.s3mirror, "watch", self.tree, f"s3://{BUCKET}/{RUN}", "--interval", INTERVAL, "--delete",
            "--log-dir", self.log, "--group", GROUP, "--member", self.number, "--members", self.act.count,
            "--group-timeout", AWAITED,
        ]  # fmt: skip
        with (self.work / "mirror.out").open("ab") as output:
            self.mirror = Mirror(command, self.work, self.aws(), self.act.demo.deadline, output)

    def aws(self):
        return self.act.server.environment(self.proxy.endpoint)

    def ask(self, *arguments):
        """The output of a command on this host."""
        command = [self.act.demo.s3mirror, *map(str, arguments)]
        answer = subprocess.run(
            command, env={**environment(self.work), **self.aws()}, cwd=self.work, capture_output=True, text=True, timeout=AWAITED
        )
        return answer.returncode, answer.stdout + answer.stderr

    def shard(self, step):
        return f"step-{step}/__{self.number}_0.distcp"

    def write(self, name, content):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def gate(self, request):
        """Holds the later parts of the upload in which the mirror is killed."""
        if self.is_held and request.operation == "UploadPart" and request.part > PARTS_BEFORE_KILL:
            self.release.wait(AWAITED)
            # The kernel may hold the whole body by now, and would hand it on although its sender is dead.
            raise ConnectionAbortedError

    def deleted(self):
        """The paths whose objects this node's mirrors have deleted, by their own logs."""
        return [each["path"] for each in transferlog.transfers(transferlog.records(self.log)) if each["operation"] == "delete"]


class Reader:
    """Lists the bucket all the time, and follows every marker that is there: each shard that it names must be there, whole."""

    def __init__(self, prefix):
        self.prefix, self.broken, self.looks = prefix, [], 0
        self.seen = []  # (time, what is there), whenever it changed
        self.is_over = threading.Event()
        self.failure = None
        self.threads = [threading.Thread(target=self.run, args=[look]) for look in (self.list, self.follow)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            if thread.ident:
                thread.join()

    def run(self, look):
        try:
            while not self.is_over.wait(0.05):
                look()
        except Exception as error:  # told at the end: a reader that saw nothing proves nothing
            self.failure = f"{type(error).__name__}: {error}"

    def list(self):
        names = {name for name in self.prefix.names() if not name.startswith(OWN)}
        if not self.seen or self.seen[-1][1] != names:
            self.seen.append((time.monotonic(), names))

    def follow(self):
        for marker in sorted(name for name in self.prefix.names() if name.endswith("/.metadata")):
            content = self.prefix.read(marker)
            if content is None:
                continue
            for name, digest in json.loads(content).items():
                shard = self.prefix.read(name)
                if shard is not None and hashlib.sha256(shard).hexdigest() == digest:
                    continue
                # A checkpoint that is being removed has lost its marker first.
                if self.prefix.read(marker) == content:
                    self.broken.append(f"{marker} names {name}, which is {'missing' if shard is None else 'another one'}")
            self.looks += 1


class NodesAct:
    """The whole demo of a group. `demo` says and judges."""

    def __init__(self, demo, count):
        self.demo, self.count = demo, count
        self.source = random.Random(2)

    def run(self):
        say = self.demo.say
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(SeaweedFS(bucket=BUCKET))
            self.prefix = Prefix(self.server.client(), BUCKET, RUN)
            self.nodes = [Node(self, number) for number in range(self.count)]
            for node in self.nodes:
                stack.enter_context(node.proxy)
                stack.callback(node.release.set)
                stack.callback(lambda node=node: node.mirror and node.mirror.kill())
            self.reader = Reader(self.prefix)
            stack.callback(self.reader.stop)
            say(f"SeaweedFS is up; {self.count} nodes, each with a directory and a mirror of its own")
            for node in self.nodes:
                node.start()
            say("$ " + " ".join(self.nodes[-1].mirror.command).replace(str(self.demo.work), "$WORK"))
            self.await_(lambda: self.status().count(" running ") == self.count, "all members to enter")
            self.reader.start()
            self.first_checkpoint()
            self.second_checkpoint()
            self.at_rest()
            self.rotation()
            self.end()
            self.restores()

    # The job

    def write_shards(self, step):
        digests = {}
        for node in self.source.sample(self.nodes, self.count):
            content = self.source.randbytes(SHARD)
            node.write(node.shard(step), content)
            digests[node.shard(step)] = hashlib.sha256(content).hexdigest()
        return digests

    def write_marker(self, step, digests):
        """The framework's barrier has put all shards before this."""
        self.nodes[0].write(f"step-{step}/.metadata", json.dumps(digests).encode())

    def has(self, name):
        return self.prefix.size(name) is not None

    def await_(self, condition, what):
        limit = time.monotonic() + AWAITED
        while not (found := condition()):
            if time.monotonic() > limit:
                raise Failed(f"time is up, waiting for {what}")
            time.sleep(0.05)
        return found

    def status(self):
        return self.nodes[0].ask("status", "--group", f"s3://{BUCKET}/{RUN}")[1]

    # The acts

    def first_checkpoint(self):
        self.demo.say()
        began = time.time()
        self.write_marker(1, self.write_shards(1))
        self.await_(lambda: self.has("step-1/.metadata"), "the first marker")
        ended = time.time()
        self.demo.say(f"step 1: all shards, then its marker, are on S3 {ended - began:.1f} s after the first write began")
        self.checkpoint = self.counted(began, ended)

    def second_checkpoint(self):
        say, judge = self.demo.say, self.demo.judge
        victim = self.nodes[-1]
        say()
        victim.is_held = True
        before = self.prefix.names()
        self.write_marker(2, self.write_shards(2))
        self.await_(
            lambda: any(each.status == 200 and each.key.endswith(victim.shard(2)) for each in self.parts(victim)),
            "a part of the last node",
        )
        others = [node.shard(2) for node in self.nodes[:-1]]
        self.await_(lambda: all(self.has(name) for name in others), "the other nodes' shards")
        victim.mirror.kill()
        killed = time.monotonic()
        victim.is_held = False
        victim.release.set()
        say(f"step 2: SIGKILL to the mirror of node {victim.number}, in the middle of its shard")
        time.sleep(DEAD_SECONDS)
        names = self.prefix.names()
        judge(
            "step-2/.metadata" not in names and victim.shard(2) not in names and all(name in names for name in others),
            f"{DEAD_SECONDS} s later the other shards are on S3, and the marker waits",
            ", ".join(sorted(name for name in names if name.startswith("step-2/"))),
        )
        waiting = [line for line in self.nodes[0].ask("status")[1].splitlines() if "not published yet" in line]
        judge(
            any(f"member {victim.number}" in line for line in waiting),
            "node 0's status names the member for which the marker waits",
            "; ".join(waiting),
        )
        _, listed = self.nodes[0].ask("restore", f"s3://{BUCKET}/{RUN}", "--list")
        for line in listed.splitlines():
            say(f"         | {line}")
        judge("complete" in listed and "incomplete" in listed, "a restore would take step 1, and says why not step 2")
        judge(before <= names, "nothing that was on S3 before is gone")
        returned = time.time()
        victim.start()
        say(f"node {victim.number} returns: a new mirror on the same directory")
        self.await_(lambda: self.has("step-2/.metadata"), "the second marker")
        say(f"step 2: its marker is on S3 {time.monotonic() - killed:.1f} s after the kill; a claim waits 10 s over a dead process")
        self.show_reader(killed)
        parts = [each for each in self.parts(victim) if each.key.endswith(victim.shard(2))]
        before, after = ({each.part for each in parts if (each.time < returned) == early and each.status == 200} for early in (True, False))
        judge(
            before and after and not before & after,
            "the returned node sent only the parts that were missing",
            f"{len(before)} before the kill, {len(after)} after it",
        )
        for line in self.status().splitlines():
            say(f"         | {line}")

    def parts(self, node):
        return [each for each in node.proxy.requests() if each.operation == "UploadPart"]

    def show_reader(self, killed):
        self.await_(lambda: "step-2/.metadata" in self.reader.seen[-1][1], "the reader to see the second marker")
        self.demo.say("what a reader sees of step 2, in seconds after the kill:")
        row = "         {:>7}  {:<30} {}"
        print(row.format("at", "shards of nodes", "marker"))
        last = None
        for moment, names in self.reader.seen:
            shards = [str(node.number) for node in self.nodes if node.shard(2) in names]
            state = (", ".join(shards) or "none", "there" if "step-2/.metadata" in names else "not there")
            if state != last and (last or shards):
                print(row.format(f"{moment - killed:+.1f} s", *state), flush=True)
            last = state if last or shards else None

    def at_rest(self):
        self.demo.say()
        time.sleep(ATTENTION_SECONDS)
        began = time.time()
        time.sleep(REST_SECONDS)
        rest = self.counted(began, time.time())
        operations = sorted({name for counts in self.checkpoint + rest for name in counts})
        self.demo.say(f"requests, counted on the wire: of step 1, and of {REST_SECONDS} s at rest")
        row = "         {:<10}" + " {:>23}" * len(operations)
        print(row.format("node", *operations))
        for node, one, other in zip(self.nodes, self.checkpoint, rest):
            print(row.format(node.number, *(f"{one[name]} / {other[name]}" for name in operations)))
        minutes = REST_SECONDS / 60
        listings = [counts["ListObjectsV2"] / minutes for counts in rest]
        self.demo.judge(
            all(set(counts) <= {"ListObjectsV2"} for counts in rest) and max(listings) <= 8,
            "at rest a node sends a listing every ten seconds, and nothing else",
            ", ".join(f"{each:.0f} a minute" for each in listings),
        )
        spent = sum(PRICES.get(name, 0) * count for counts in rest for name, count in counts.items()) / minutes * DAY
        self.demo.say(
            f"by AWS's price list that is ${spent:.2f} a day for {self.count} nodes at rest, ${spent * LARGE / self.count:.2f} for {LARGE}"
        )

    def counted(self, since, until):
        return [collections.Counter(node.proxy.counts(since, until)) for node in self.nodes]

    def rotation(self):
        self.demo.say()
        before = {name for name in self.prefix.names() if not name.startswith(OWN)}
        (self.nodes[0].tree / "step-1/.metadata").unlink()
        self.await_(lambda: not self.has("step-1/.metadata"), "the first marker to go")
        for node in self.nodes:
            shutil.rmtree(node.tree / "step-1")
        self.await_(lambda: not any(name.startswith("step-1/") for name in self.prefix.names()), "step 1 to go")
        left = {name for name in self.prefix.names() if not name.startswith(OWN)}
        self.demo.judge(
            before - left == {name for name in before if name.startswith("step-1/")},
            "the nodes delete step 1, marker first, and step 2 stays",
            f"{len(before - left)} objects are gone",
        )

    def end(self):
        say, judge = self.demo.say, self.demo.judge
        say()
        for node in self.nodes:
            node.mirror.process.send_signal(signal.SIGTERM)
        statuses = [node.mirror.await_end() for node in self.nodes]
        judge(not any(statuses), "all mirrors end with status 0", ", ".join(map(str, statuses)))
        reader = self.reader
        reader.stop()
        judge(
            not reader.failure and not reader.broken and reader.looks,
            "whenever a marker was on S3, every shard that it names was there, whole",
            reader.failure or "; ".join(reader.broken[:3]) or f"{reader.looks} looks",
        )
        foreign = [
            f"node {node.number}: {path}" for node in self.nodes for path in node.deleted() if not self.may_delete(node, path)
        ]
        total = sum(len(node.deleted()) for node in self.nodes)
        judge(total and not foreign, "by the logs no node has deleted what another one wrote", "; ".join(foreign) or f"{total} deletes, each of an own object")
        union = self.demo.work / "union"
        for node in self.nodes:
            shutil.copytree(node.tree, union, dirs_exist_ok=True)
        found = self.prefix.compare(union)
        extra = [name for name in found.extra if not name.startswith(OWN)]
        judge(
            not found.differ and not found.missing and not extra and found.equal == self.count + 1,
            "boto3 finds S3 equal to the nodes' disks by SHA-256",
            f"{found.equal} files equal{''.join(f', {name} too much' for name in extra[:3])}",
        )
        judge(not self.prefix.open_uploads(), "no multipart upload is left open")

    def may_delete(self, node, path):
        if path.startswith(OWN):
            return path.endswith(f"/{node.number}-of-{self.count}.json")
        return path == node.shard(path.split("/")[0].removeprefix("step-")) or (node.number == 0 and path.endswith("/.metadata"))

    def restores(self):
        say, judge = self.demo.say, self.demo.judge
        say()
        whole = self.demo.work / "restored"
        status, output = self.nodes[0].ask("restore", f"s3://{BUCKET}/{RUN}", whole)
        wanted = {name for name in self.prefix.names() if not name.startswith(OWN)}
        judge(status == 0 and self.files(whole) == wanted, "restore fetches what all nodes wrote", output.strip().splitlines()[-1])
        for node in self.nodes:
            place = node.work / "restored"
            member = ["--member-only", "--group", "next-job", "--member", node.number, "--members", self.count]
            status, output = node.ask("restore", f"s3://{BUCKET}/{RUN}", place, *member)
            if status or self.files(place) != self.files(node.tree):
                judge(False, f"node {node.number} fetches its own part alone", output.strip())
                return
        judge(True, "with --member-only each node fetches what it had, and nothing else")

    def files(self, tree):
        return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
