"""A round of `watch`: a writer, the mirror behind the fault proxy, one fault, and the judge beside them."""

import os
import signal
import time

import chaosend
from chaosjudge import Judge
from chaosplaces import Places
from chaosround import EXIT_SECONDS, GRACE_SECONDS, Round
from chaoswriter import Writer
from chaoswriters import SAYS, THEIRS, OtherMirror

OPEN_SECONDS = 5  # `openFileGrace` by default
HARM_SECONDS = 3  # longer than planned, until a fault has harmed something


class UploadRound(Places, OtherMirror, Round):
    """`watch` or `run` streams what the writer writes."""

    # For the self-test: functions called with the round at named moments, and files that the writer writes besides checkpoints.
    saboteur = None
    written = None

    def play(self):
        source = self.random
        self.writer = Writer(
            self.tree, f"{self.seed}/{self.name}", self.interval, self.name == "hectic", self.written
        )
        self.ledger = self.writer.ledger
        self.writer.before()
        if self.fault.place == "unmounted":
            for number in range(source.randint(3, 15)):
                path = f"volume/part-{number}.bin"
                self.writer.write(path, path, 1, self.writer.size(1, 30))
        self.sabotage("prepared")
        self.judge = Judge(self.server.client(), self.server.bucket, self.prefix, self.tree, self.ledger, self.journal)
        self.judge.violations = self.result.violations
        self.judge.publications = self.proxy.publications
        self.words = self.command(source)
        # Some faults begin before the mirror, and in some the mirror is told to end.
        is_early, is_late = (each < 0.2 and self.fault.is_movable for each in (source.random(), source.random()))
        self.judge.start()
        try:
            self.start_other()
            if source.random() < 0.5:
                self.writer.start()
            if is_early:
                self.begin()
            self.process = self.mirror(self.words, self.program, "mirror-1.out")
            if self.writer.is_unstarted():
                self.writer.start()
            self.weighed(source.uniform(0.6, 1.6))
            self.sabotage("running")
            if not is_early:
                self.begin()
            if is_late:
                self.weighed(self.fault.seconds / 2)
                self.leave_in_fault()
            else:
                self.weighed(self.fault.seconds)
                self.await_harm()
                self.end()
                self.start_again_after_refusal(is_early)
                self.recover()
                self.leave()
        finally:
            self.judge.stop()
            self.writer.finish()
        if self.judge.trouble:
            self.result.trouble = f"the judge: {self.judge.trouble}"
        if self.writer.trouble:
            self.result.trouble = f"the writer: {self.writer.trouble[0]}"
        self.result.recovery = self.recovery

    def command(self, source):
        remote = f"s3://{self.server.bucket}/{self.prefix}"
        words = ["watch", self.tree, remote, "--interval", self.interval, "--delete"]
        if is_run := source.random() < 0.25:
            words = ["run", "--upload", f"out={remote},local={self.tree},interval={self.interval},delete=true"]
        # A quarter of the rounds tests the limit of deletes. A restarted mirror infers more deletes than the limit allows.
        if source.random() < 0.75 or self.fault.place in ("kill", "terminate"):
            words += ["--max-delete", "none"]
        words += source.choice([["--multipart-threshold", "5", "--part-size", "5"], ["--multipart-threshold", "0"], []])
        # The program of `run` ends at SIGTERM, or with the mirror.
        self.program = ["--", "sh", "-c", "trap 'exit 0' TERM; while kill -0 $PPID; do sleep 0.1; done"] if is_run else []
        return words

    def sabotage(self, moment):
        if self.saboteur:
            self.saboteur(self, moment)

    def weighed(self, seconds):
        """Lets time pass, and weighs the process meanwhile."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.process.weigh() if hasattr(self, "process") else None
            time.sleep(0.05)

    # The fault

    def begin(self):
        self.journal.note(f"FAULT {self.name}: {self.fault.describe()}")
        act = getattr(self, "begin_" + self.fault.place.replace("-", "_"), None)
        act() if act else self.fault.begin(self)

    def end(self):
        act = getattr(self, "end_" + self.fault.place.replace("-", "_"), None)
        act() if act else self.fault.end(self)
        self.ended = time.time()
        self.due = self.ledger.settled()
        self.journal.note("FAULT over")

    def await_harm(self):
        """A fault of requests that did not come has not been tried yet."""
        ends = time.monotonic() + HARM_SECONDS
        while self.fault.effect and not self.fault.done and time.monotonic() < ends and self.process.is_running():
            self.weighed(0.05)

    def start_again_after_refusal(self, is_early):
        """Whoever starts within a fault may find no access, and says so with status 3."""
        if is_early and not self.process.is_running() and self.process.process.returncode == 3:
            if not chaosend.troubles(self.process.said()):
                self.say("silent", "exit status 3, and standard error says nothing of why")
            self.process = self.mirror(self.words, self.program, f"mirror-{len(self.mirrors) + 1}.out")
            self.ended = time.time()

    def recover(self):
        """The rule `recovery`: all that was closed when the fault ended is on S3 within the interval and ten seconds.

        A log that is open has the time besides for which a mirror waits for its close (`openFileGrace`).
        """
        bound = self.interval + GRACE_SECONDS
        ends = self.ended + bound
        while missing := self.judge.missing(self.due):
            if time.time() > ends and not (missing := self.missing_after_another_look()):
                break
            if time.time() < ends + OPEN_SECONDS:
                missing = [path for path in missing if not self.ledger.is_open(path)]
            if time.time() > ends and missing:
                self.say("recovery", f"{bound} s after the fault {len(missing)} are missing: {', '.join(sorted(missing)[:5])}")
                self.journal.note("the proxy resets all connections")
                self.proxy.reset_all()
                self.recovery = bound
                return
            if not self.process.is_running():
                self.say("crash", f"ended by itself with status {self.process.process.returncode}: {chaosend.last(self.process.said())}")
                return
            self.weighed(0.05)
        self.recovery = time.time() - self.ended

    def missing_after_another_look(self):
        """On a busy machine the judge may see late what is there in time."""
        looks, ends = self.judge.listings, time.monotonic() + 5
        while self.judge.listings < looks + 2 and time.monotonic() < ends:
            self.weighed(0.05)
        return self.judge.missing(self.due)

    # The end

    def leave(self):
        if self.random.random() < 0.5:
            self.writer.hold()
            self.weighed(self.random.uniform(0, 0.5))
        chaosend.zcat_now(self.judge, self.log)
        self.writer.finish()
        self.sabotage("leaving")
        self.journal.note("SIGTERM")
        self.process.signal(signal.SIGTERM)
        self.finish(EXIT_SECONDS)

    def leave_in_fault(self):
        self.writer.finish()
        self.journal.note("SIGTERM within the fault")
        self.process.signal(signal.SIGTERM)
        self.weighed(self.fault.seconds / 2)
        self.end()
        self.finish(EXIT_SECONDS + self.interval + GRACE_SECONDS, is_late=True)

    def finish(self, seconds, is_late=False):
        if self.other and self.random.random() < 0.5:
            self.leave_other()
        began = time.monotonic()
        status = self.process.await_end(seconds)
        if status is None:
            self.say("hang", f"it runs {seconds} s after SIGTERM")
            self.proxy.reset_all()
            status = self.process.await_end(5)
            self.process.kill()
            if status is None:
                return
        self.journal.note(f"exit status {status} after {time.monotonic() - began:.1f} s")
        self.sabotage("ended")
        self.judge.stop()
        said = self.process.said()
        expected = self.expected(is_late)
        chaosend.end_of_mirror(self.judge, self.tree, self.status(status), said, expected, self.spared())
        last_done = chaosend.log_is_true(
            self.judge, self.log, self.proxy.publications, self.fault.place == "kill", self.prefix
        )
        if status == 0:
            chaosend.last_states(self.judge, last_done)
        if lost := getattr(self, "kept", set()) - self.judge.current.keys():
            self.say("deleted", f"{len(lost)} objects below what was unmounted: {', '.join(sorted(lost)[:5])}")
        self.leave_other()
        self.judge_theirs()
        if missing := [each for each in self.must_be_named() if os.path.basename(each) not in said]:
            self.say("silent", f"{', '.join(missing)} was not published, and is not named")

    def status(self, status):
        return status

    def expected(self, is_late):
        # A mirror that a fault tells to end at once may give up if it reports this: with status 3 before its entry is over. `run`
        # leaves its entry at the signal.
        if is_late:
            return (0, 1, 3, 128 + signal.SIGTERM) if self.program else (0, 1, 3)
        if self.fault.place == "unreadable" and self.fault.facts.get("stays"):
            return (1,)
        if self.fault.place == "two-mirrors":
            return (1,)
        # Superfluous objects stay below an unmounted place, and this is reported.
        return (1,) if self.fault.place == "unmounted" and self.kept else (0,)

    def spared(self):
        if self.fault.place == "unmounted":
            return ("volume/",)
        if self.fault.place == "two-mirrors":
            return (THEIRS,)
        if self.fault.place == "unreadable" and self.fault.facts.get("stays"):
            return ("locked",)
        return ()

    def must_be_named(self):
        if self.fault.place == "two-mirrors":
            return [SAYS]
        return ["locked.bin"] if self.fault.place == "unreadable" and self.fault.facts.get("stays") else []
