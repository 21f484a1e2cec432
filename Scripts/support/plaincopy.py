"""What `Scripts/trial frameworks --control` has in the place of s3mirror: a copy of what has changed, file by file, as a sync from a
timer does it.

    plaincopy.py ROOT BUCKET PREFIX SECONDS    until SIGTERM; then once more
"""

import contextlib
import os
import pathlib
import signal
import sys
import threading

import boto3
import botocore.config


def files(root):
    """Size and mtime of each file, by name, in the order of the names."""
    found = {}
    for path in sorted(root.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                found[str(path.relative_to(root))] = (status.st_size, status.st_mtime_ns)
    return found


def copy(root, client, bucket, prefix, known):
    now = files(root)
    for name, state in now.items():
        if known.get(name) != state:
            # It may be renamed or removed meanwhile.
            with contextlib.suppress(FileNotFoundError):
                client.upload_file(str(root / name), bucket, prefix + name)
                known[name] = state
    for name in known.keys() - now.keys():
        client.delete_object(Bucket=bucket, Key=prefix + name)
        del known[name]


def main():
    root, bucket, prefix, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
    client = boto3.client(
        "s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=botocore.config.Config(s3={"addressing_style": "path"}, proxies={})
    )
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    known = {}
    while not ended.wait(seconds):
        copy(root, client, bucket, prefix, known)
    copy(root, client, bucket, prefix, known)


if __name__ == "__main__":
    main()
