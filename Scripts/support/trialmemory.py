"""Memory: the peak of private memory with ten workers, against a server that is never the bottleneck (sink.c)."""

import os
import shutil

import benchrun
from mirrorrun import environment

LIMIT = 150  # MiB
WORKERS = 10
MIB = 1 << 20
SMALL_BYTES, SMALL_EACH = 4096, 100
SECONDS = 600  # for one command


class Memory:
    def __init__(self, sink, s3mirror, work):
        self.binary, self.s3mirror, self.work = sink, s3mirror, work

    def run(self, large, several, small):
        """Prints the table. Sizes in MiB, then a number of small files. Returns what was violated, as sentences."""
        directories = small // SMALL_EACH
        print(
            f"\npeak memory with {WORKERS} workers\n\n| what | way | seconds | private MiB | resident MiB |\n"
            "|---|---|---|---|---|"
        )
        buckets = {
            "uploads": (0, 0, 0),
            "large": (0, 1, large * MIB),
            "several": (1, WORKERS, several * MIB),
            "small": (directories, SMALL_EACH, SMALL_BYTES),
        }
        sink = benchrun.Sink(self.binary, self.work, buckets)
        try:
            found = self.measure(sink, "large", f"one file of {large} MiB", [(1, large * MIB)], 1)
            found += self.measure(
                sink, "several", f"{WORKERS} files of {several} MiB", [(WORKERS, several * MIB)], WORKERS
            )
            found += self.measure(
                sink, "small", f"{small} files of 4 KiB", [(SMALL_EACH, SMALL_BYTES)] * directories, small
            )
        finally:
            sink.stop()
        return found

    def measure(self, sink, bucket, what, directories, files):
        """Up and down; `directories` are a number of files and their size each."""
        tree = self.work / bucket
        each, size = directories[0]
        # Large files are sparse: read(2) fills pages for a hole as for other data, and no disk is involved.
        benchrun.write_tree(tree, len(directories), each, size, sparse=size > MIB)
        found = self.weigh(sink, what, "up", ["upload", tree, f"s3://uploads/{bucket}"], files, size)
        shutil.rmtree(tree)
        command = ["download", f"s3://{bucket}/data", tree]
        found += self.weigh(sink, what, "down", command, files, size)
        present = [path for path in tree.rglob("*") if path.is_file()]
        if len(present) != files or any(path.stat().st_size != size for path in present):
            found.append(f"{what} down: {len(present)} files came, not {files} of {size} bytes")
        shutil.rmtree(tree)
        return found

    def weigh(self, sink, what, way, command, files, size):
        aws = {
            "AWS_ENDPOINT_URL": sink.url, "AWS_ACCESS_KEY_ID": "trial", "AWS_SECRET_ACCESS_KEY": "trial-secret",
            "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip
        log = self.work / "memory.log"
        sample = benchrun.weigh(
            [self.s3mirror, *command, "--max-workers", WORKERS, "--quiet"], {**environment(self.work), **aws}, sink,
            log, limit=SECONDS,
        )  # fmt: skip
        if sample is None:
            print(f"| {what} | {way} | failed | | |\n{log.read_text()[-2000:]}")
            return [f"{what} {way}: s3mirror failed"]
        print(f"| {what} | {way} | {sample.wall:.1f} | {sample.private:.0f} | {sample.resident:.0f} |", flush=True)
        found = []
        if sample.private >= LIMIT:
            found.append(f"{what} {way}: {sample.private:.0f} MiB of private memory, not below {LIMIT}")
        if way == "up":
            done = sample.requests.get("Put", 0) + sample.requests.get("UploadPart", 0)
            if done < files * max(1, size // (16 * MIB)):
                found.append(f"{what} up: only {sample.requests} were sent")
        return found
