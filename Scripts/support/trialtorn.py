"""Torn: files are modified at random moments of their upload, and every version that appears on S3 is looked at.

A proxy slows the uploads down, says when each begins and ends, and holds the answer to each publication until boto3
has read the object back: no version escapes. Whether it is torn is read from its bytes alone (pages.py).
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import math
import pathlib
import random
import subprocess
import threading
import time

import pages
import transferlog
from mirrorrun import POLL_SECONDS, Failed, Mirror
from proxy import CountingProxy
from seaweedfs import SeaweedFS

BUCKET = "trial"
WIDTH = 10  # trials at one time
BYTES_PER_SECOND = 64 << 20  # of all uploads together: one of 16 MiB among ten then takes seconds
SMALLEST, LARGEST = 1 << 20, 64 << 20  # bytes
THRESHOLD = 16 << 20  # bytes; beyond it s3mirror uploads in parts, and half of the files are
# With few and small parts in flight, a file is read during its whole upload and not only at the beginning.
HARSH = ("--max-workers", "4", "--part-size", "5")
INSIDE_SHARE = 0.7  # of the modifications that wait for an upload; the others come at any time, as between two ticks
INSIDE_SECONDS = 8  # that such a modification waits at most
NAIVE_SECONDS = 5  # that the control's client waits for an answer
REST_SECONDS = 120  # from the writer's end to the object that equals the file
# In what share of the trials a modification must coincide with an upload, so that the other trials prove something.
LEAST_INSIDE = 0.5
LEAST_CONTROL = 0.1  # of the control's trials, to be torn; about a third are
MOST_CONTROL = 8  # times as many trials of the control, before it counts as blind: by chance, six may find nothing


@dataclasses.dataclass
class Upload:
    """One attempt to publish a key, as the proxy saw it."""

    began: float  # time.time()
    requests: list
    ended: float | None = None
    is_published: bool = False

    def sent(self):
        return sum(each.sent for each in self.requests)

    def is_open(self):
        return self.end() is None

    def end(self):
        # A single PUT that was abandoned ends with its connection.
        first = self.requests[0]
        return self.ended or (first.ended if first.operation == "PutObject" else None)


@dataclasses.dataclass
class Trial:
    number: int
    kind: str
    tree: str
    path: pathlib.Path
    key: str
    size: int
    modified: list = dataclasses.field(default_factory=list)  # (began, ended) as time.time()
    uploads: list = dataclasses.field(default_factory=list)
    sights: list = dataclasses.field(default_factory=list)
    is_equal: bool = False
    trouble: str = ""

    def met(self):
        """Whether a modification and an upload overlapped."""
        spans = [(each.began, each.end() or math.inf) for each in self.uploads]
        return any(began < end and ended > start for began, ended in self.modified[1:] for start, end in spans)

    def torn(self):
        return [each.torn for each in self.sights if each.torn]

    def story(self):
        """What happened when, for whoever has to find out why; seconds since the file was there."""
        start = self.modified[0][0] if self.modified else 0.0
        lines = [
            (began, f"modification {number}, to {ended - start:.3f}")
            for number, (began, ended) in enumerate(self.modified)
        ]
        for upload in self.uploads:
            for each in upload.requests:
                part = f" {each.part}" if each.part else ""
                end = f"{each.ended - start:.3f}" if each.ended else "?"
                told = f"{each.operation}{part}, {each.sent} of {each.size} bytes, status {each.status}, to {end}"
                lines.append((each.time, told))
            lines.append((upload.end() or math.inf, "published" if upload.is_published else "given up"))
        lines += [(each.time, f"seen: {each.torn or 'whole'}") for each in self.sights]
        return "\n".join(f"{moment - start:9.3f}  {line}" for moment, line in sorted(lines))


class Torn:
    def __init__(self, writer, s3mirror, work, trees, seed, largest=LARGEST, kinds=pages.KINDS):
        self.writer, self.s3mirror, self.work, self.trees, self.seed = writer, s3mirror, work, trees, seed
        self.largest, self.kinds = largest, kinds
        self.trials = {}  # by key
        self.trouble = []

    def run(self, count, control):
        """Prints the tables. Returns what was violated, as sentences."""
        least = math.ceil(LEAST_CONTROL * control)
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(SeaweedFS(bucket=BUCKET))
            self.proxy = stack.enter_context(
                CountingProxy(
                    self.server.port, gate=self.began, answer_gate=self.answered, bytes_per_second=BYTES_PER_SECOND
                )
            )
            self.client = self.server.client(connections=4 * WIDTH)
            mirrored = self.mirrored(count)
            naive = self.naive(control, least) if control else []
        if control:
            show("the control: boto3's upload_file, again and again while the same writers write", naive)
        show("s3mirror watch", mirrored, self.proofs())
        return self.violations(mirrored, naive, least)

    def mirrored(self, count):
        with contextlib.ExitStack() as stack:
            mirrors = []
            for name, tree in self.trees.items():
                (tree / "watched").mkdir()
                output = stack.enter_context(open(self.work / f"watch-{name}.log", "wb"))
                command = [
                    self.s3mirror, "watch", tree / "watched", f"s3://{BUCKET}/watched-{name}", "--interval", "0.5",
                    "--open-file-grace", "2", "--log-dir", self.work / f"log-{name}", *HARSH,
                ]  # fmt: skip
                aws = self.server.environment(self.proxy.endpoint)
                mirror = Mirror(command, self.work, aws, time.monotonic() + 3600, output)
                mirrors.append(stack.enter_context(mirror))
            trials = self.all(range(count), "watched", lambda trial: contextlib.nullcontext(), self.kinds)
            for mirror in mirrors:
                mirror.deadline = time.monotonic() + REST_SECONDS
                if status := mirror.end():
                    self.trouble.append(f"s3mirror watch ended with status {status}")
        return trials

    def naive(self, count, least):
        # boto3 announces a file's length, then waits for an answer although the file was cut off and its body ended early.
        client = self.server.client(
            attempts=1, connections=4 * WIDTH, endpoint=self.proxy.endpoint, read_seconds=NAIVE_SECONDS
        )
        for tree in self.trees.values():
            (tree / "naive").mkdir()
        # Appended bytes never change, so such a file cannot be torn.
        kinds = [kind for kind in self.kinds if kind != "appending"]
        trials = []
        while kinds and torn_of(trials) < least and len(trials) < MOST_CONTROL * count:
            numbers = range(len(trials), len(trials) + count)
            trials += self.all(numbers, "naive", lambda trial: NaiveUploader(client, trial), kinds)
        return trials

    def all(self, numbers, folder, uploader, kinds):
        names = list(self.trees)
        trials = []
        for number in numbers:
            source = random.Random(f"{self.seed}/{number}")
            kind, name = kinds[number % len(kinds)], names[number // len(kinds) % len(names)]
            least, most = (SMALLEST, THRESHOLD) if source.random() < 0.5 else (THRESHOLD, self.largest)
            size = int(least * (most / least) ** source.random())
            # Only a file that is appended to by its name is published while it is open (Semantics, PUB-7).
            file = f"{number:03}-{kind}.{'log' if kind == 'appending' else 'bin'}"
            path = self.trees[name] / folder / file
            trial = Trial(number, kind, name, path, f"{folder}-{name}/{file}", size)
            self.trials[trial.key] = trial
            trials.append((trial, source))
        with concurrent.futures.ThreadPoolExecutor(WIDTH) as pool:
            for _ in pool.map(lambda each: self.one(*each, uploader), trials):
                pass
        return [trial for trial, _ in trials]

    def one(self, trial, source, uploader):
        spare = self.work / f"{trial.path.parent.name}-{trial.tree}-{trial.number:03}"
        if trial.tree != "disk" and trial.kind == "closing":
            # rename(2) works only within a filesystem.
            spare = self.trees[trial.tree] / spare.name
        arguments = [self.writer, trial.kind, trial.path, spare, trial.size, trial.number, source.getrandbits(62)]
        try:
            with subprocess.Popen(
                [str(each) for each in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process, uploader(trial):
                try:
                    self.modify(trial, process, source)
                finally:
                    if process.poll() is None and trial.trouble:
                        process.kill()
            if process.returncode:
                raise Failed(f"the writer ended with status {process.returncode}")
            self.rest(trial)
        except (Failed, OSError, ValueError) as failure:
            trial.trouble = str(failure)
        finally:
            trial.path.unlink(missing_ok=True)
            for key in (trial.key, trial.key + ".next"):
                self.client.delete_object(Bucket=BUCKET, Key=key)

    def modify(self, trial, process, source):
        def modified():
            line = process.stdout.readline().split()
            if len(line) != 3:
                raise Failed("the writer ended early")
            trial.modified.append((float(line[1]), float(line[2])))

        modified()
        for _ in range(source.randint(2, 4)):
            if source.random() < INSIDE_SHARE:
                self.await_inside(trial, source.random())
            else:
                time.sleep(source.uniform(0, 3))
            process.stdin.write("go\n")
            process.stdin.flush()
            modified()
        if source.random() < 0.5:
            time.sleep(source.uniform(0, 3))
        process.stdin.close()
        process.wait()

    def await_inside(self, trial, share):
        """Returns at that share of the bytes of an upload under way; or when none comes."""
        size = trial.path.stat().st_size
        deadline = time.monotonic() + INSIDE_SECONDS
        while time.monotonic() < deadline:
            latest = trial.uploads[-1] if trial.uploads else None
            if latest and latest.is_open() and latest.sent() >= share * size:
                return
            time.sleep(POLL_SECONDS / 4)

    def rest(self, trial):
        """Waits until the newest version is the file's, and reads both once more."""
        wanted = pages.look_at_file(trial.path, trial.kind, trial.number)
        if wanted.torn:
            raise Failed(f"the writer left a file that is torn itself: {wanted.torn}")
        deadline = time.monotonic() + REST_SECONDS
        while not trial.sights or trial.sights[-1].sha256 != wanted.sha256:
            if time.monotonic() > deadline:
                raise Failed(f"after {REST_SECONDS} s the object is not the file")
            time.sleep(POLL_SECONDS)
        trial.is_equal = self.look(trial, trial.key).sha256 == wanted.sha256

    # What the proxy tells.

    def trial_of(self, request):
        return self.trials.get(request.key.removesuffix(".next"))

    def began(self, request):
        trial = self.trial_of(request)
        # The new file beside the old one is published too if a tick finds it. Its uploads do not belong to the trial.
        if trial is None or request.key != trial.key:
            return
        if request.operation in ("PutObject", "CreateMultipartUpload"):
            trial.uploads.append(Upload(request.time, [request]))
        elif request.operation == "UploadPart" and trial.uploads:
            trial.uploads[-1].requests.append(request)

    def answered(self, request):
        trial = self.trial_of(request)
        if trial is None:
            return
        is_last = request.operation in ("PutObject", "CompleteMultipartUpload")
        if request.key == trial.key and (is_last or request.operation == "AbortMultipartUpload"):
            trial.uploads[-1].ended = time.time()
            trial.uploads[-1].is_published = is_last and request.status == 200
            if request.operation != "PutObject":
                trial.uploads[-1].requests.append(request)
        if is_last and request.status == 200:
            try:
                trial.sights.append(self.look(trial, request.key))
            except Exception as error:  # a version that nobody saw proves nothing
                self.trouble.append(f"{request.key} could not be read back: {type(error).__name__}: {error}")

    def look(self, trial, key):
        body = self.client.get_object(Bucket=BUCKET, Key=key)["Body"]
        return pages.look(iter(lambda: body.read(pages.BLOCK), b""), trial.kind, trial.number)

    # What it comes to.

    def proofs(self):
        """How many publications of each kind of writer the transfer log puts down to each proof."""
        found = collections.defaultdict(collections.Counter)
        for name in self.trees:
            for record in transferlog.transfers(transferlog.records(self.work / f"log-{name}")):
                if record.get("proof"):
                    found[record["path"][4:].partition(".")[0]][record["proof"]] += 1
        return found

    def violations(self, mirrored, naive, least):
        found = list(self.trouble)
        for trial in mirrored:
            where = f"trial {trial.number} ({trial.kind}, {trial.size} bytes, {trial.tree})"
            found += [f"{where}: torn: {torn}" for torn in trial.torn()]
            if trial.torn():
                print(f"\n{where}\n{trial.story()}")
            if trial.trouble or not trial.is_equal:
                found.append(f"{where}: {trial.trouble or 'the object does not equal the file'}")
        met = sum(trial.met() for trial in mirrored)
        if met < LEAST_INSIDE * len(mirrored):
            found.append(f"only {met} of {len(mirrored)} files were modified during an upload: that proves too little")
        if naive and torn_of(naive) < least:
            found.append(f"the control was torn in only {torn_of(naive)} of {len(naive)} trials: the look may be blind")
        return found


