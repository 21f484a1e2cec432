"""Runs clients against the sink and weighs them: wall time, CPU seconds, peaks of memory, requests."""

import array
import collections
import http.client
import json
import os
import random
import re
import resource
import shutil
import signal
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import benchbefore

PATTERN_BYTES = 1 << 20
# The value that sink.c returns as x-amz-meta-mtime, because rclone compares it.
MTIME_SECONDS = 1_700_000_000
# A client that has not finished after this time counts as failed.
LIMIT_SECONDS = 600
# A client that takes this long is measured only once.
ONCE_SECONDS = 30


def pattern():
    """The sink's content (xorshift64), so that what goes up has the checksums the sink expects."""
    x, mask = 88172645463325252, (1 << 64) - 1
    words = array.array("Q")
    for _ in range(PATTERN_BYTES // 8):
        x ^= (x << 13) & mask
        x ^= x >> 7
        x ^= (x << 17) & mask
        words.append(x)
    return words.tobytes()


def write_large(path, size):
    block = pattern()
    with open(path, "wb") as file:
        for done in range(0, size, PATTERN_BYTES):
            file.write(block[: min(PATTERN_BYTES, size - done)])


def touch_memory(directory, size):
    """Fills and empties a RAM disk by as much as a download will. A virtual machine's host hands its pages out at their first
    use, at half the speed and in its own time: every client is to find them handed out."""
    path = directory / "touched"
    with open(path, "wb") as file:
        for _ in range(0, size, PATTERN_BYTES):
            file.write(bytes(PATTERN_BYTES))
    path.unlink()


def write_tree(root, directories, each, size, sparse=False):
    """Files as the sink names them; sparse ones for trees that are only compared."""
    content = b"" if sparse else pattern()[:size]
    for number in range(directories):
        directory = root / f"d{number:04}"
        directory.mkdir(parents=True)
        for index in range(number * each, (number + 1) * each):
            path = f"{directory}/f{index:06}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            if sparse:
                os.ftruncate(descriptor, size)
            else:
                os.write(descriptor, content)
            os.close(descriptor)
            os.utime(path, (MTIME_SECONDS, MTIME_SECONDS))


class Sink:
    """The server of sink.c. It dies with this process. With a file for its certificate it speaks TLS."""

    def __init__(self, binary, work, buckets, certificate=None):
        port_file = Path(work) / "sink.port"
        port_file.unlink(missing_ok=True)
        arguments = [":".join(map(str, (name, *shape))) for name, shape in buckets.items()]
        self.process = subprocess.Popen([binary, port_file, *([certificate] if certificate else []), *arguments])
        while not port_file.exists() or not port_file.read_text().endswith("\n"):
            if self.process.poll() is not None:
                raise SystemExit("bench: the sink did not start")
            time.sleep(0.01)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{port_file.read_text().strip()}"
        self.trust = ssl.create_default_context(cafile=certificate) if certificate else None

    def ask(self, what):
        with urllib.request.urlopen(f"{self.url}/-/{what}", context=self.trust) as answer:
            return json.load(answer)

    def counts(self):
        """Requests by kind since the last call, and the sink's CPU seconds so far as `cpu`."""
        return self.ask("counts")

    def connections(self):
        """Connections that carried requests since the last call, as `opened`, and those with a resumed session, as `resumed`."""
        return self.ask("connections")

    def delay(self, milliseconds):
        self.ask(f"latency/{milliseconds}")

    def list_all(self, bucket, prefix):
        """How many pages the listing has, and the seconds they take where nobody reads them."""
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"))
        start, pages, token = time.monotonic(), 0, ""
        while True:
            connection.request("GET", f"/{bucket}?list-type=2&prefix={quote(prefix)}" + token)
            body = connection.getresponse().read()
            pages += 1
            # This line comes before the objects.
            found = re.search(rb"<NextContinuationToken>(.*?)</NextContinuationToken>", body[:4096])
            if not found:
                return pages, time.monotonic() - start
            token = "&continuation-token=" + quote(found[1].decode(), safe="")

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Memory:
    """Looks at the memory of a process and its children, and keeps the largest process's peaks, in KiB: of private memory
    (RssAnon of proc_pid_status(5)), which is what the process costs the machine, and of the resident set (VmHWM). The
    difference is files that are mapped, code above all: the page cache holds those once for all processes and drops them when
    memory is short. The kernel keeps no high-water mark of RssAnon, so a peak between two looks is missed."""

    PAUSE_SECONDS = 0.02

    def __init__(self, process):
        self.process, self.resident, self.private, self.ended = process, 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.ended.wait(self.PAUSE_SECONDS):
            self.look_once()

    def look_once(self):
        for pid in self.tree(self.process):
            # A process that has ended since has no such file, or an empty one.
            try:
                status = dict(re.findall(r"(VmHWM|RssAnon):\s+(\d+)", Path(f"/proc/{pid}/status").read_text()))
            except OSError:
                continue
            self.resident = max(self.resident, int(status.get("VmHWM", 0)))
            self.private = max(self.private, int(status.get("RssAnon", 0)))

    def tree(self, process):
        yield process
        try:
            children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        except OSError:
            return
        for child in children:
            yield from self.tree(child)

    def stop(self):
        self.ended.set()
        self.thread.join()


class Sample:
    def __init__(self, wall, usage, memory, counts, connections, sink_cpu, read):
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        # getrusage(2) also counts what a process used before execve(2), that is, this process. A smaller value shows nothing.
        ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.resident = (usage.ru_maxrss if usage.ru_maxrss > ours else memory.resident) / 1024
        self.private = memory.private / 1024
        self.requests = counts
        self.connections = connections["opened"]
        self.sink = sink_cpu
        self.read = read


def weigh(command, environment, sink, log, limit=LIMIT_SECONDS):
    """Runs a command to its end. None when it failed; its output is in `log` then."""
    sink.connections()
    before = sink.counts()["cpu"]
    with open(log, "ab") as output:
        output.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        output.flush()
        start = time.monotonic()
        process = subprocess.Popen(
            list(map(str, command)), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )
        alarm = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        memory = Memory(process.pid)
        try:
            # It has ended and is still there to be looked at.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        except BaseException:
            # The bench was interrupted, and the command is in a session of its own.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            alarm.cancel()
        read = bytes_read(process.pid)
        # wait4(2) includes the processes for which the process itself has waited, and so its whole tree.
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        memory.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
    counts = sink.counts()
    cpu = counts.pop("cpu") - before
    if process.returncode != 0:
        with open(log, "ab") as output:
            output.write(f"ended with status {process.returncode}\n".encode())
        return None
    return Sample(wall, usage, memory, counts, sink.connections(), cpu, read)


def bytes_read(pid):
    """What a process took by read(2) and its like, from whatever file (proc_pid_io(5), rchar); sockets are read otherwise."""
    return int(re.search(r"rchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1])


class Measure:
    """One table: every client in every round, so that a busy minute of the machine falls on all alike; each round in another
    order, so that nobody always has the machine as the same other one left it."""

    def __init__(self, title, clients, rounds, baseline):
        self.title, self.clients, self.rounds, self.baseline = title, clients, rounds, baseline

    def run(self, sink, log, command_of, clean=lambda: None, expects=lambda counts: True):
        samples = {client.name: [] for client in self.clients}
        broken = {}
        failures = collections.Counter()
        for number in range(self.rounds):
            for client in random.sample(self.clients, len(self.clients)):
                taken = samples[client.name]
                if client.name in broken or taken and taken[0].wall > ONCE_SECONDS:
                    continue
                command, environment = command_of(client, number)
                sample = weigh(command, environment, sink, log)
                clean()
                if sample is None:
                    # A single failure may be an accident. The log and the number of runs show it.
                    failures[client.name] += 1
                    if failures[client.name] > 1:
                        broken[client.name] = f"failed, see {log}"
                elif not expects(sample.requests):
                    broken[client.name] = f"did something else: {sample.requests}"
                else:
                    samples[client.name].append(sample)
        return self.table(samples, broken)

    def table(self, samples, broken):
        ours = samples.get("s3mirror") or []
        bare = samples.get(self.baseline) or []
        print(f"\n## {self.title} (medians of {self.rounds})\n")
        print(
            "| client | wall s | CPU s | private MiB | resident MiB | sink CPU s | wall / s3mirror | private / s3mirror "
            "| wall / bare | CPU / bare | connections | requests |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|---|---|")
        result = {}
        for client in self.clients:
            name = client.name
            if name in broken or not samples[name]:
                print(f"| {name} | {broken.get(name, 'no sample')} | | | | | | | | | | |")
                continue
            taken = samples[name]
            wall, cpu, private, resident, at_sink, connections = (
                statistics.median(getattr(sample, what) for sample in taken)
                for what in ("wall", "cpu", "private", "resident", "sink", "connections")
            )
            requests = ", ".join(f"{count} {kind}" for kind, count in sorted(taken[-1].requests.items()))
            shown = name if len(taken) == self.rounds else f"{name} ({len(taken)} of {self.rounds})"
            result[name] = {
                "wall": wall, "cpu": cpu, "private": private, "resident": resident, "requests": taken[-1].requests,
            }
            print(
                f"| {shown} | {wall:.2f} | {cpu:.2f} | {private:.1f} | {resident:.1f} | {at_sink:.2f} "
                f"| {ratio(wall, ours, 'wall')} | {ratio(private, ours, 'private')} "
                f"| {ratio(wall, bare, 'wall')} | {ratio(cpu, bare, 'cpu')} | {connections:g} | {requests} |",
                flush=True,
            )
        found = {"title": self.title, "clients": result}
        if before := benchbefore.ratios(samples):
            print(f"\n{benchbefore.told(before)}", flush=True)
            found["before"] = before
        return found


def ratio(value, reference, what):
    weight = statistics.median(getattr(sample, what) for sample in reference) if reference else 0
    # A client may have finished before its memory was measured.
    return f"{value / weight:.2f}" if weight else ""


class Workspace:
    """A folder of its own, removed at the end; on a RAM disk where there is one, so that no disk is measured."""

    def __init__(self, parent):
        if parent is None:
            parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.path = Path(tempfile.mkdtemp(prefix="s3mirror-bench-", dir=parent))

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def processor_seconds(pid):
    """CPU time of all threads, exact to the nanosecond (proc(5), schedstat), where stat counts in ticks of 10 ms."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except FileNotFoundError:
            continue
    return total / 1e9


def sleeps(pid):
    """How often each thread gave the processor up by itself, and so was woken again (proc_pid_status(5))."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        found[int(task.name)] = (fields["Name"].strip(), int(fields["voluntary_ctxt_switches"]))
    return found


def settle(pid):
    """Waits until the process has used no CPU for 0.3 s: what a change causes is over."""
    last = -1.0
    while (used := processor_seconds(pid)) - last > 1e-4:
        last = used
        time.sleep(0.3)
