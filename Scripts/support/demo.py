"""The demo: tells what it does, and judges it. Started by Scripts/demo, which builds first.

A training program runs under `s3mirror run`. A proxy counts every request. In the middle of a multipart upload
both are killed with SIGKILL, as if the machine had gone, and started again. boto3 has the last word. Then programs
save as three frameworks do, and readers follow each framework's rule (demoframeworks.py).
"""

import argparse
import contextlib
import hashlib
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time

import demonodes
import transferlog
from demoframeworks import FrameworksAct
from ending import raise_on_signals
from independent import MarkerFollower, Prefix
from mirrorrun import Failed, MirrorRun
from proxy import CountingProxy
from seaweedfs import SeaweedFS

SECONDS = 110  # for all of it: under the two minutes that the demo promises
BUCKET, DATASET, RUN = "demo", "datasets/tokens/", "runs/run-1/"
INTERVAL = 2  # seconds between ticks
# Three rotated checkpoints of five files. The default limit would withhold these deletes if they were most of the run.
MAX_DELETE = 20
STEPS = 9
KILL_FROM_STEP = 3  # the first saved step after which the kill is prepared
KILL_AT_STEP = 6  # killed then in any case, in flight or not
PARTS_BEFORE_KILL = 2
# A tick may list neither objects nor uploads, because the watch makes that unnecessary.
LISTINGS = {"ListObjects", "ListObjectsV2", "ListMultipartUploads"}
# Files that a trainer changes under a fixed name. Every other file is written once, so its object may never differ.
REWRITTEN = {"train.log", "optimizer.state", "latest"}