class NaiveUploader:
    """What anybody would write first: uploads the file again and again while it is being written."""

    def __init__(self, client, trial):
        self.client, self.trial = client, trial
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._upload()

    def _run(self):
        while not self._stop.wait(0.5):
            self._upload()

    def _upload(self):
        try:
            self.client.upload_file(str(self.trial.path), BUCKET, self.trial.key)
        except Exception:
            pass  # refused because the file changed under it, which is well; the next round tries again


def torn_of(trials):
    return sum(bool(trial.torn()) for trial in trials)


def show(title, trials, proofs=None):
    print(f"\n{title}\n")
    columns = ["writer", "trials", "in parts", "modifications", "met by one", "uploads", "given up", "published"]
    columns += ["between", "torn", "torn trials", "equal at the end"] + (["proofs"] if proofs else [])
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for kind in (*pages.KINDS, "all"):
        some = [each for each in trials if kind in (each.kind, "all")]
        if not some:
            continue
        uploads = [upload for each in some for upload in each.uploads]
        sights = [sight for each in some for sight in each.sights]
        row = [
            kind,
            len(some),
            sum(any(upload.requests[0].operation != "PutObject" for upload in each.uploads) for each in some),
            sum(len(each.modified) - 1 for each in some),
            sum(each.met() for each in some),
            len(uploads),
            sum(not upload.is_published for upload in uploads),
            len(sights),
            sum(sight.is_between for sight in sights),
            sum(bool(sight.torn) for sight in sights),
            torn_of(some),
            sum(each.is_equal for each in some),
        ]
        if proofs:
            counted = sum(proofs.values(), collections.Counter()) if kind == "all" else proofs[kind]
            row.append(", ".join(f"{count} {proof}" for proof, count in sorted(counted.items())))
        print(f"| {' | '.join(map(str, row))} |", flush=True)
