"""What is judged when a mirror has ended: the bucket against the tree, the status, open uploads, the log, its resources."""

import dataclasses
import hashlib
import json
import pathlib
import re
import subprocess

import chaoscontent as content
import transferlog

MIB = 1 << 20
LINES = 200  # of standard error, in one round
MEMORY = 160 * MIB  # private; the promise is 96 MiB of payload, and the rest is small
DESCRIPTORS, THREADS = 128, 48
# How much a resource at rest may grow over many faults.
MORE_MEMORY, MORE_DESCRIPTORS, MORE_THREADS = 32 * MIB, 12, 4
# Lines that report a pass or the beginning of the end, and so no trouble.
PROGRESS = re.compile(r": (entry|exit|audit|flush|tick \d+): \d+ file|\d+ files?, .*fetched|goes on to its end|left out$")


@dataclasses.dataclass
class Weight:
    """What a process takes at one moment, from /proc."""

    time: float
    memory: int  # bytes: RssAnon
    descriptors: int
    threads: int


def tree_files(tree):
    """Relative path -> SHA-256 of every regular file, and the symbolic links."""
    files, links = {}, {}
    for path in pathlib.Path(tree).rglob("*"):
        name = str(path.relative_to(tree))
        if path.is_symlink():
            links[name] = path
        elif path.is_file():
            try:
                files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            except PermissionError:
                files[name] = None  # nobody could publish it
    return files, links


def differences(judge, tree, spared=()):
    """How the bucket differs from the tree, as sentences. `spared`: prefixes that are not compared."""
    judge.look()
    files, links = tree_files(tree)
    remote = dict(judge.current)
    found = []
    for name, digest in sorted(files.items()):
        if digest is None or name.startswith(tuple(spared)):
            continue
        if name not in remote:
            found.append(f"{name} is here, and not on S3")
        elif remote[name].sha256 != digest:
            reading = content.read((pathlib.Path(tree) / name).read_bytes())
            on_s3 = remote[name].reading
            found.append(f"{name} is version {reading.version} here, and version {on_s3.version} {on_s3.problem} on S3")
    for name in sorted(remote.keys() - files.keys() - links.keys()):
        # A link's target may be published under the link's name.
        if name.startswith(tuple(spared)) or any(name.startswith(link + "/") for link in links):
            continue
        found.append(f"{name} is on S3, and not here")
    return found


def open_uploads(judge):
    pages = judge.client.get_paginator("list_multipart_uploads").paginate(Bucket=judge.bucket, Prefix=judge.prefix)
    return sorted(each["Key"] for page in pages for each in page.get("Uploads") or ())


def end_of_mirror(judge, tree, status, said, expected=(0,), spared=()):
    """The rules `status`, `unequal`, `uploads` for a mirror that ended by itself, after the writer had."""
    differ = differences(judge, tree, spared)
    few = "; ".join(differ[:5]) + (f" and {len(differ) - 5} more" if len(differ) > 5 else "")
    if status == 0 and differ:
        judge.say("unequal", f"exit status 0, and {len(differ)} differences: {few}")
    elif status == 1 and 1 not in expected and differ:
        judge.say("unpublished", f"exit status 1 after the fault was over, and {len(differ)} differences: {few}")
    elif status == 1 and 1 not in expected:
        judge.say("status", f"exit status 1, and the bucket equals the tree: {last(said)}")
    elif status not in expected and status not in (0, 1):
        judge.say("crash" if status < 0 else "status", f"exit status {status}: {last(said)}")
    elif status not in expected:
        judge.say("status", f"exit status {status}, and {expected} was due: {last(said)}")
    if status == 1 and not troubles(said):
        judge.say("silent", "exit status 1, and standard error says nothing of why")
    # An upload that a killed mirror began for a file that is now gone may belong to another writer, as far as the next mirror
    # knows.
    left = {key for key in judge.left_by_kill if f"of {key} stays: it may be another writer's" in said}
    if status == 0 and (uploads := [key for key in open_uploads(judge) if key not in left]):
        judge.say("uploads", f"exit status 0, and multipart uploads are open: {', '.join(uploads[:5])}")
    return differ


