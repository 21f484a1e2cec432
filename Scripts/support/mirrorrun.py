"""A running s3mirror, and the demo's `s3mirror run` with the trainer as its child and what that tells of itself."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from ending import die_with_parent

TRAINER = pathlib.Path(__file__).with_name("train.py")
# The only variables of the user's environment that s3mirror gets, so that the user's AWS settings do not affect the demo.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")
POLL_SECONDS = 0.02


class Failed(Exception):
    """The run did not come to what was awaited."""


class Mirror:
    """A running s3mirror, which does not outlive the `with`. `deadline` counts as time.monotonic()."""

    def __init__(self, command, work, aws, deadline, output=subprocess.PIPE):
        self.deadline = deadline
        self.command = [str(each) for each in command]
        self.process = subprocess.Popen(
            self.command,
            env={**environment(work), **aws},
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the script alone, which then ends this
            preexec_fn=die_with_parent,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def await_(self, condition, what):
        while True:
            # Checked in this order, because a last event before the end still counts.
            ended = self.process.poll() is not None
            if found := condition():
                return found
            if ended:
                raise Failed(f"s3mirror ended with status {self.process.returncode} before {what}")
            self._pause(what)

    def await_end(self):
        while self.process.poll() is None:
            self._pause("the end of s3mirror")
        return self.process.returncode

    def _pause(self, what):
        if time.monotonic() > self.deadline:
            raise Failed(f"time is up, waiting for {what}")
        time.sleep(POLL_SECONDS)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self):
        """SIGTERM: publish all, and end. Returns the status."""
        self.process.send_signal(signal.SIGTERM)
        return self.await_end()


def environment(work):
    """What the user's environment gives to s3mirror, with folders of its own."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    own = {"HOME": str(work), "XDG_STATE_HOME": str(work / "state"), "XDG_RUNTIME_DIR": str(work)}
    return {**kept, **own, "PYTHONDONTWRITEBYTECODE": "1"}


class MirrorRun(Mirror):
    """`s3mirror run` around the trainer, whose output is shown. The trainer does not outlive the `with` either."""

    def __init__(self, command, steps, work, aws, deadline):
        self.events = Events(work / "events.jsonl")
        trainer = [sys.executable, str(TRAINER), "--steps", str(steps), "--events", str(self.events.path)]
        super().__init__([*command, "--", *trainer], work, aws, deadline)
        self._relay = threading.Thread(target=self._print_output)
        self._relay.start()

    def __exit__(self, *_):
        self.kill()
        self._relay.join()

    def _print_output(self):
        for line in self.process.stdout:
            print("         | " + line.decode(errors="replace").rstrip(), flush=True)

    def await_event(self, name):
        """The trainer's next event of that name in this run."""
        return self.await_(lambda: self.events.new(name), f"the trainer's {name!r}")

    def kill(self):
        """SIGKILL to the mirror, then to the orphan, which would train on with nobody mirroring it."""
        super().kill()
        while trainers := self._trainers():
            for pid in trainers:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(POLL_SECONDS)

    def _trainers(self):
        """Ids of processes that run our trainer with our events file, whose name no other demo has."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended, or is not ours to read
            ours = os.fsencode(TRAINER) in arguments[1:2] and os.fsencode(self.events.path) in arguments
            if ours and int(entry.name) != self.process.pid:
                found.append(int(entry.name))
        return found


class Events:
    """The trainer's own account: JSON lines that it appends as things happen, outside of what is mirrored."""

    def __init__(self, path):
        self.path = path
        self._before = len(self.all())

    def all(self):
        if not self.path.exists():
            return []
        # The last line counts only with its newline.
        return [json.loads(line) for line in self.path.read_text().rpartition("\n")[0].splitlines()]

    def new(self, name):
        """The first event of that name since this account was opened, or None."""
        return next((each for each in self.all()[self._before :] if each["event"] == name), None)

    def step(self):
        """The last checkpoint that was saved, in any run."""
        return max((each["step"] for each in self.all() if each["event"] == "checkpoint"), default=0)
