"""Programs that tests start, signal and kill, and the sessions that those have started."""

import os
import subprocess
import sys
import textwrap
import time

from sessions import sessions_of

from conftest import ROOT

PATIENCE = 60.0
"""Seconds. What a test waits for comes within moments; a loaded machine needs some."""


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"it never came to be that {what}"
        time.sleep(0.005)
    return found


# A shell has its background jobs ignore SIGINT, and Python raises no KeyboardInterrupt where it was ignored at the start.
HEAD = """
from s3mirror import *
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


class Script:
    """A Python program with the package, which says on standard output what it has come to."""

    def __init__(self, text, **names):
        given = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        text = f"{HEAD}{given}{textwrap.dedent(text)}"
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", text],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "Sources" / "Python"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def says(self, line):
        said = self.process.stdout.readline().strip()
        if said != line:
            self.process.kill()
            raise AssertionError(f"{said!r} instead of {line!r}: {self.process.stderr.read()}")

    def signal(self, number):
        self.process.send_signal(number)

    def ending(self):
        """Its status and its messages; its session is gone by then, or is when its last files are on S3."""
        _, messages = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, messages

    def await_no_session(self):
        eventually(lambda: not sessions_of(self.process.pid), "its session is gone")
