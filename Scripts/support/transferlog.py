"""Reads s3mirror's transfer logs: gzip members of JSON lines. The one place in the scripts that knows their fields."""

import dataclasses
import datetime
import json
import pathlib
import zlib

GZIP = 16 + zlib.MAX_WBITS  # zlib.h, inflateInit2: 16 selects the gzip format
# The values of `operation` for records of a whole pass and not of one transfer.
PASSES = {"tick", "entry", "exit", "pass", "flush"}


@dataclasses.dataclass
class Pass:
    """One pass over what changed: a tick, or the reconciliation at entry or exit."""

    time: float  # seconds since 1970, as time.time()
    kind: str
    mirror: str
    files: int
    bytes: int
    deleted: int
    seconds: float
    requests: dict  # AWS operation -> count


def records(directory):
    """Every record of every log in a directory, in time order."""
    found = []
    for path in sorted(pathlib.Path(directory).glob("*.jsonl.gz")):
        found += [json.loads(line) for line in complete_lines(path)]
    return sorted(found, key=lambda record: instant(record["time"]))


def complete_lines(path):
    """The whole lines of a log, whatever cut it: a SIGKILL may leave the last gzip member without its trailer."""
    data, text = path.read_bytes(), b""
    while data:
        member = zlib.decompressobj(GZIP)
        text += member.decompress(data)
        data = member.unused_data
    return text[: text.rfind(b"\n") + 1].decode("utf-8").splitlines()


def passes(log):
    return [
        Pass(
            time=instant(record["time"]),
            kind=record["operation"],
            mirror=record.get("mirror", ""),
            files=record.get("files", 0),
            bytes=record.get("bytes", 0),
            deleted=record.get("deleted", 0),
            seconds=record.get("seconds", 0.0),
            requests=record.get("requests") or {},
        )
        for record in log
        if record["operation"] in PASSES
    ]


def transfers(log):
    return [record for record in log if record["operation"] not in PASSES]


def parts_reused(log):
    return sum(record.get("partsReused") or 0 for record in transfers(log))


def attempts(log):
    """How often the slowest request of each transfer was sent."""
    return [record.get("attempts") or 1 for record in transfers(log)]


def failures(log):
    return [record for record in transfers(log) if record.get("error")]


def instant(text):
    return datetime.datetime.fromisoformat(text).timestamp()
