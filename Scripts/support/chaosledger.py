"""What the writer did, for the judge: which file may lie under a path, which version of it was closed, and what is open."""

import dataclasses
import fnmatch
import threading
import time

# Names that may be published while they are open, as growing prefixes.
APPEND = ("*.log", "*.jsonl", "*.out", "*.err", "*.csv", "*.tsv", "events.out.tfevents.*", "*.wandb")
# Names of files that refer to other objects.
MARKERS = ("latest", "*.index.json")


def basename(path):
    return path.rpartition("/")[2]


def is_append(path):
    return any(fnmatch.fnmatchcase(basename(path), pattern) for pattern in APPEND)


def is_marker(path):
    return any(fnmatch.fnmatchcase(basename(path), pattern) for pattern in MARKERS)


def speaks_for(marker, path):
    """Whether the path is that of data under a marker: beside or below an index, or in a checkpoint that `latest` may name."""
    directory = marker.rpartition("/")[0]
    if is_marker(path) or is_append(path) or (directory and not path.startswith(directory + "/")):
        return False
    return basename(marker) != "latest" or path.rpartition("/")[0] != directory


def may_go(path, entry):
    """Closed, or a log that only grows; one that begins anew under its name is no extension of what was published."""
    return not entry.is_open or (is_append(path) and not entry.is_renewed)


@dataclasses.dataclass
class Entry:
    """One path: `name` is the file that may lie there, whatever links and renames brought it there."""

    name: str
    version: int = -1  # closed, or of a log written; -1 before the first
    is_open: bool = False
    since: float = 0.0  # time.time() of its first being there
    changed: float = 0.0  # time.time() of its last close
    is_renewed: bool = False  # another file had this name before


class Ledger:
    def __init__(self):
        self.entries = {}
        self.names = {}  # every path that ever was -> the names that may lie there
        self.leaving = {}  # path or directory -> time.time() when its removal began
        self._lock = threading.Lock()

    def opened(self, path, name):
        with self._lock:
            entry = self.entries.setdefault(path, Entry(name, since=time.time()))
            entry.name, entry.is_open = name, True
            entry.is_renewed = entry.is_renewed or path in self.leaving
            self.names.setdefault(path, set()).add(name)

    def closed(self, path, version):
        with self._lock:
            entry = self.entries[path]
            entry.version, entry.is_open, entry.changed = version, False, time.time()

    def grew(self, path, size):
        with self._lock:
            self.entries[path].version = size

    def moved(self, old, new):
        """A file, or a directory and all below it, has another name."""
        with self._lock:
            for path in [each for each in self.entries if each == old or each.startswith(old + "/")]:
                entry = self.entries.pop(path)
                target = new + path[len(old) :]
                entry.since, entry.changed = time.time(), time.time()
                if before := self.entries.get(target):
                    entry.since = before.since  # a rename over it: the name never was absent
                self.entries[target] = entry
                self.names.setdefault(target, set()).add(entry.name)
                self.leaving[path] = time.time()

    def linked(self, old, new):
        with self._lock:
            entry = self.entries[old]
            self.entries[new] = dataclasses.replace(entry, since=time.time(), changed=time.time())
            self.names.setdefault(new, set()).add(entry.name)

    def goes(self, path):
        """Called before the removal of a file or directory begins."""
        with self._lock:
            self.leaving[path] = time.time()
            for each in [each for each in self.entries if each == path or each.startswith(path + "/")]:
                del self.entries[each]
                self.leaving[each] = time.time()

    def is_leaving(self, path):
        """Whether the path, or a directory above it, was removed or moved at any time."""
        with self._lock:
            parts = path.split("/")
            return any("/".join(parts[:end]) in self.leaving for end in range(1, len(parts) + 1))

    def settled(self):
        """path -> version of all that is closed now, and of logs that are open. It has to reach S3, or what came later."""
        with self._lock:
            return {path: each.version for path, each in self.entries.items() if each.version >= 0 and may_go(path, each)}

    def is_open(self, path):
        with self._lock:
            entry = self.entries.get(path)
            return entry is not None and entry.is_open

    def waits(self, path, version):
        """Whether that version of the path still has to come: it is there, and not being written anew."""
        with self._lock:
            entry = self.entries.get(path)
            return entry is not None and entry.version >= version and may_go(path, entry)

    def name_of(self, path):
        """The names that may lie under a path; None where the writer never had one there."""
        with self._lock:
            return self.names.get(path)
