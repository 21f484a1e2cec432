"""Two mirrors with deletes under one prefix, each with files of its own: each leaves the other's objects alone, and says so."""

import pathlib
import random
import shutil
import signal
import threading
import time

import chaosend
from chaosround import EXIT_SECONDS, GRACE_SECONDS

THEIRS = "theirs/"
SAYS = "another writer put it there since this mirror began"
PACE = (0.02, 0.3)  # seconds between two of its changes


class OtherMirror:
    """Of an UploadRound: a second mirror whose files lie below `theirs/`. It begins before anything is there, as its rival does."""

    other = None

    def start_other(self):
        """What lies there when a mirror begins counts as superfluous, so both begin under an empty prefix."""
        if self.fault.place != "two-mirrors":
            return
        self.judge.others = (THEIRS,)
        self.theirs = self.work / "other"
        self.theirs.mkdir()
        self.others = OtherWriter(self.theirs, f"{self.seed}/other")
        # Each simulated host has its own directory for locks, state and logs.
        self.other = self.mirror(["watch", self.theirs, *self.words_of_other()], [], "mirror-other.out", self.work / "host")
        probe = pathlib.Path(THEIRS) / "probe"
        (self.theirs / THEIRS).mkdir()
        (self.theirs / probe).write_text("probe")
        self.await_other(lambda: str(probe) in self.judge.listing(), "its first object")
        (self.theirs / probe).unlink()
        self.await_other(lambda: not self.judge.listing(), "its first delete")

    def words_of_other(self):
        remote = f"s3://{self.server.bucket}/{self.prefix}"
        return [remote, "--interval", self.random.choice([0, 0.5]), "--delete", "--max-delete", "none"]

    def await_other(self, condition, what):
        ends = time.monotonic() + GRACE_SECONDS
        while not condition():
            if time.monotonic() > ends or not self.other.is_running():
                raise RuntimeError(f"the other mirror did not come to {what}: {chaosend.last(self.other.said())}")
            time.sleep(0.05)

    def begin_two_mirrors(self):
        # A mirror that has published has made its first listing.
        self.await_other(lambda: any(key.startswith("data/") for key in self.judge.listing()), "its rival's first object")
        self.others.start()

    def end_two_mirrors(self):
        pass  # both go on to their ends

    def leave_other(self):
        """The rules `foreign-delete`, `status` and `silent` for the other mirror."""
        if self.other is None or not self.other.is_running():
            return
        self.others.finish()
        before = self.judge.listing()
        self.other.signal(signal.SIGTERM)
        status = self.other.await_end(EXIT_SECONDS)
        self.journal.note(f"the other mirror ends with {status}")
        if status is None:
            self.say("hang", f"the other mirror runs {EXIT_SECONDS} s after SIGTERM")
            self.other.kill()
        elif status != 1 or SAYS not in self.other.said():
            self.say("status", f"the other mirror ends with {status}: {chaosend.last(self.other.said())}")
        # The round's own mirror may delete objects in the meantime, but none whose file still exists.
        after = self.judge.listing()
        lost = [key for key in before.keys() - after.keys() if not key.startswith(THEIRS) and (self.tree / key).is_file()]
        if lost:
            self.say("foreign-delete", f"the other mirror's end took {', '.join(sorted(lost)[:5])}")

    def judge_theirs(self):
        """The rule `foreign-delete`, when both have ended: S3 has what lies in either tree, and nothing else."""
        if self.other is None:
            return
        if self.others.trouble:
            raise RuntimeError(f"the other writer: {self.others.trouble}")
        for each in chaosend.differences(self.judge, self.tree, (THEIRS,)):
            self.say("foreign-delete", each)
        client, listed = self.server.client(), self.judge.listing()
        here = {str(path.relative_to(self.theirs)): path.read_bytes() for path in self.theirs.rglob("*") if path.is_file()}
        if not here:
            raise RuntimeError("the other writer left nothing that could be deleted")
        for key in sorted(here.keys() | {key for key in listed if key.startswith(THEIRS)}):
            if key not in listed:
                self.say("foreign-delete", f"{key} is in the other mirror's tree, and not on S3")
            elif key not in here:
                self.say("foreign-delete", f"{key} is on S3, and in neither tree")
            elif client.get_object(Bucket=self.server.bucket, Key=self.prefix + key)["Body"].read() != here[key]:
                self.say("foreign-delete", f"{key} is on S3 with another content")


class OtherWriter:
    """Writes, renames and removes small files and directories of them."""

    def __init__(self, root, seed):
        self.root = root
        self.random = random.Random(seed)
        self.trouble = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="other writer", daemon=True)

    def start(self):
        self._thread.start()

    def finish(self):
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self):
        try:
            self.write(f"{THEIRS}kept")
            while not self._stopping.wait(self.random.uniform(*PACE)):
                name = f"{THEIRS}{self.random.choice('abc')}"
                act = self.random.choice([self.burst, self.burst, self.replace, self.move, self.remove])
                act(name)
        except OSError as error:  # shown by the round: a writer that stopped proves nothing
            self.trouble = f"{type(error).__name__}: {error}"

    def write(self, name):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.random.randbytes(self.random.randint(1, 3000)))

    def burst(self, name):
        self.remove(name)
        for number in range(self.random.randint(1, 25)):
            self.write(f"{name}/b{number}")

    def replace(self, name):
        """A name beside the directory comes before what it holds in the order of bytes, and after it in a tree."""
        self.write(f"{name}.tmp")
        self.remove(name)
        (self.root / f"{name}.tmp").rename(self.root / name)

    def move(self, name):
        self.remove(f"{name}-moved")
        if (self.root / name).exists():
            (self.root / name).rename(self.root / f"{name}-moved")

    def remove(self, name):
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
