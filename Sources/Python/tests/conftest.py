"""What the tests share: a real server, a real command, and a home of their own."""

import contextlib
import os
import pathlib
import sys
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "Sources" / "Python"))
sys.path.insert(0, str(ROOT / "Scripts" / "support"))


class RunningServer:
    """The server that the environment names, as `Scripts/support/seaweedfs.py run` starts it."""

    def __init__(self):
        self.bucket = os.environ["S3MIRROR_TEST_BUCKET"]

    def environment(self):
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}

    def client(self):
        import boto3  # noqa: PLC0415

        return boto3.client("s3", endpoint_url=os.environ["S3MIRROR_TEST_ENDPOINT"])


@contextlib.contextmanager
def started():
    """A running server: the environment's, else one of these tests."""
    if "S3MIRROR_TEST_ENDPOINT" in os.environ:
        yield RunningServer()
        return
    # It needs a later Python than the package.
    from seaweedfs import SeaweedFS  # noqa: PLC0415

    with SeaweedFS() as server:
        yield server


@pytest.fixture(scope="session")
def server():
    """A server, and its address in the environment."""
    with started() as server:
        before = dict(os.environ)
        os.environ.update(server.environment())
        yield server
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Nothing of the user's is read or written. Without a server in the test there is none to be found."""
    for name, variable in {
        "home": "HOME",
        "run": "XDG_RUNTIME_DIR",
        "state": "XDG_STATE_HOME",
        "cache": "XDG_CACHE_HOME",
    }.items():
        (tmp_path / name).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / name))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("S3MIRROR_BIN", str(binary()))
    return tmp_path


def binary():
    """The command: that of `S3MIRROR_BIN`, else the debug build."""
    return pathlib.Path(os.environ.get("S3MIRROR_BIN") or ROOT / ".build" / "debug" / "s3mirror")


class Prefix:
    """A place in the bucket that no other test has."""

    def __init__(self, server):
        self.client = server.client()
        self.bucket = server.bucket
        self.name = uuid.uuid4().hex

    def url(self, key=""):
        return f"s3://{self.bucket}/{self.name}/{key}".rstrip("/")

    def put(self, key, body=b"x"):
        self.client.put_object(Bucket=self.bucket, Key=f"{self.name}/{key}", Body=body)

    def contents(self, below=""):
        """Every object below, by its key: what boto3 reads."""
        start = f"{self.name}/{below}"
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start)
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {
            key[len(start) :]: self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            for key in keys
        }


@pytest.fixture
def prefix(server):
    return Prefix(server)


def children():
    """The sessions that this process has started and that are not gone, zombies included."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # It has ended.
            # proc(5): the name is in brackets; the state and the parent follow.
            name, rest = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
            if int(rest[1]) == os.getpid() and name == "s3mirror":
                found.append(int(entry.name))
    return found


@pytest.fixture(autouse=True)
def no_process_left():
    yield
    assert children() == []
