"""Faults of the process, the server and the disk: what begins and what ends each, by its name."""

import os
import signal
import time

import chaoscontent as content
import chaosend
import chaosfaults
from chaosprocess import unmount
from chaosround import EXIT_SECONDS, GRACE_SECONDS

SOAK_CYCLES = 8
SOAK_KINDS = (
    *("refuse", "reset-in", "stall", "cut-head", "burst-5xx"),
    *("outage", "garbage", "cut-body", "request-timeout"),
)


class Places:
    """Of an UploadRound."""

    def begin_soak(self):
        """Fault after fault: what the process keeps of them is seen at rest, after the first ones and after the last."""
        before = None
        for cycle in range(SOAK_CYCLES):
            for name in self.random.sample(SOAK_KINDS, 2):
                fault = chaosfaults.draw(name, f"{self.seed}/{cycle}")
                self.journal.note(f"soak {cycle}: {name}")
                self.inner = fault
                fault.begin(self)
                self.weighed(0.5)
                fault.end(self)
            self.weighed(1.5)
            self.process.weigh()
            if before is None:
                before = self.process.weights[-10:]
        chaosend.flat(self.say, before, self.process.weights[-10:])
        self.inner = None

    def end_soak(self):
        pass

    def begin_kill(self):
        self.process.kill()
        self.judge.left_by_kill.update(chaosend.open_uploads(self.judge))

    def end_kill(self):
        self.process = self.mirror(self.words, self.program, f"mirror-{len(self.mirrors) + 1}.out")

    def begin_terminate(self):
        self.process.signal(signal.SIGTERM)
        status = self.process.await_end(EXIT_SECONDS)
        if status is None:
            self.say("hang", f"it runs {EXIT_SECONDS} s after SIGTERM, while the writer goes on")
            self.process.kill()
        elif status == 128 + signal.SIGTERM and (self.program or "entry:" not in self.process.said()):
            # The signal came during the entry, or before the program of `run` could handle it.
            self.journal.note("ended by SIGTERM within the entry")
        elif status not in (0, 1):
            self.say("crash" if status < 0 else "status", f"exit status {status}: {chaosend.last(self.process.said())}")
        elif status == 1 and not chaosend.troubles(self.process.said()):
            self.say("silent", "exit status 1, and standard error says nothing of why")

    end_terminate = end_kill

    def begin_stop(self):
        self.process.signal(signal.SIGSTOP)

    def end_stop(self):
        self.process.signal(signal.SIGCONT)

    def begin_server_restart(self):
        self.judge.away()
        self.server.stop(self.fault.facts["how"] == "kill")

    def end_server_restart(self):
        self.server.again()
        self.judge.back()

    def begin_disk_full(self):
        with open(self.small / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def end_disk_full(self):
        (self.small / "filler").unlink()

    def begin_unreadable(self):
        self.fault.facts["stays"] = self.random.random() < 0.5
        # The file or directory must never be readable here, not even while it is created.
        if self.fault.facts["what"] == "file" or self.fault.facts["stays"]:
            self.locked, paths = self.tree / "locked.bin", ["locked.bin"]
        else:
            self.locked, paths = self.tree / "locked", [f"locked/part-{number}.bin" for number in range(3)]
            self.locked.mkdir(0o300)
        for path in paths:
            self.ledger.opened(path, path)
            with open(os.open(self.tree / path, os.O_WRONLY | os.O_CREAT, 0o200 if len(paths) == 1 else 0o600), "wb") as file:
                file.write(content.whole(path, 1, content.fitting(3000)))
        self.locked.chmod(0)
        self.locked_paths = paths

    def end_unreadable(self):
        if self.fault.facts["stays"]:
            return
        self.locked.chmod(0o755)
        for path in self.locked_paths:
            self.ledger.closed(path, 1)

    def begin_unmounted(self):
        volume = {path: 1 for path in self.ledger.settled() if path.startswith("volume/")}
        ends = time.monotonic() + GRACE_SECONDS
        while self.judge.missing(volume) and time.monotonic() < ends:
            self.weighed(0.05)
        self.ledger.goes("volume")
        self.kept = {key for key in self.judge.current if key.startswith("volume/")}
        unmount(self.tree / "volume")

    def end_unmounted(self):
        pass  # it stays away
