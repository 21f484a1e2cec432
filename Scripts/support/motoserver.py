"""moto's server on loopback, as a second server with conditional writes for `Scripts/trial group --server moto`. It keeps objects in memory."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import botocore.exceptions
from ending import die_with_parent
from seaweedfs import SeaweedFS, StartFailed, free_ports, tail

SECONDS = 60


class MotoServer(SeaweedFS):
    """Started and addressed as SeaweedFS is. `program` is moto_server of the venv in which moto is installed."""

    def __init__(self, bucket, program):
        super().__init__(bucket)
        self.program = program

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="s3mirror-moto."))
        try:
            self.ports = {"s3": free_ports(1)[0]}
            log = self.directory / "moto.log"
            with log.open("wb") as output:
                self.process = subprocess.Popen(
                    [self.program, "-H", "127.0.0.1", "-p", str(self.port)],
                    env={**os.environ, **self.environment()},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            self._create_bucket(log)
            return self
        except BaseException:
            self.__exit__()
            raise

    def _create_bucket(self, log):
        limit = time.monotonic() + SECONDS
        while True:
            try:
                self.client(attempts=1).create_bucket(Bucket=self.bucket)
                return
            except botocore.exceptions.EndpointConnectionError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    raise StartFailed(f"moto_server did not start:\n{tail(log)}") from None
                time.sleep(0.1)

    def __exit__(self, *_):
        if self.process:
            self._end_process()
        shutil.rmtree(self.directory, ignore_errors=True)
