"""What s3mirror costs, beside its peers and a bare libcurl sender. Called by Scripts/bench, which builds the tools."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import benchappend
import benchbefore
import benchinstructions
import benchnetwork
import benchpeers
import benchprofile
import benchrestart
import benchrun
import benchslowdown
import benchstuck
import benchtrainer
import benchtransfer
import benchunit
from ending import raise_on_signals

TREE_DIRECTORIES = 1000
COMPARES_BUILDS = ("transfer", "tls", "reconcile", "instructions")
LARGE_MEBIBYTES = 4096
UNIT_MEBIBYTES = 7630  # 8.0 GB
APPEND_MEBIBYTES = 2048
# The last threads of the entry may still be ending when the measurement begins. A timer would wake more often in any minute.
WAKEUPS_BY_CHANCE = 3


def main():
    options = arguments()
    raise_on_signals()
    # A RAM disk moves no stamp for mapped stores, so nothing there is known again.
    directory = options.dir or (options.built if options.measure == "restart" else None)
    with benchrun.Workspace(directory) as work:
        shown = " ".join(sys.argv[1:]).split(" --built ")[0]
        print(f"# Scripts/bench {shown}\n")
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, files in {work}")
        results = MEASURES[options.measure](options, work)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")
    # Beside another build only the two builds are compared.
    of_builds = options.before and options.measure != "instructions"
    broken = (benchbefore.promises if of_builds else PROMISES.get(options.measure, lambda results: []))(results)
    for promise in broken:
        print(f"bench: {promise}", file=sys.stderr)
    sys.exit(1 if broken else 0)


def arguments():
    parser = argparse.ArgumentParser(prog="Scripts/bench", description=__doc__)
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--built", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peers", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--s3mirror", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, help="of the large file (unit: of the unit; append: of the log and of the checkpoint), in MiB; 0 leaves it out")
    parser.add_argument("--files", type=int, default=10_000, help="small files, in hundreds; 0 leaves them out")
    parser.add_argument("--latency", type=int, default=30, help="milliseconds of the slow table; 0 leaves it out")
    parser.add_argument("--million", action="store_true", help="reconcile, restart: a million files too")
    parser.add_argument("--tree", type=int, default=100_000, help="reconcile, restart, tick, idle: files, in thousands")
    parser.add_argument("--large", type=int, default=20, help="restart: large files, of --size MiB each; 0 leaves them out")
    parser.add_argument("--changes", type=int, default=20, help="tick: changes that are averaged")
    parser.add_argument("--rates", default="30,60,0", help="network: MB/s of a connection, with commas between; 0 for no limit")
    parser.add_argument("--latencies", default="0,15,50", help="network: milliseconds, with commas between")
    parser.add_argument("--cells", default="", help="network, slowdown: only the transfers whose title has this text, as MiB down")
    parser.add_argument("--seconds", type=int, default=60, help="idle: how long it is looked at; trainer: of a run")
    parser.add_argument("--interval", type=int, default=1, help="unit: seconds, of the watch")
    parser.add_argument("--before", type=Path, help=f"another build of s3mirror, beside this one ({', '.join(COMPARES_BUILDS)})")
    parser.add_argument("--only", help="clients (stuck: hang, complete, busy, slow, many), with commas between")
    parser.add_argument("--sick-size", type=float, default=10, help="stuck: of the file that is read slowly, in GB")
    parser.add_argument("--many", type=int, default=20, help="stuck: files that hang together; more than 10 fill the slots")
    parser.add_argument("--cap", type=float, default=60, help="stuck: seconds after which the others are given up")
    parser.add_argument("--end-cap", type=float, default=300, help="stuck: seconds after which an end is given up")
    parser.add_argument("--system-certificates", action="store_true", help="tls: the clients trust all that the system trusts, not one certificate")
    parser.add_argument("--dir", help="where the files lie; by default a RAM disk if there is one")
    parser.add_argument("--json", help="a file for the figures")
    options = parser.parse_args()
    if options.before and options.measure not in COMPARES_BUILDS:
        parser.error(f"{options.measure} compares no builds; {', '.join(COMPARES_BUILDS)} do")
    if options.before and not options.only:
        options.only = "s3mirror,before"
    if options.size is None:
        options.size = {"unit": UNIT_MEBIBYTES, "append": APPEND_MEBIBYTES}.get(options.measure, LARGE_MEBIBYTES)
    return options


# MARK: reconcile


def reconcile(options, work):
    sizes = [options.tree] + ([1_000_000] if options.million else [])
    (options.built / "clients.log").unlink(missing_ok=True)
    results = []
    for files in sizes:
        each = files // TREE_DIRECTORIES
        sink, tools, clients = benchtransfer.prepare(options, work, {"tree": (TREE_DIRECTORIES, each, benchtransfer.SMALL_BYTES)})
        tree = work / f"tree-{files}"
        tree.mkdir()
        benchrun.write_tree(tree, TREE_DIRECTORIES, each, benchtransfer.SMALL_BYTES, sparse=True)
        clients = [client for client in clients if client.does("reconcile")]
        for client in [client for client in clients if client.most_files and files > client.most_files]:
            print(f"- {client.name} is left out at {files} files: {client.why_not_more}")
            clients.remove(client)
        walk = benchpeers.Client("find -printf %s", "", lambda job: ["find", job.local, "-type", "f", "-printf", "%s\\n"])
        log = options.built / "clients.log"

        def command_of(client, number):
            job = benchpeers.Job("reconcile", "tree", "data", tree, 32)
            return client.command(job), tools.environment(client)

        def run(title, expected_puts, clients=[*clients, walk], rounds=options.rounds):
            table = benchrun.Measure(title, clients, rounds, walk.name)
            results.append(table.run(sink, log, command_of,
                                     expects=lambda counts: "List" not in counts or counts.get("Put", 0) == expected_puts))

        pages, seconds = sink.list_all("tree", "data/")
        print(f"\nThe listing alone: {pages} pages in {seconds:.2f} s, one after the other, unread.")
        run(f"nothing changed among {files} files in {TREE_DIRECTORIES} directories ({pages} pages)", 0)
        changed = tree / f"d0500/f{500 * each:06}"
        changed.write_bytes(benchrun.pattern()[: benchtransfer.SMALL_BYTES + 7])
        # Later than the sink's dates of its objects, because rclone's --update requires that of a change.
        later = time.time() + 7200
        os.utime(changed, (later, later))
        run(f"one changed among {files}", 1)
        if options.latency:
            os.truncate(changed, benchtransfer.SMALL_BYTES)
            os.utime(changed, (benchrun.MTIME_SECONDS, benchrun.MTIME_SECONDS))
            sink.delay(options.latency)
            # One request for each file would take minutes.
            listing = [client for client in clients if not client.heads_each_file]
            run(f"nothing changed among {files}, {options.latency} ms latency", 0, listing, rounds=1)
            sink.delay(0)
        shutil.rmtree(tree)
        sink.stop()
    return results


# MARK: tick


def tick(options, work):
    results = []
    print("\n## one changed 1 MiB file among N, while `s3mirror watch --interval 0` runs\n")
    print("| N | CPU ms a change | requests a change | private MiB | resident MiB | entry s |")
    print("|---|---|---|---|---|---|")
    for files in dict.fromkeys([1000, options.tree]):
        results.append(tick_among(files, options, work))
    return results


def tick_among(files, options, work):
    each = files // TREE_DIRECTORIES
    sink = benchrun.Sink(options.built / "sink", work, {"tree": (TREE_DIRECTORIES, each, benchtransfer.SMALL_BYTES)})
    tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, sink.url, work)
    tree = work / f"tree-{files}"
    tree.mkdir()
    benchrun.write_tree(tree, TREE_DIRECTORIES, each, benchtransfer.SMALL_BYTES, sparse=True)
    content = benchrun.pattern()
    log = open(options.built / "watch.log", "ab")
    start = time.monotonic()
    watch = subprocess.Popen(
        [options.s3mirror, "watch", tree, "s3://tree/data", "--interval", "0", "--settle", "0.05"],
        env=tools.base, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )
    memory = benchrun.Memory(watch.pid)
    try:
        seen = {}
        change(tree, each, 0, content)
        wait_for_put(sink, seen, watch)
        entry = time.monotonic() - start
        benchrun.settle(watch.pid)
        sink.counts()
        seen, before = {}, benchrun.processor_seconds(watch.pid)
        for number in range(1, options.changes + 1):
            change(tree, each, number, content)
            wait_for_put(sink, seen, watch)
        benchrun.settle(watch.pid)
        add(seen, sink.counts())
        milliseconds = (benchrun.processor_seconds(watch.pid) - before) * 1000 / options.changes
    finally:
        memory.stop()
        watch.send_signal(signal.SIGTERM)
        watch.wait()
        sink.stop()
        log.close()
        shutil.rmtree(tree)
    requests = ", ".join(f"{count / options.changes:g} {kind}" for kind, count in sorted(seen.items()))
    private, resident = memory.private / 1024, memory.resident / 1024
    print(f"| {files} | {milliseconds:.2f} | {requests} | {private:.1f} | {resident:.1f} | {entry:.2f} |", flush=True)
    return {
        "files": files, "changes": options.changes, "cpu_ms": milliseconds, "requests": seen, "private": private,
        "resident": resident, "entry": entry,
    }


def tick_promise(results):
    """A change costs one Put whatever the tree's size, and no listing or anything else."""
    return [
        f"{result['changes']} changes among {result['files']} files cost {result['requests']}, not one Put each"
        for result in results
        if result["requests"] != {"Put": result["changes"]}
    ]


