"""The demo's third act: programs that save as NeMo, Hugging Face's Trainer and Lightning do, and readers of the bucket that know
nothing of s3mirror and follow each framework's own rule, as fast as they can list."""

import json
import pathlib
import subprocess
import time

from independent import Prefix, digest
from mirrorrun import Failed, Mirror, environment
from trialreaders import Reader, Trainer
from trialrows import ROWS, Row, lightning_row, newest

INTERVAL = 1  # seconds between ticks
SECONDS = 10  # for which checkpoints are begun
PAUSE, REST = 0.15, 0.6  # seconds: a checkpoint takes longer than a tick, as large ones do
# Seconds for which a reader of the largest number may meet half a checkpoint, on a machine that runs all of this besides.
LONGEST_HALF = 2
PREFIX = "runs/frameworks/"


class FrameworksAct:
    def __init__(self, demo, bucket):
        self.demo, self.bucket = demo, bucket
        self.work = demo.work / "frameworks"
        self.trainers, self.readers = {}, {}

    def run(self):
        self.begin()
        for name in self.trainers:
            (self.work / name).mkdir(parents=True)
        with self.mirror() as mirror:
            mirror.await_(lambda: self.output().count(": entry:") == len(self.trainers), "its entry")
            for thread in [*self.readers.values(), *self.trainers.values()]:
                thread.start()
            for trainer in self.trainers.values():
                while trainer.is_alive():
                    trainer.join(0.2)
                    if mirror.process.poll() is not None:
                        raise Failed(f"s3mirror ended before the trainers: {self.output()[-500:]}")
            status = mirror.end()
        for reader in self.readers.values():
            reader.is_ending.set()
            reader.join()
        self.demo.judge(status == 0, "three frameworks: s3mirror exits 0", f"status {status}")
        self.judge_readers()
        self.judge_ends()

    def begin(self):
        rows = {row.save.__name__: row for row in ROWS}
        lightning = lightning_row(self.demo.s3mirror)
        state = Row(
            "checkpoint-N with trainer_state.json",
            rows["hugging_face"].save,
            lambda names, _: newest(r"checkpoint-(\d+)/", names, "trainer_state.json"),
            True,
        )
        for name, row in [("nemo", rows["nemo"]), ("hugging_face", state), ("lightning", lightning)]:
            self.trainers[name] = Trainer(row, self.work / name, SECONDS, PAUSE, REST)
            self.readers[name] = self.reader(name, row)
        self.readers["largest"] = self.reader("hugging_face", rows["hugging_face"])
        self.links = lightning.title

    def reader(self, name, row):
        return Reader(row, f"{PREFIX}{name}/", self.demo.server.client(), self.trainers[name], self.bucket)

    def mirror(self):
        config = self.work / "uploads.json"
        config.write_text(json.dumps({"uploads": [
            {"name": name, "local": name, "remote": f"s3://{self.bucket}/{PREFIX}{name}/"} for name in self.trainers
        ]}))  # fmt: skip
        command = [self.demo.s3mirror, "watch", "--config", config, "--interval", INTERVAL, "--delete"]
        self.demo.say("$ " + " ".join(map(str, command)).replace(str(self.demo.work), "$WORK"))
        self.demo.say(f"programs save as {', '.join(self.trainers)} do; readers list and follow their rules")
        self.log = open(self.work / "watch.log", "wb")
        return Mirror(command, self.demo.work, self.demo.server.environment(), self.demo.deadline, self.log)

    def output(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    # What the readers found

    def judge_readers(self):
        for name, sentence in [
            ("nemo", "NeMo: the newest step without its -unfinished mark was complete, each time"),
            ("hugging_face", "Hugging Face: the newest checkpoint-N with trainer_state.json was complete, each time"),
            ("lightning", f"{self.links}: a whole checkpoint, each time"),
        ]:
            reader = self.readers[name]
            wrong = "; ".join(reader.found[:3]) or ", ".join(f"step {step}" for step in reader.half)
            self.demo.judge(not wrong and len(reader.complete) > 1, sentence, wrong or seen(reader))
        reader = self.readers["largest"]
        longest = max((last - first for first, last in reader.half.values()), default=0)
        self.demo.judge(
            longest < LONGEST_HALF and len(reader.complete) > 1,
            f"Hugging Face: the largest N, whatever it holds, was half there for less than {LONGEST_HALF} s",
            f"{longest:.2f} s at the longest; {seen(reader)}",
        )

    def judge_ends(self):
        for name, trainer in self.trainers.items():
            prefix = Prefix(self.demo.server.client(), self.bucket, f"{PREFIX}{name}/")
            found = self.restore(name)
            last = max(trainer.saves)
            original = found and self.work / name / found.relative_to(self.demo.work / "restored" / name)
            same = original is not None and original.exists() and contents(found) == contents(original)
            self.demo.judge(
                same and str(last) in found.name,
                f"{name}: s3mirror restore fetches the newest checkpoint, equal to the disk's by SHA-256",
                found.name if found else "nothing",
            )
            marks = sorted(each for each in prefix.names() if each.endswith("-unfinished"))
            if name == "nemo":
                sentence = "nemo: no mark stays on S3, with which NeMo would refuse its checkpoint"
                self.demo.judge(not marks, sentence, ", ".join(marks))

    def restore(self, name):
        """Where `s3mirror restore` says that it put the newest complete checkpoint."""
        target = self.demo.work / "restored" / name
        command = [self.demo.s3mirror, "restore", f"s3://{self.bucket}/{PREFIX}{name}/", target, "--quiet"]
        ended = subprocess.run(
            list(map(str, command)),
            env={**environment(self.demo.work), **self.demo.server.environment()},
            capture_output=True,
            text=True,
            timeout=max(self.demo.deadline - time.monotonic(), 1),
            check=False,
        )
        if ended.returncode != 0:
            self.demo.say(f"restore of {name}: status {ended.returncode}: {ended.stderr.strip()[-300:]}")
            return None
        return pathlib.Path(ended.stdout.strip())


def seen(reader):
    return f"{reader.looks} looks, {len(reader.complete)} different checkpoints"


def contents(path):
    """The digest of every file of a checkpoint, by name; of one file too."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {str(each.relative_to(path)): digest([each.read_bytes()]) for each in files}
