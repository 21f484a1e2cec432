"""The judge: reads the server itself while a round runs, and says what no reader of the bucket may ever see.

It believes the bytes of the objects, and the writer's ledger; never s3mirror, and no proxy stands between. The rules:
`torn`, `mixed`, `half`, `foreign` (not one whole version of the file of that name), `backwards` (an older version after a
newer one), `deleted` (the file is here; a marker may go only while data under it are replaced), `marker` (it leads to what is
absent or older than what it names).
"""

import dataclasses
import os
import threading
import time

import chaoscontent as content
import chaosledger

POLL_SECONDS = 0.1
# A key that was deleted or renamed here may be read in whatever order the server removes it.
PAIRS = 3  # readings of a marker and its data before it is said that it leads nowhere


@dataclasses.dataclass
class Violation:
    rule: str
    facts: str

    def __str__(self):
        return f"{self.rule}: {self.facts}"


@dataclasses.dataclass
class Sight:
    """An object as it was read."""

    time: float
    etag: str
    size: int
    sha256: str
    reading: content.Reading


class Judge:
    """`client` speaks to the server directly. `tree` is what is mirrored to bucket/prefix."""

    def __init__(self, client, bucket, prefix, tree, ledger, journal):
        self.client, self.bucket, self.prefix = client, bucket, prefix
        self.tree, self.ledger, self.journal = tree, ledger, journal
        self.violations = []
        self.sights = {}  # (key, ETag) -> Sight
        self.current = {}  # key -> Sight, as of the last listing
        self.newest = {}  # key -> (generation, version), the newest ever seen
        self.listings = 0
        self.trouble = None
        self.left_by_kill = set()  # keys of multipart uploads that a killed mirror had begun
        self.others = ()  # beginnings of keys that another writer may make
        self.withdrawn = {}  # marker that went while its file is here -> when it was there, and the ETags of the data under it
        self.publications = ()  # what the server answered to the mirror: `FaultProxy.publications`
        self._listed = 0.0  # time.time() when the last listing began
        self._said = set()
        self._pause = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self.withdrawn and not self._pause.is_set():
            self.look()
        self.weigh_withdrawals(is_end=True)

    def away(self):
        """The server is being restarted: until back() nothing is read."""
        self._pause.set()

    def back(self):
        self._pause.clear()

    def say(self, rule, facts):
        if (rule, facts) not in self._said:
            self._said.add((rule, facts))
            self.violations.append(Violation(rule, facts))
            self.journal.note(f"VIOLATION {rule}: {facts}")

    def _run(self):
        while not self._stop.wait(POLL_SECONDS):
            if self._pause.is_set():
                continue
            try:
                self.look()
            except Exception as error:
                if not self._pause.is_set():  # a judge that saw nothing proves nothing: the round shows it
                    self.trouble = f"{type(error).__name__}: {error}"
                    self.journal.note(f"judge: {self.trouble}")

    def look(self):
        """One reading of everything that is new, and of all that the markers lead to."""
        began = time.time()
        listed = self.listing()
        before = self.current
        current = {}
        for key, etag in listed.items():
            if sight := self.sight(key, etag):
                current[key] = sight
        self.current = current
        for key in before.keys() - current.keys():
            self.vanished(key, before)
        self.weigh_withdrawals()
        for key, sight in list(current.items()):  # follow() reads some anew
            if chaosledger.is_marker(key) and sight.reading.files and not sight.reading.problem:
                self.follow(key, sight)
        self._listed = began
        self.listings += 1

    def listing(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        found = {}
        for page in pages:
            for each in page.get("Contents", ()):
                found[each["Key"][len(self.prefix) :]] = each["ETag"].strip('"')
        return found

    def sight(self, key, etag=None):
        """What the object is; read once for each ETag. None where it is gone."""
        if etag and (known := self.sights.get((key, etag))):
            return known
        try:
            answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)
            body = answer["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None
        etag = answer["ETag"].strip('"')
        if known := self.sights.get((key, etag)):
            return known
        sight = Sight(time.time(), etag, len(body), content.digest(body), content.read(body))
        self.sights[key, etag] = sight
        self.journal.note(f"seen {key} {describe(sight)} ETag {etag}")
        self.judge(key, sight)
        return sight

    def judge(self, key, sight):
        reading = sight.reading
        names = self.ledger.name_of(key)
        if names is None:
            if not reading.problem and not key.startswith(self.others):  # a name that was never written here
                self.say("foreign", f"{key} is on S3 and was never written here: {describe(sight)}")
            return
        if reading.kind == "empty" and chaosledger.is_append(key):
            return
        if reading.problem:
            self.say(reading.problem.partition(":")[0].split()[0].replace("it", "empty"), f"{key}: {reading.problem}")
            return
        if reading.kind == "log" and not chaosledger.is_append(key):
            self.say("foreign", f"{key} holds a log: {describe(sight)}")
            return
        known = {content.tag(each).hex() for each in names} if reading.kind == "block" else names
        if reading.name is not None and reading.name not in known:
            self.say("foreign", f"{key} holds {reading.name}, and may hold {sorted(names)}")
            return
        order = (reading.generation, reading.version)
        if len(names) == 1 and order < (newest := self.newest.get(key, order)):
            self.say("backwards", f"{key} is version {order} after version {newest} had been there")
        self.newest[key] = max(order, self.newest.get(key, order))

    def vanished(self, key, before):
        """The object was there at the last listing, and is not in this one."""
        self.journal.note(f"gone {key}")
        entry = self.ledger.entries.get(key)
        if entry is None or entry.since >= self._listed or not os.path.lexists(os.path.join(self.tree, key)):
            return
        if self.sight(key) is not None or self.ledger.entries.get(key) is not entry:
            return
        if chaosledger.is_marker(key):
            data = {path: sight.etag for path, sight in before.items() if chaosledger.speaks_for(key, path)}
            self.withdrawn[key] = (self._listed, data)
        else:
            self.say("deleted", f"{key} was deleted on S3, and is here since {time.time() - entry.since:.1f} s")

    def weigh_withdrawals(self, is_end=False):
        """A marker goes before data under it are replaced, and comes back after them: some of these data must have been sent."""
        for key, (since, data) in list(self.withdrawn.items()):
            if self.are_replaced(key, since, data):
                del self.withdrawn[key]
            elif key in self.current or is_end:
                del self.withdrawn[key]
                if not self.ledger.is_leaving(key):
                    self.say("deleted", f"{key} was deleted on S3 while its file is here, and no data under it were replaced")

    def are_replaced(self, marker, since, data):
        """A file may be sent again with the content that it had. A copy on the server that changes nothing replaces nothing."""
        if any(path not in self.current or self.current[path].etag != etag for path, etag in data.items()):
            return True
        # What was published and replaced between two listings is in no listing.
        sent = {}
        for each in list(self.publications):
            path = each.key[len(self.prefix) :]
            if chaosledger.speaks_for(marker, path):
                sent[path] = sent.get(path, int(path in data)) + 1
                if each.time >= since and each.operation != "CopyObject" and sent[path] > 1:
                    return True
        return False

    def follow(self, key, sight):
        """Everything that the marker names is there, in the version that it names or a later one."""
        for _ in range(PAIRS):
            lost = [each for name, facts in sight.reading.files.items() if (each := self.lost(key, name, facts))]
            if not lost:
                return
            # Between the reads of the marker and of the data, both may have changed.
            again = self.sight(key, self.etag(key))
            if again is not sight:
                return
            for name in sight.reading.files:
                path = self.path(key, name)
                etag = self.etag(path)
                if etag and (found := self.sight(path, etag)):
                    self.current[path] = found
                else:
                    self.current.pop(path, None)
        # If a directory is removed here, its marker is removed with it, in any order.
        if chaosledger.basename(key) != "latest" and self.ledger.is_leaving(key):
            return
        self.say("marker", f"{key} of version {sight.reading.version} leads nowhere: {'; '.join(lost)}")

    def path(self, key, name):
        """Where the file is that a marker names: beside an index, or from the root."""
        if chaosledger.basename(key) == "latest":
            return name
        return f"{key.rpartition('/')[0]}/{chaosledger.basename(name)}"

    def lost(self, key, name, facts):
        path = self.path(key, name)
        sight = self.current.get(path)
        if sight is None:
            return f"{path} is absent"
        if sight.reading.problem:
            return f"{path} is no whole version"
        if sight.reading.version < facts["version"]:
            return f"{path} is version {sight.reading.version}, and version {facts['version']} is named"
        if sight.reading.version == facts["version"] and sight.sha256 != facts["sha256"]:
            return f"{path} has another digest"
        return None

    def etag(self, key):
        try:
            return self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)["ETag"].strip('"')
        except self.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def missing(self, due):
        """Of `due`, path -> version: what has not come, and still has to."""
        found = []
        for path, version in due.items():
            sight = self.current.get(path)
            if sight and not sight.reading.problem and sight.reading.version >= version:
                continue
            if self.ledger.waits(path, version):
                found.append(path)
        return found


def describe(sight):
    reading = sight.reading
    return f"{reading.kind} version {reading.version}, {sight.size} bytes{', ' + reading.problem if reading.problem else ''}"