def idle(options, work):
    """Counts what wakes a watch that has nothing to do."""
    print(f"\n## {options.seconds} s of `s3mirror watch --interval 3600` over a tree at rest\n")
    each = max(1, options.tree // TREE_DIRECTORIES)
    sink = benchrun.Sink(options.built / "sink", work, {"tree": (TREE_DIRECTORIES, each, benchtransfer.SMALL_BYTES)})
    tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, sink.url, work)
    tree = work / "tree-idle"
    tree.mkdir()
    benchrun.write_tree(tree, TREE_DIRECTORIES, each, benchtransfer.SMALL_BYTES, sparse=True)
    log = open(options.built / "watch.log", "ab")
    watch = subprocess.Popen(
        [options.s3mirror, "watch", tree, "s3://tree/data", "--interval", "3600"],
        env=tools.base, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )
    try:
        while not sink.counts().get("List"):
            if watch.poll() is not None:
                raise SystemExit("bench: s3mirror watch ended")
            time.sleep(0.2)
        benchrun.settle(watch.pid)
        # A watch at rest after some work, which is its usual state.
        change(tree, each, 0, benchrun.pattern()[:benchtransfer.SMALL_BYTES])
        subprocess.run([options.s3mirror, "flush"], env=tools.base, stdout=log, stderr=log, check=True)
        if not sink.counts().get("Put"):
            raise SystemExit("bench: s3mirror flush published nothing")
        time.sleep(10)  # the last threads of the entry end when they have had nothing to do for some seconds
        sink.counts()
        before, processor = benchrun.sleeps(watch.pid), benchrun.processor_seconds(watch.pid)
        time.sleep(options.seconds)
        after, spent = benchrun.sleeps(watch.pid), benchrun.processor_seconds(watch.pid) - processor
        requests = sum(count for kind, count in sink.counts().items() if kind != "cpu")
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.wait()
        sink.stop()
        log.close()
        shutil.rmtree(tree)
    wakeups = {
        f"{name} {thread}": count - before.get(thread, (name, 0))[1] for thread, (name, count) in sorted(after.items())
    }
    print("| thread | wake-ups |")
    print("|---|---|")
    for thread, count in wakeups.items():
        print(f"| {thread} | {count} |")
    print(f"\n{spent * 1000:.0f} ms of CPU, {requests} requests")
    return {"seconds": options.seconds, "wakeups": wakeups, "cpu": spent, "requests": requests}