def troubles(said):
    return [line for line in said.splitlines() if line.strip() and not PROGRESS.search(line)]


def last(said):
    lines = troubles(said)
    return " / ".join(lines[-3:])[:600] if lines else "nothing said"


def log_is_true(judge, directory, publications, is_cut, prefix):
    """The rule `log`: zcat reads it, and each `done` is a publication that the server answered."""
    known = {}
    for each in publications:
        known.setdefault((each.key, each.etag), set()).add(each.size)
    for path in sorted(pathlib.Path(directory).glob("*.jsonl.gz")):
        read = subprocess.run(["zcat", path], capture_output=True, check=False)
        if not is_cut and read.returncode:
            judge.say("log", f"zcat {path.name} ends with {read.returncode}: {read.stderr.decode(errors='replace')[:200]}")
        try:
            for line in read.stdout.splitlines():
                json.loads(line)
        except ValueError as error:
            judge.say("log", f"zcat {path.name} prints a line that is no JSON: {error}")
    last_done = {}
    try:
        records = transferlog.transfers(transferlog.records(directory))
    except (KeyError, ValueError) as error:
        judge.say("log", f"a record cannot be read: {type(error).__name__}: {error}")
        return last_done
    for record in records:
        if record["outcome"] != "done" or record["operation"] not in ("upload", "copy"):
            continue
        key, etag = prefix + record["path"], (record.get("etag") or "").strip('"')
        sizes = known.get((key, etag))
        last_done[record["path"]] = record
        if sizes is None and (record["path"], etag) not in judge.sights:
            judge.say("log", f"done {record['operation']} of {record['path']} with ETag {etag!r}, which the server never gave")
        # The server has copied the rest from objects that it had.
        sent = record["bytes"] - (record.get("bytesCopied") or 0)
        if sizes and None not in sizes and sent not in sizes and record["operation"] == "upload":
            judge.say("log", f"done upload of {record['path']}, {sent} bytes sent, and the server got {sorted(sizes)}")
    return last_done


def zcat_now(judge, directory):
    """At any moment zcat prints whole lines, each of them JSON."""
    for path in sorted(pathlib.Path(directory).glob("*.jsonl.gz")):
        if not path.stat().st_size:
            continue
        read = subprocess.run(["zcat", path], capture_output=True, check=False)
        lines = read.stdout.split(b"\n")
        if read.returncode or lines.pop():
            judge.say("log", f"zcat {path.name} while it is written: status {read.returncode}, cut line {lines[-1:]!r}")
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                judge.say("log", f"zcat {path.name} while it is written: {line[:80]!r} is no JSON")


def last_states(judge, last_done):
    """What the log says last of each name is what the server has, where only one mirror ran to its end."""
    for path, record in last_done.items():
        sight = judge.current.get(path)
        if sight and (record.get("etag") or "").strip('"') not in ("", sight.etag) and record["operation"] == "upload":
            judge.say("log", f"the last done of {path} has ETag {record['etag']}, and S3 has {sight.etag}")


def bounded(say, weights):
    """The rules `memory`, `descriptors` and `threads`, over the weights of one process."""
    bounds = (("memory", MEMORY), ("descriptors", DESCRIPTORS), ("threads", THREADS))
    for rule, bound in bounds:
        most = max((getattr(each, rule) for each in weights), default=0)
        if most > bound:
            say(rule, f"{most} at most, and {bound} are allowed")


def flat(say, before, after):
    """Nothing is kept of what went wrong: at rest a process weighs what it weighed before."""
    for rule, more in (("memory", MORE_MEMORY), ("descriptors", MORE_DESCRIPTORS), ("threads", MORE_THREADS)):
        first, last = (max(getattr(each, rule) for each in some) for some in (before, after))
        if last > first + more:
            say(rule, f"{last} at rest after the faults, and {first} before them")


def few_lines(say, outputs):
    lines = sum(len(path.read_text(errors="replace").splitlines()) for path in outputs)
    if lines > LINES:
        say("lines", f"{lines} lines on standard error, and {LINES} are allowed")
