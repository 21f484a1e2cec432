"""Plants a violation of each rule in a round that has none, and looks whether the judge finds it."""

import gzip
import json
import signal
import time

import chaoscontent as content
from chaosend import Weight

PLANTED = "data/planted.bin"
SIZE = content.fitting(3 * content.BLOCK)


def put(round, key, body):
    round.server.client().put_object(Bucket=round.server.bucket, Key=round.prefix + key, Body=body)


def damaged(round):
    body = bytearray(content.whole(PLANTED, 1, SIZE))
    body[-1] ^= 1
    put(round, PLANTED, bytes(body))


def mixed(round):
    old, new = content.whole(PLANTED, 1, SIZE), content.whole(PLANTED, 2, SIZE)
    put(round, PLANTED, new[: content.BLOCK] + old[content.BLOCK :])


def half(round):
    put(round, PLANTED, content.whole(PLANTED, 2, SIZE)[: content.BLOCK])


def empty(round):
    put(round, PLANTED, b"")


def foreign(round):
    put(round, PLANTED, content.whole("data/another.bin", 1, SIZE))


def backwards(round):
    for version in (9, 8):
        put(round, PLANTED, content.whole(PLANTED, version, SIZE))
        time.sleep(1)


def deleted(round):
    round.server.client().delete_object(Bucket=round.server.bucket, Key=round.prefix + PLANTED)


def marker(round):
    named = {"run/step-9999/model-00000.bin": {"version": 9999, "bytes": 1, "sha256": "0"}}
    put(round, "run/latest", content.marker("run/latest", 9999, named))


def unequal(round):
    put(round, PLANTED, content.whole(PLANTED, 2, SIZE))


def open_upload(round):
    round.server.client().create_multipart_upload(Bucket=round.server.bucket, Key=round.prefix + PLANTED)


def log_that_lies(round):
    record = {"time": "2026-01-01T00:00:00.000Z", "mirror": "watch", "operation": "upload", "path": PLANTED}
    record |= {"bytes": SIZE, "outcome": "done", "etag": '"00000000000000000000000000000000"'}
    append(round, gzip.compress(json.dumps(record).encode() + b"\n"))


def log_that_is_cut(round):
    append(round, gzip.compress(b"{}\n" * 1000)[:-9])


def append(round, data):
    with sorted(round.log.glob("*.gz"))[-1].open("ab") as file:
        file.write(data)


def false_status(round):
    round.status = lambda status: 1


def unpublished(round):
    unequal(round)
    false_status(round)


def many_lines(round):
    with open(round.process.output, "a") as file:
        file.write("s3mirror: something went wrong\n" * 300)


def lasting_outage(round):
    """Until the round leaves; meanwhile a checkpoint is written."""
    round.proxy.cut()
    time.sleep(round.writer.pace[1] + 0.5)


def heavy(**more):
    def plant(round):
        weight = {"time": time.time(), "memory": 1 << 20, "descriptors": 10, "threads": 4, **more}
        round.process.weights.append(Weight(**weight))

    return plant


# Name -> the rule that must be reported, when the violation is planted, and how.
PLANTS = {
    "damaged": ("torn", "running", damaged),
    "mixed": ("mixed", "running", mixed),
    "half": ("half", "running", half),
    "empty": ("empty", "running", empty),
    "foreign": ("foreign", "running", foreign),
    "backwards": ("backwards", "running", backwards),
    "deleted": ("deleted", "running", deleted),
    "marker": ("marker", "running", marker),
    "unequal": ("unequal", "ended", unequal),
    "open-upload": ("uploads", "ended", open_upload),
    "log-that-lies": ("log", "ended", log_that_lies),
    "log-that-is-cut": ("log", "ended", log_that_is_cut),
    "false-status": ("status", "ended", false_status),
    "unpublished": ("unpublished", "ended", unpublished),
    "silence": ("silent", "ended", false_status),
    "many-lines": ("lines", "ended", many_lines),
    "no-recovery": ("recovery", "running", lasting_outage),
    "hang": ("hang", "leaving", lambda round: round.process.signal(signal.SIGSTOP)),
    "crash": ("crash", "leaving", lambda round: round.process.signal(signal.SIGABRT)),
    "memory": ("memory", "ended", heavy(memory=1 << 30)),
    "descriptors": ("descriptors", "ended", heavy(descriptors=1000)),
    "threads": ("threads", "ended", heavy(threads=300)),
}


def plant(name, round, moment):
    """What happens in a round of the self-test at each moment. Without a name it is the control: nothing is planted."""
    if moment == "prepared":
        round.writer.write(PLANTED, PLANTED, 1, SIZE)
        return
    if name is None:
        return
    _, when, act = PLANTS[name]
    if moment == when:
        if moment == "running":
            ends = time.monotonic() + 10
            while PLANTED not in round.judge.current and time.monotonic() < ends:
                time.sleep(0.05)
        round.journal.note(f"PLANTED {name}")
        act(round)
    if moment == "leaving" and name == "no-recovery":
        round.proxy.accept()


def verdict(results):
    """Prints what was found of what was planted. Returns whether all was."""
    is_good = True
    for name, result in results.items():
        found = sorted({violation.rule for violation in result.violations})
        wanted = PLANTS[name][0] if name else None
        is_right = not result.trouble and (wanted in found if wanted else not found)
        is_good = is_good and is_right
        planted = f"planted {name}, a violation of {wanted}" if name else "nothing planted"
        print(f"{'ok  ' if is_right else 'FAIL'} {planted}: found {', '.join(found) or 'nothing'} {result.trouble}")
    return is_good