class Demo:
    def __init__(self, s3mirror, work):
        self.s3mirror, self.work = s3mirror, work
        self.began = time.monotonic()
        self.deadline = self.began + SECONDS
        self.verdicts = []
        self.data, self.outputs = work / "dataset", work / "outputs"
        self.doomed = None  # (key, upload ID) of the upload in which the mirror is killed
        self.armed = False  # from then on the next large upload is that one
        self.release = threading.Event()  # lets the parts go on that the gate holds

    def say(self, text=""):
        print(f"{time.monotonic() - self.began:5.1f} s  {text}" if text else "", flush=True)

    def judge(self, held, sentence, detail=""):
        self.verdicts.append((bool(held), sentence))
        self.say(f"{'ok  ' if held else 'FAIL'} {sentence}{f': {detail}' if detail else ''}")

    def run(self):
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(SeaweedFS(bucket=BUCKET))
            self.proxy = stack.enter_context(CountingProxy(self.server.port, gate=self.gate))
            stack.callback(self.release.set)
            client = self.server.client()
            self.run_prefix = Prefix(client, BUCKET, RUN)
            self.say(f"SeaweedFS is up; {self.put_dataset(Prefix(client, BUCKET, DATASET))}")
            with MarkerFollower(self.run_prefix, "model.safetensors.index.json", "train.log") as follower:
                self.first_run()
                self.second_run()
            self.proof(follower)
            self.say()
            FrameworksAct(self, BUCKET).run()
        return all(held for held, _ in self.verdicts)

    def run_nodes(self, count):
        self.deadline = self.began + demonodes.SECONDS
        demonodes.NodesAct(self, count).run()
        return all(held for held, _ in self.verdicts)

    def put_dataset(self, prefix):
        source, sums, total = random.Random(1), "", 0
        sizes = [24 << 20] + [source.randrange(1, 200_000) for _ in range(39)]
        for index, size in enumerate(sizes):
            name, content = f"shard {index % 4}/tokens+{index:03}.bin", source.randbytes(size)
            prefix.put(name, content)
            sums += f"{hashlib.sha256(content).hexdigest()}  {name}\n"
            total += size
        prefix.put("SHA256SUMS", sums.encode())
        return f"a dataset of {len(sizes)} files, {megabytes(total)}, is on it"

    def first_run(self):
        self.say()
        with self.mirror(1, "--upload") as mirror:
            started = mirror.await_event("started")
            self.say(f"the trainer has read and checked {started['files']} files, {megabytes(started['bytes'])}")
            mirror.await_(lambda: mirror.events.step() >= KILL_FROM_STEP, f"checkpoint {KILL_FROM_STEP}")
            self.armed = True
            mirror.await_(
                lambda: self.is_mid_upload() or mirror.events.step() >= KILL_AT_STEP, "an upload to interrupt"
            )
            killed = time.time()
            mirror.kill()
            self.release.set()
        self.say(f"SIGKILL to the mirror, and to the orphaned trainer, after checkpoint {mirror.events.step()}")
        log = self.report(1)
        self.judge_ticks(1, started["time"], killed)
        self.judge(log, "the killed mirror's log reads to its last record", f"{len(log)} records")
        on_s3 = self.run_prefix.compare(self.outputs)
        self.say(f"at the kill, S3 against the disk: {on_s3}")
        torn = set(on_s3.differ) - REWRITTEN
        self.judge(not torn, "no finished file on S3 is torn", ", ".join(torn))
        if self.doomed:
            self.say(f"open on S3: {', '.join(self.run_prefix.open_uploads())}")

    def mirror(self, run, kind):
        log = self.work / f"log-{run}"
        log.mkdir()
        command = [
            self.s3mirror, "run", "--log-dir", str(log), "--max-delete", str(MAX_DELETE),
            "--download", f"dataset=s3://{BUCKET}/{DATASET},local={self.data}",
            kind, f"checkpoints=s3://{BUCKET}/{RUN},local={self.outputs},interval={INTERVAL},delete=true",
        ]  # fmt: skip
        aws = self.server.environment(self.proxy.endpoint)
        started = MirrorRun(command, STEPS, self.work, aws, self.deadline)
        self.say("$ " + " ".join(started.command).replace(str(self.work), "$WORK"))
        return started

    def second_run(self):
        self.say()
        latest = (self.outputs / "latest").read_text().strip()
        restarted = time.time()
        with self.mirror(2, "--sync") as mirror:
            started = mirror.await_event("started")
            self.judge(
                f"checkpoint-{started['resumed']}" == latest,
                "the trainer resumes from the disk's own latest, not from an older one on S3",
                latest,
            )
            ended = mirror.await_event("ended")
            self.say("the trainer has ended; the mirror drains and reconciles")
            status = mirror.await_end()
        self.judge(status == 0, "s3mirror exits 0", f"status {status}")
        log = self.report(2)
        self.judge_ticks(2, started["time"], ended["time"])
        if self.doomed:
            self.judge_resume(restarted, log)
        self.ended = ended["time"]

    def proof(self, follower):
        self.say()
        self.judge(
            not follower.failure and follower.followed and not follower.broken,
            "a reader who followed `latest` found all of its checkpoint, each time",
            follower.failure
            or "; ".join(follower.broken[:3])
            or f"{follower.followed} times, {len(follower.markers)} different checkpoints",
        )
        early = [size for moment, size in follower.log_sizes if moment < self.ended and size]
        self.judge(
            len(early) > 1,
            "train.log reached S3 while it was open",
            f"{len(early)} versions before it was closed",
        )
        result = self.run_prefix.compare(self.outputs)
        self.judge(
            result.complete and result.equal,
            "boto3 finds S3 equal to the disk by SHA-256, and nothing else under the prefix",
            f"{result}, {megabytes(result.bytes)}",
        )
        uploads = self.run_prefix.open_uploads()
        self.judge(not uploads, "no multipart upload is left open", ", ".join(uploads))

    # How many files were published, with how many requests.

    def report(self, run):
        log = transferlog.records(self.work / f"log-{run}")
        ticks = transferlog.passes(log)
        self.say(f"run {run}, from the transfer log:")
        row = "         {:<8} {:>8} {:>6} {:>10} {:>8}  {}"
        print(row.format("pass", "at", "files", "bytes", "deleted", "requests"))
        for each in ticks:
            at = each.time - time.time() + time.monotonic() - self.began
            requests = ", ".join(f"{count} {name}" for name, count in sorted(each.requests.items())) or "none"
            print(row.format(each.kind, f"{at:.1f} s", each.files, megabytes(each.bytes), each.deleted, requests))
        for failure in transferlog.failures(log)[:5]:
            print(f"         not done: {failure.get('path')}: {failure['error']}")
        self.judge(any(tick.kind == "tick" and tick.files for tick in ticks), f"run {run}: ticks published files")
        return log

    def judge_ticks(self, run, since, until):
        counts = self.proxy.counts(since, until)
        listed = {name: count for name, count in counts.items() if name in LISTINGS}
        total = ", ".join(f"{count} {name}" for name, count in counts.most_common())
        self.say(f"run {run}, counted on the wire from the trainer's start to its end: {total}")
        self.judge(counts and not listed, f"run {run}: no listing between entry and exit", str(listed or ""))

    def judge_resume(self, restarted, log):
        key, upload = self.doomed
        requests = [each for each in self.proxy.requests() if each.upload_id == upload]
        parts = [each for each in requests if each.operation == "UploadPart"]
        before = {each.part for each in parts if each.time < restarted and each.status == 200}
        after = {each.part for each in parts if each.time >= restarted}
        completed = any(
            each.operation == "CompleteMultipartUpload" and each.time >= restarted and each.status == 200
            for each in requests
        )
        self.judge(
            completed and before and not before & after,
            "the interrupted upload was completed, and no part that S3 had was sent again",
            f"{key}: {len(before)} parts before the kill, {len(after)} after; "
            f"the log says {transferlog.parts_reused(log)} reused",
        )

    # Kills the mirror in the middle of an upload.

    def gate(self, request):
        """Holds the later parts of one upload, so that it is surely unfinished when the mirror is killed."""
        if not self.armed or self.release.is_set() or request.operation != "UploadPart":
            return
        if self.doomed is None:
            # A complete checkpoint that the trainer still keeps. Only its upload can be resumed after the restart.
            name = request.key.removeprefix(RUN)
            if not name.startswith("checkpoint-") or not (self.outputs / name).exists():
                return
            self.doomed = (request.key, request.upload_id)
        if request.upload_id == self.doomed[1] and request.part > PARTS_BEFORE_KILL:
            self.release.wait(SECONDS)

    def is_mid_upload(self):
        if not self.doomed:
            return False
        parts = [each for each in self.proxy.requests() if each.upload_id == self.doomed[1] and each.part]
        return sum(each.status == 200 for each in parts) >= PARTS_BEFORE_KILL


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def main():
    options = argparse.ArgumentParser(prog="Scripts/demo")
    options.add_argument("--s3mirror", required=True, help="the command to show")
    options.add_argument("--keep", action="store_true", help="leave the working directory behind")
    options.add_argument("--nodes", type=int, choices=range(2, 17), metavar="N", help="show a group of so many hosts instead")
    chosen = options.parse_args()
    raise_on_signals()
    work = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-demo."))
    demo = Demo(chosen.s3mirror, work)
    try:
        held = demo.run() if chosen.nodes is None else demo.run_nodes(chosen.nodes)
    except Failed as failure:
        demo.say(f"FAIL {failure}")
        held = False
    finally:
        if chosen.keep:
            demo.say(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    failed = [sentence for ok, sentence in demo.verdicts if not ok]
    demo.say()
    demo.say(f"{len(demo.verdicts) - len(failed)} of {len(demo.verdicts)} checks held" + (":" if failed else ""))
    for sentence in failed:
        print(f"         FAIL {sentence}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
