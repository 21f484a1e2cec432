"""Kill: SIGKILL at a random byte of a large upload. The next run sends what was missing, and hardly more.

A proxy counts the bytes of the parts' bodies on the wire; what S3 holds after the kill is asked of ListParts by boto3.
"""

import contextlib
import random
import time

import transferlog
from independent import Prefix
from mirrorrun import Mirror
from proxy import CountingProxy
from seaweedfs import SeaweedFS

BUCKET = "trial"
PART = 16 << 20  # s3mirror's default
SECONDS = 300  # for one run
BLOCK = 8 << 20  # bytes written at once
BODIES = ("UploadPart", "PutObject")


class Kill:
    def __init__(self, s3mirror, work, seed):
        self.s3mirror, self.work, self.seed = s3mirror, work, seed
        self.at = None  # the byte at which the mirror in hand is killed
        self.victim = None

    def run(self, count, size):
        """Prints the table. Returns what was violated, as sentences."""
        found = []
        print(f"\nSIGKILL in the upload of {size >> 20} MiB in parts of {PART >> 20} MiB\n")
        columns = ["command", "killed at byte", "parts on S3", "missing", "sent again", "more than missing"]
        columns += ["parts reused", "seconds"]
        print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(SeaweedFS(bucket=BUCKET))
            self.proxy = stack.enter_context(CountingProxy(self.server.port, body_gate=self.took))
            for number in range(count):
                found += [f"trial {number}: {each}" for each in self.one(number, size)]
        return found

    def one(self, number, size):
        source = random.Random(f"{self.seed}/kill/{number}")
        tree = self.work / f"kill-{number}"
        tree.mkdir()
        path, name = tree / "checkpoint.bin", "checkpoint.bin"
        with path.open("wb") as file:
            for at in range(0, size, BLOCK):
                file.write(source.randbytes(min(BLOCK, size - at)))
        # Both are tested, alternately and in a random order.
        verb = ("upload", "watch")[(number + random.Random(self.seed).randrange(2)) % 2]
        prefix = Prefix(self.server.client(), BUCKET, f"kill-{number}/")
        at = source.randrange(size)

        self.interrupted(verb, tree, prefix, at)
        parts = self.parts(prefix)
        missing = size - sum(parts.values())

        began = time.time()
        log, status = self.resumed(verb, tree, prefix)
        seconds = time.time() - began
        sent = sum(each.sent for each in self.proxy.requests(since=began) if each.operation in BODIES)
        reused = transferlog.parts_reused(log)
        row = [verb, at, len(parts), missing, sent, sent - missing, reused, f"{seconds:.1f}"]
        print(f"| {' | '.join(map(str, row))} |", flush=True)

        found = []
        if status:
            found.append(f"the next run ended with status {status}")
        if not sent < missing + 2 * PART:
            found.append(f"{sent} bytes were sent again, and {missing} were missing")
        if reused != len(parts):
            found.append(f"S3 had {len(parts)} parts, and the log says {reused} reused")
        if not prefix.equals(name, path):
            found.append("the object does not equal the file")
        if uploads := prefix.open_uploads():
            found.append(f"multipart uploads are left: {uploads}")
        prefix.client.delete_object(Bucket=BUCKET, Key=prefix.prefix + name)
        path.unlink()
        return found

    def interrupted(self, verb, tree, prefix, at):
        with self.mirror(verb, tree, prefix, "killed") as mirror:
            self.victim, self.at = mirror.process, at
            mirror.await_(lambda: self.at is None, f"byte {at}")
            mirror.process.wait()
        # Requests in transit may still become parts.
        self.proxy.await_quiet(SECONDS)

    def took(self, request):
        at = self.at
        if at is None or request.operation != "UploadPart":
            return
        if sum(each.sent for each in self.proxy.requests() if each.upload_id == request.upload_id) >= at:
            self.at = None
            self.victim.kill()

    def parts(self, prefix):
        """Size by number of the parts that S3 lists."""
        found = {}
        for page in prefix.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=BUCKET, Prefix=prefix.prefix
        ):
            for upload in page.get("Uploads", ()):
                listing = prefix.client.get_paginator("list_parts").paginate(
                    Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                found |= {part["PartNumber"]: part["Size"] for each in listing for part in each.get("Parts", ())}
        return found

    def resumed(self, verb, tree, prefix):
        with self.mirror(verb, tree, prefix, "resumed") as mirror:
            if verb == "watch":
                mirror.await_(lambda: prefix.size("checkpoint.bin") is not None, "the object")
                status = mirror.end()
            else:
                status = mirror.await_end()
        return transferlog.records(self.log(tree, "resumed")), status

    def mirror(self, verb, tree, prefix, run):
        url = f"s3://{BUCKET}/{prefix.prefix}"
        command = [self.s3mirror, verb, tree, url, "--log-dir", self.log(tree, run)]
        if verb == "watch":
            command += ["--interval", "1"]
        with open(self.work / f"{tree.name}-{run}.log", "wb") as output:
            aws = self.server.environment(self.proxy.endpoint)
            return Mirror(command, self.work, aws, time.monotonic() + SECONDS, output)

    def log(self, tree, run):
        return self.work / f"{tree.name}-{run}"
