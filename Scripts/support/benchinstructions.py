"""How many instructions this program executes for a file. valgrind counts them, so the figure is the same on every machine and
whatever else runs there. It knows neither openat2(2) nor the processor's SHA instructions, so real figures are somewhat smaller."""

import contextlib
import re
import shutil
import signal
import subprocess
import time

import benchbefore
import benchpeers
import benchrun

DIRECTORIES = 100
FEW, MANY = 5, 25  # uploads: files of a directory
FEW_COMPARED, MANY_COMPARED = 50, 250
FEW_CHANGES, MANY_CHANGES = 100, 300
SMALL_BYTES = 4096
COMPARED_BYTES = 10


def measure(options, work):
    if not shutil.which("valgrind"):
        raise SystemExit("bench: valgrind is missing (apt-get install valgrind)")
    programs = {"s3mirror": options.s3mirror} | ({"before": options.before} if options.before else {})
    counted = {name: Counted(name, program, options, work) for name, program in programs.items()}
    print("\n| instructions for | " + " | ".join(counted) + (" | s3mirror / before |" if options.before else " |"))
    print("|---|" + "---|" * (len(counted) + bool(options.before)))
    results = []
    for title, count in [
        ("a file of 4 KiB, up", Counted.uploads), ("a file that is compared", Counted.comparisons),
        ("a change of 4 KiB, watched", Counted.changes),
    ]:
        figures = {name: count(program) for name, program in counted.items()}
        results.append({"title": title, "instructions": figures})
        ratio = f" {figures['s3mirror'] / figures['before']:.2f} |" if options.before else ""
        print(f"| {title} | " + " | ".join(f"{figure:,.0f}" for figure in figures.values()) + f" |{ratio}", flush=True)
    return results


def promise(results):
    """No row is worse than before by more than 3 %."""
    return [
        f"{result['title']}: {count['s3mirror']:,.0f} instructions, {count['before']:,.0f} before"
        for result in results
        for count in [result["instructions"]]
        if "before" in count and count["s3mirror"] > benchbefore.WORSE * count["before"]
    ]


class Counted:
    """A program under valgrind. What a run costs by itself falls out of the difference of two runs."""

    def __init__(self, name, program, options, work):
        self.name, self.options, self.work = name, options, work
        # valgrind 3.19, Debian 12's, ends at Swift's debugging information.
        self.program = work / f"{name}-without-debugging"
        subprocess.run(["strip", "-g", "-o", self.program, program], check=True)

    def uploads(self):
        few, many = (self.upload(each, SMALL_BYTES, {"target": (0, 0, 0)}) for each in (FEW, MANY))
        return (many - few) / (DIRECTORIES * (MANY - FEW))

    def comparisons(self):
        few, many = (
            self.upload(each, COMPARED_BYTES, {"target": (DIRECTORIES, each, COMPARED_BYTES)})
            for each in (FEW_COMPARED, MANY_COMPARED)
        )
        return (many - few) / (DIRECTORIES * (MANY_COMPARED - FEW_COMPARED))

    def upload(self, each, size, buckets):
        tree = self.work / f"{self.name}-{each}-{size}"
        tree.mkdir()
        benchrun.write_tree(tree, DIRECTORIES, each, size)
        with self.sink(buckets) as (_, environment):
            run = self.start(["upload", tree, "s3://target/data", "--quiet"], environment)
            count = self.count_of(run)
        shutil.rmtree(tree)
        return count

    def changes(self):
        few, many = (self.watch(changes) for changes in (FEW_CHANGES, MANY_CHANGES))
        return (many - few) / (MANY_CHANGES - FEW_CHANGES)

    def watch(self, changes):
        tree = self.work / f"{self.name}-watched"
        tree.mkdir()
        benchrun.write_tree(tree, DIRECTORIES, 1, COMPARED_BYTES)
        with self.sink({"target": (DIRECTORIES, 1, COMPARED_BYTES)}) as (sink, environment):
            run = self.start(["watch", tree, "s3://target/data", "--interval", "0", "--settle", "0.02", "--quiet"], environment)
            puts = -1
            while puts < changes:
                # The first one comes when the entry is over.
                (tree / f"d0000/change{puts + 1}").write_bytes(b"x" * SMALL_BYTES)
                while not (sent := sink.counts().get("Put", 0)):
                    if run.poll() is not None:
                        raise SystemExit("bench: s3mirror watch ended; see clients.log")
                    time.sleep(0.005)
                puts += sent
            run.send_signal(signal.SIGTERM)
            count = self.count_of(run)
        shutil.rmtree(tree)
        return count

    @contextlib.contextmanager
    def sink(self, buckets):
        """The sink, and the environment of a program that has no state of earlier runs."""
        home = self.work / "home"
        home.mkdir()
        sink = benchrun.Sink(self.options.built / "sink", self.work, buckets)
        try:
            yield sink, benchpeers.Tools(self.options.built, self.options.peers, self.program, sink.url, home).base
        finally:
            sink.stop()
            shutil.rmtree(home)

    def start(self, arguments, environment):
        counts = self.work / "instructions"
        counts.unlink(missing_ok=True)
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", self.program, *arguments]
        with open(self.options.built / "clients.log", "ab") as log:
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def count_of(self, run):
        if run.wait() != 0:
            raise SystemExit(f"bench: {self.name} ended with {run.returncode}; see clients.log")
        return int(re.search(r"^(?:summary|totals): (\d+)", (self.work / "instructions").read_text(errors="replace"), re.MULTILINE)[1])
