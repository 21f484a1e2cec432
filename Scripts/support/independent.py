"""What an independent client, boto3, sees on S3: the demo believes this and not s3mirror's own word."""

import concurrent.futures
import dataclasses
import hashlib
import json
import threading
import time

CHUNK = 1 << 20  # bytes hashed at once
POLL_SECONDS = 0.2


class Prefix:
    """Everything under one prefix of a bucket. `client` talks to the server itself, not through the proxy."""

    def __init__(self, client, bucket, prefix):
        self.client, self.bucket, self.prefix = client, bucket, prefix

    def put(self, name, content):
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content)

    def names(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return {each["Key"][len(self.prefix) :] for page in pages for each in page.get("Contents", ())}

    def read(self, name):
        """The object's bytes, or None when there is none."""
        try:
            return self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def size(self, name):
        try:
            return self.client.head_object(Bucket=self.bucket, Key=self.prefix + name)["ContentLength"]
        except self.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def sha256(self, name):
        body = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
        return digest(iter(lambda: body.read(CHUNK), b""))

    def open_uploads(self):
        """Keys of multipart uploads that were begun and neither completed nor aborted."""
        pages = self.client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        return sorted(each["Key"] for page in pages for each in page.get("Uploads", ()))

    def compare(self, tree):
        """This prefix against a directory, by SHA-256 of every byte on both sides."""
        local = {str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file()}
        remote = self.names()
        both = sorted(local.keys() & remote)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            differ = [name for name, same in zip(both, pool.map(lambda n: self.equals(n, local[n]), both)) if not same]
        return Comparison(
            equal=len(both) - len(differ),
            bytes=sum(local[name].stat().st_size for name in both),
            differ=differ,
            missing=sorted(local.keys() - remote),
            extra=sorted(remote - local.keys()),
        )

    def equals(self, name, path):
        with path.open("rb") as file:
            return digest(iter(lambda: file.read(CHUNK), b"")) == self.sha256(name)


@dataclasses.dataclass
class Comparison:
    equal: int
    bytes: int
    differ: list  # on both sides, content not the same
    missing: list  # on disk only
    extra: list  # on S3 only

    @property
    def complete(self):
        return not (self.differ or self.missing or self.extra)

    def __str__(self):
        parts = [f"{self.equal} files equal"]
        for word in ("differ", "missing", "extra"):
            if names := getattr(self, word):
                parts.append(f"{len(names)} {word} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''})")
        return ", ".join(parts)


class MarkerFollower:
    """A reader of the bucket, as an evaluation job would be: follows `latest` again and again, and looks whether
    everything that it leads to is there, at its right size, at that moment. Also watches the open log grow."""

    def __init__(self, prefix, index, log):
        self.prefix, self.index, self.log = prefix, index, log
        self.followed = 0
        self.markers = []  # the distinct ones, in the order they came
        self.broken = []  # sentences: what a marker promised and S3 did not hold
        self.log_sizes = []  # (time.time(), bytes) whenever it changed
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        try:
            while not self._stop.wait(POLL_SECONDS):
                self._follow()
                size = self.prefix.size(self.log)
                if size is not None and (not self.log_sizes or self.log_sizes[-1][1] != size):
                    self.log_sizes.append((time.time(), size))
        except Exception as error:  # told by the demo at its end: a reader that saw nothing proves nothing
            self.failure = f"{type(error).__name__}: {error}"

    def _follow(self):
        marker = self.prefix.read("latest")
        if marker is None:
            return
        name = marker.decode().strip()
        absent = self._absent(name)
        # A checkpoint that was rotated away during the check is no fault; the marker then names another one.
        if absent and self.prefix.read("latest") == marker:
            self.broken.append(f"latest = {name!r}, but {', '.join(absent)}")
        self.followed += 1
        if name not in self.markers:
            self.markers.append(name)

    def _absent(self, name):
        index = self.prefix.read(f"{name}/{self.index}")
        if index is None:
            return [f"no {name}/{self.index}"]
        expected = {shard: facts["bytes"] for shard, facts in json.loads(index).items()}
        found = {shard: self.prefix.size(f"{name}/{shard}") for shard in expected}
        return [
            f"{name}/{shard} has {found[shard]} of {size} bytes" if found[shard] is not None else f"no {name}/{shard}"
            for shard, size in expected.items()
            if found[shard] != size
        ]


def digest(blocks):
    total = hashlib.sha256()
    for block in blocks:
        total.update(block)
    return total.hexdigest()