def idle_promise(result):
    """Nothing wakes a mirror at rest before its interval is over, and nothing is asked."""
    broken = [
        f"{thread} woke {count} times" for thread, count in result["wakeups"].items() if count > WAKEUPS_BY_CHANCE
    ]
    return broken + ([f"{result['requests']} requests at rest"] if result["requests"] else [])


def profile(options, work):
    """Says where the time of uploads goes."""
    if not benchprofile.is_possible():
        raise SystemExit("bench: perf is missing (apt-get install linux-perf)")
    options.only = "s3mirror,bare libcurl"
    sink, tools, (ours, bare) = benchtransfer.prepare(options, work, {"uploads": (0, 0, 0)})
    log = open(options.built / "clients.log", "ab")
    directories = max(options.files // benchtransfer.SMALL_EACH, 1)
    jobs = []
    if options.size:
        large = work / "large/file.bin"
        large.parent.mkdir()
        benchrun.write_large(large, options.size << 20)
        jobs.append((f"{options.size} MiB up", "up-large", large, benchtransfer.LARGE_WIDTH, 0))
    if options.files:
        small = work / "small"
        small.mkdir()
        benchrun.write_tree(small, directories, benchtransfer.SMALL_EACH, benchtransfer.SMALL_BYTES)
        jobs.append((f"{directories * benchtransfer.SMALL_EACH} small files up", "up-small", small, 32, directories * benchtransfer.SMALL_EACH))
    found = {}
    try:
        for title, what, local, width, count in jobs:
            samples = []
            for client in (ours, bare):
                job = benchpeers.Job(what, "uploads", f"{client.name.split()[0]}/{what}", local, width, count)
                command, environment = client.command(job), tools.environment(client)
                samples.append(benchprofile.record(command, environment, work / "perf.data", log))
            found[title] = benchprofile.table(title, *samples)
    finally:
        sink.stop()
        log.close()
    return found


def change(tree, each, number, content):
    index = number * 7 % (TREE_DIRECTORIES * each)
    path = tree / f"d{index // each:04}/f{index:06}"
    path.write_bytes(content)


def add(seen, counts):
    for kind, count in counts.items():
        if kind != "cpu":
            seen[kind] = seen.get(kind, 0) + count


def wait_for_put(sink, seen, watch):
    wanted = seen.get("Put", 0) + 1
    while seen.get("Put", 0) < wanted:
        if watch.poll() is not None:
            raise SystemExit("bench: s3mirror watch ended early; see watch.log")
        time.sleep(0.02)
        add(seen, sink.counts())


PROMISES = {
    "tick": tick_promise, "idle": idle_promise, "stuck": benchstuck.stuck_promise, "unit": benchunit.unit_promise,
    "restart": benchrestart.restart_promise, "network": benchnetwork.promises, "append": benchappend.append_promise,
    "tls": benchtransfer.promises, "trainer": benchtrainer.promises, "instructions": benchinstructions.promise,
    "slowdown": benchslowdown.promises,
}
MEASURES = {
    "transfer": benchtransfer.transfer, "tls": benchtransfer.over_tls, "reconcile": reconcile, "restart": benchrestart.restart, "tick": tick, "idle": idle,
    "stuck": benchstuck.stuck, "profile": profile, "unit": benchunit.unit, "network": benchnetwork.measure,
    "append": benchappend.append, "trainer": benchtrainer.measure, "instructions": benchinstructions.measure,
    "slowdown": benchslowdown.measure,
}

main()
