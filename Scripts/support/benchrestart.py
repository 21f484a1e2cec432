"""What a second upload costs of a tree that was published just now, beside rclone. Called by Scripts/bench."""

import ctypes
import os
import shutil
import statistics
import struct

import benchpeers
import benchrun

MEMORY_MIB = 30
MOST_EDITS = 10
EDITED = "s3mirror, some edited"
DIRECTORIES = 1000
SMALL_BYTES = 4096
IN_ACCESS, IN_OPEN, IN_Q_OVERFLOW, IN_ISDIR = 0x1, 0x20, 0x4000, 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


class OpenedFiles:
    """Which files below a tree are opened or read, by inotify(7). A file that is not opened is not read."""

    def __init__(self, tree):
        self.descriptor = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for directory, _, _ in os.walk(tree):
            if LIBC.inotify_add_watch(self.descriptor, os.fsencode(directory), IN_ACCESS | IN_OPEN) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", directory)

    def count(self):
        """How many opens and reads there were; None when they were too many to be counted."""
        found = 0
        while True:
            try:
                records = os.read(self.descriptor, 1 << 20)
            except BlockingIOError:
                return found
            offset = 0
            while offset < len(records):
                _, mask, _, length = struct.unpack_from("iIII", records, offset)
                offset += 16 + length
                if mask & IN_Q_OVERFLOW:
                    return None
                found += not mask & IN_ISDIR

    def close(self):
        os.close(self.descriptor)


def restart(options, work):
    layouts = [("small", options.tree, DIRECTORIES, SMALL_BYTES)]
    if options.million:
        layouts.append(("million", 1_000_000, DIRECTORIES, SMALL_BYTES))
    if options.large:
        layouts.append(("large", options.large, 1, options.size << 20))
    results = []
    for name, files, directories, size in layouts:
        if not files:
            continue
        tree = work / name
        tree.mkdir()
        each = max(1, files // directories)
        if size > benchrun.PATTERN_BYTES:
            (tree / "d0000").mkdir()
            for index in range(each):
                benchrun.write_large(tree / f"d0000/f{index:06}", size)
        else:
            benchrun.write_tree(tree, directories, each, size)
        for tags in ("md5", "opaque"):
            results.append(restart_of(tree, directories, each, size, tags, options, work))
        shutil.rmtree(tree)
    return results


def restart_of(tree, directories, each, size, tags, options, work):
    files = directories * each
    sink = benchrun.Sink(options.built / "sink", work, {"live": (directories, each, size, tags)})
    tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, sink.url, work)
    cache = work / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    tools.base["XDG_CACHE_HOME"] = str(cache)
    log = options.built / "clients.log"
    ours, rclone = tools.ours(), tools.rclone()
    job = benchpeers.Job("reconcile", "live", "data", tree, 32)

    def run(client):
        return benchrun.weigh(client.command(job), tools.environment(client), sink, log)

    title = f"{files} files of {size} bytes, ETags {'MD5' if tags == 'md5' else 'no MD5'}"
    print(f"\n## {title} (medians of {options.rounds})\n")
    first = run(ours)
    if first is None:
        raise SystemExit(f"bench: the first upload failed, see {log}")
    print(f"Published by s3mirror in {first.wall:.2f} s: {shown(first.requests)}.\n")
    print("| run | wall s | CPU s | private MiB | files opened | MB read, evidence and code included | requests |")
    print("|---|---|---|---|---|---|---|")
    result = {"title": title, "files": files, "runs": {}}

    def take(label, client, rounds=options.rounds):
        opened = OpenedFiles(tree)
        samples = []
        for _ in range(rounds):
            samples.append(run(client))
            if samples[-1] is None:
                raise SystemExit(f"bench: {label} failed, see {log}")
        count = opened.count()
        opened.close()
        figures = {what: statistics.median(getattr(each, what) for each in samples)
                   for what in ("wall", "cpu", "private", "read")}
        requests = {kind: max(each.requests.get(kind, 0) for each in samples)
                    for kind in sorted(set().union(*(each.requests for each in samples)))}
        result["runs"][label] = {**figures, "opened": count, "requests": requests}
        print(
            f"| {label} | {figures['wall']:.2f} | {figures['cpu']:.2f} | {figures['private']:.1f} "
            f"| {'very many' if count is None else count} | {figures['read'] / 1e6:.1f} | {shown(requests)} |", flush=True,
        )

    take("s3mirror", ours)
    if not options.only or "rclone" in options.only:
        take("rclone", rclone)
    bytes_kept = sum(file.stat().st_size for file in (cache / "s3mirror/evidence").iterdir())
    shutil.rmtree(cache)
    take("s3mirror without evidence", ours, rounds=1)
    result["edited"] = edit(tree, each, files)
    take(EDITED, ours, rounds=1)
    sink.stop()
    result["evidence"] = bytes_kept
    ratio = ""
    if "rclone" in result["runs"]:
        ratio = f" The wall time is {result['runs']['s3mirror']['wall'] / result['runs']['rclone']['wall']:.2f} of rclone's."
    print(f"\nThe evidence takes {bytes_kept / files:.0f} bytes a file.{ratio}")
    return result


def edit(tree, each, files):
    """Writes some files over in place, in their size, and sets their mtimes back: ctime alone tells of it.

    How many they are. The next run publishes them; the sink gives them the tag of what it thinks that they are."""
    edits = min(MOST_EDITS, max(1, files // 20))
    for number in range(edits):
        index = number * 7919 % files
        path = tree / f"d{index // each:04}/f{index:06}"
        before = path.stat()
        with open(path, "r+b") as file:
            file.write(bytes(SMALL_BYTES))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return edits


def shown(requests):
    return ", ".join(f"{count} {kind}" for kind, count in sorted(requests.items())) or "none"


def restart_promise(results):
    """A second run opens no file and asks for no object. What was edited, and only that, is asked for and sent."""
    broken = []
    for result in results:
        again, edited = result["runs"]["s3mirror"], result["runs"][EDITED]
        if again["opened"] != 0:
            broken.append(f"{result['title']}: files were opened or read: {again['opened']} times")
        if set(again["requests"]) - {"List", "HeadBucket", "ListUploads"}:
            broken.append(f"{result['title']}: a second run asked for more than the listing: {shown(again['requests'])}")
        if again["private"] > MEMORY_MIB:
            broken.append(f"{result['title']}: {again['private']:.1f} MiB of private memory, over {MEMORY_MIB}")
        sent = edited["requests"].get("Put", 0) + edited["requests"].get("Complete", 0)
        if sent != result["edited"] or edited["requests"].get("Head", 0) > sent:
            broken.append(f"{result['title']}: {result['edited']} were edited, and it did {shown(edited['requests'])}")
    return broken
