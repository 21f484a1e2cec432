"""The house rules that can be read off the source: arrows, unsafe marks, access. Used by Scripts/check-layers."""

import bisect
import collections
import dataclasses
import fnmatch
import json
import re
import subprocess

# Modules of the toolchain or the system. Any other module must be a declared dependency.
SYSTEM_MODULES = {"Dispatch", "FoundationEssentials", "Glibc", "Synchronization"}
# The whole of Foundation would double the command's size.
TEST_MODULES = {"Foundation", "Testing"}
# The only module with an interface for other packages.
PUBLIC_ROOMS = {"S3Mirror"}
# Where authors may take responsibility for memory or data races themselves: module -> patterns of file names.
UNSAFE_FILES = {
    "LoopThread": ["*"],  # a thread, and an executor on it
    "LocalSocket": ["*"],  # sockets' buffers
    "FileWatch": ["*"],  # inotify's descriptor and its records
    "LocalTree": ["*"],  # system calls on files
    "HTTPTransport": ["*"],  # libcurl's handles and callbacks
    "Digests": ["*"],  # OpenSSL's and zlib's contexts
    "TransferLog": ["Gzip*"],  # zlib's streams
    "Transfers": ["FileSink*", "StreamedBody*"],  # a body's bytes and where it stands, on the loop's thread
    "S3Client": ["XMLTree*"],  # Expat's callbacks
}
UNSAFE = re.compile(
    r"@unchecked\b|@unsafe\b|\bunsafe\b|\b(?:nonisolated|unowned)\(unsafe\)|\bUnmanaged\b|\bOpaquePointer\b"
    r"|\bUnsafe(?:Mutable)?(?:Raw)?(?:Buffer)?Pointer\b|\bwithUnsafe\w+|\bunsafe[A-Z]\w*|\bassumingMemoryBound\b"
)
# A buffer that is lent for the duration of a call, as bodies and sinks receive it. The type's name alone is no unsafe act
# (nothing is created, kept or rebound), so the modules that pass such buffers on may use it without a reason.
LENT_BUFFER = re.compile(r"Unsafe(?:Mutable)?RawBufferPointer")
LENDING_ROOMS = {"HTTPTransport", "LocalTree", "MirrorModel", "S3Client", "Transfers"}
# Calls that run on the runtime's pool whatever their task prefers, and so start that pool (see TaskThreads).
POOL = re.compile(
    r"\bTask(?:<[^>]*>)?[ \t]*\{|\bTask\.(?:detached|sleep)\b|\bDispatchQueue\.global\b"
    # An optional may be nil here, so a task that should keep its parent's preference must name none.
    r"|\bexecutorPreference:[^,){\n]*\bnil\b"
)
POOL_ROOMS = {"LoopThread"}
# A test that polls in its own loop, and so hangs when it should fail.
WAIT = re.compile(r"\bwhile\b[^{}\n]*\{\s*(?:try[ \t]+)?(?:await[ \t]+Task\.(?:yield|sleep)\b|sched_yield\b|usleep\b)")
# Folders in a module, lowest first. A type may be used in its own folder and in higher ones.
FOLDERS = {
    "S3Mirror": [
        "API",  # nouns of the interface: options, specs, errors, events, reports
        "Machine",
        "Tasks",
        "Scratch",  # temporary files without a name
        "Evidence",
        "Notices",
        "Placement",
        "Connection",
        "Resolution",  # from a spec to its places
        "Names",
        "Reconciliation",
        "Deletes",
        "Restore",  # checkpoints: which there are, which are old, and their way here
        "Inspection",
        "Group",  # the driver of groups of hosts: slots, claims, the fence before changes
        "Lane",
        "ControlSocket",
        "Progress",
        "Scope",
    ],
}
# Uses that point upwards: (folder, type) -> reason. The list may only shrink: an unneeded entry is an error too.
USES_UP = {}
# A type declared at the left margin (group `type`), or inside another type.
DECLARATION = re.compile(
    r"^(?P<margin>[ \t]*)(?:@\w+(?:\([^)]*\))?\s+)*(?P<modifiers>(?:(?:public|package|internal|fileprivate|private|final|indirect"
    r"|nonisolated)\s+)*)(?:struct|class|enum|actor|protocol|typealias)\s+(?P<type>\w+)",
    re.MULTILINE,
)
# A type's name that is not a member: `.Kind` belongs to another type.
USE = re.compile(r"(?<![.\w])[A-Z]\w*")
IMPORT = re.compile(
    r"^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:(?:public|package|internal|fileprivate|private)[ \t]+)?"
    r"import[ \t]+(?:(?:struct|class|enum|protocol|typealias|func|let|var|actor)[ \t]+)?(\w+)",
    re.MULTILINE,
)
PUBLIC = re.compile(r"^[ \t]*(?:@\w+(?:\([^)]*\))?[ \t]+)*(?:public|open)(?:\(set\))?[ \t]+(?!import\b)", re.MULTILINE)
# Text that is no code: comments (Swift's are nested) and string literals, including raw and multi-line ones.
LITERAL_OR_COMMENT = re.compile(r'//|/\*|(?P<hashes>#*)(?P<quotes>"""|")')


@dataclasses.dataclass(frozen=True)
class Room:
    """A target as Package.swift declares it."""

    name: str
    kind: str  # regular, executable, test, system
    dependencies: tuple  # names of targets and products, as they are imported


def read_package(root):
    text = subprocess.run(
        ["swift", "package", "--package-path", str(root), "dump-package"], check=True, capture_output=True, text=True
    ).stdout
    return rooms(json.loads(text))


def rooms(package):
    """The targets in the order of Package.swift, which is the order of the house, bottom first."""
    return [
        Room(
            name=target["name"],
            kind=target["type"],
            # Each entry is {"byName": [name, condition]}, {"target": [name, …]} or {"product": [name, package, …]}.
            dependencies=tuple(next(iter(each.values()))[0] for each in target["dependencies"]),
        )
        for target in package["targets"]
    ]


def check(root, house):
    problems = wrong_order(house)
    for room in house:
        if room.kind == "system":
            continue
        place = root / ("Tests" if room.kind == "test" else "Sources") / room.name
        sources = collections.defaultdict(list)
        for path in sorted(place.rglob("*.swift")):
            source = Source(str(path.relative_to(root)), path.read_text(encoding="utf-8"))
            sources[path.relative_to(place).parts[0]].append(source)
            problems += wrong_imports(source, room, house)
            if room.kind == "test":
                problems += wrong_waits(source)
            else:
                problems += wrong_marks(source, room, path.name)
                problems += wrong_access(source, room)
                problems += wrong_tasks(source, room)
        if room.name in FOLDERS:
            problems += wrong_uses(sources, room, FOLDERS[room.name], USES_UP)
    return problems


class Source:
    """A Swift file, and beside it the same with comments and literals blanked, line for line."""

    def __init__(self, path, text):
        self.path = path
        self.lines = text.splitlines()
        self.code = blank(text)
        self._starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def line(self, offset):
        """The number, from 1, of the line that holds the offset."""
        return bisect.bisect_right(self._starts, offset)

    def problem(self, offset, message):
        return f"{self.path}:{self.line(offset)}: {message}"


def blank(text):
    """The text with every comment and literal turned to spaces; newlines, and so line numbers, stay.

    An interpolation is blanked with its literal: code in it is not seen, which for these rules loses little.
    """
    pieces, at = [], 0
    while found := LITERAL_OR_COMMENT.search(text, at):
        start, end = found.start(), end_of(text, found)
        pieces += [text[at:start], re.sub(r"[^\n]", " ", text[start:end])]
        at = end
    return "".join(pieces) + text[at:]


def end_of(text, opening):
    token, start = opening.group(), opening.end()
    if token == "//":
        end = text.find("\n", start)
        return len(text) if end < 0 else end
    if token == "/*":
        depth = 1
        for each in re.compile(r"/\*|\*/").finditer(text, start):
            depth += 1 if each.group() == "/*" else -1
            if depth == 0:
                return each.end()
        return len(text)
    hashes, quotes = opening["hashes"], opening["quotes"]
    # An escape is a backslash followed by as many # as the literal has. In a raw literal, a plain backslash is text.
    inside = re.compile(rf"\\{hashes}\\|\\{hashes}\"|{quotes}{hashes}" if hashes else rf"\\.|{quotes}", re.DOTALL)
    for each in inside.finditer(text, start):
        if each.group() == quotes + hashes:
            return each.end()
    return len(text)


def wrong_order(house):
    """Every arrow points down: with the targets in order there is no circle either."""
    names = {room.name for room in house}
    problems, below = [], set()
    for room in house:
        for dependency in room.dependencies:
            if dependency in names and dependency not in below:
                problems.append(
                    f"Package.swift: {room.name} depends on {dependency}, which does not stand below it; "
                    "put the targets in order, or turn the arrow"
                )
        below.add(room.name)
    return problems


def wrong_imports(source, room, house):
    names = {each.name for each in house}
    allowed = {*room.dependencies, *SYSTEM_MODULES, *(TEST_MODULES if room.kind == "test" else ())}
    problems = []
    for found in IMPORT.finditer(source.code):
        module = found[1]
        if module in allowed:
            continue
        if module in names:
            cure = f"no arrow in Package.swift leads from {room.name} to {module}"
        else:
            cure = f"{module} is neither a dependency of {room.name} nor one of the system's modules known here"
        problems.append(source.problem(found.start(1), f"import {module}: {cure}"))
    return problems


def wrong_uses(sources, room, order, allowed):
    """Within a room every use of a type points down: from a folder to itself, or to one that stands before it in the order.

    Only names are compared, so what an extension adds to a type of below is not seen.

    - sources: the files of each folder.
    - allowed: the uses that may point up, by folder and type.
    """
    problems = [
        f"{room.name}/{folder}: it has no place in the order of folders; add it to FOLDERS in layers.py"
        for folder in sources if folder not in order
    ]
    level = {folder: number for number, folder in enumerate(order)}
    home, own = {}, collections.defaultdict(set)
    for folder in sources:
        for source in sources[folder]:
            for found in DECLARATION.finditer(source.code):
                if found["margin"] or "private" in found["modifiers"]:
                    own[folder].add(found["type"])
                else:
                    home[found["type"]] = folder
    needed = set()
    for folder in order:
        for source in sources.get(folder, []):
            told = set()
            for found in USE.finditer(source.code):
                name = found.group()
                there = home.get(name, folder)
                # A nested type in this folder hides the type in the folder above.
                if there not in level or level[there] <= level[folder] or name in own[folder] or name in told:
                    continue
                told.add(name)
                if (folder, name) in allowed:
                    needed.add((folder, name))
                    continue
                problems.append(source.problem(
                    found.start(),
                    f"{name}: {room.name}/{there} stands above {folder}; move one of them, or turn the arrow",
                ))
    return problems + [
        f"{room.name}/{folder}: nothing there uses {name} any more; take it off USES_UP in layers.py"
        for folder, name in sorted(set(allowed) - needed)
    ]


def wrong_marks(source, room, file_name):
    allowed = any(fnmatch.fnmatchcase(file_name, pattern) for pattern in UNSAFE_FILES.get(room.name, ()))
    reasoned = any("// SAFETY:" in line for line in source.lines)
    problems = []
    for found in UNSAFE.finditer(source.code):
        mark = found.group()
        if LENT_BUFFER.fullmatch(mark) and room.name in LENDING_ROOMS:
            continue
        if not allowed:
            problems.append(source.problem(found.start(), f"{mark}: {room.name} has no room for unsafe code here"))
        elif mark == "@unchecked":
            if not has_comment_at(source, source.line(found.start())):
                problems.append(source.problem(found.start(), "@unchecked without a comment above it that says why"))
        elif not reasoned:
            problems.append(source.problem(found.start(), f"{mark}: no `// SAFETY:` in this file gives the reason"))
    return problems


def wrong_tasks(source, room):
    if room.name in POOL_ROOMS:
        return []
    cure = "it wakes the runtime's pool; use Task(executorPreference: TaskThreads.current), TaskThreads.pause, WorkerThreads"
    return [source.problem(found.start(), f"{found.group()}: {cure}") for found in POOL.finditer(source.code)]


def wrong_waits(source):
    cure = "it has no limit; use `eventually` or `blockUntil` of TestSupport, which fail with what they waited for"
    return [source.problem(found.start(), f"while: {cure}") for found in WAIT.finditer(source.code)]


def has_comment_at(source, number):
    """A comment on the line, or right above it with nothing between but attributes."""
    if "//" in source.lines[number - 1]:
        return True
    for line in reversed(source.lines[: number - 1]):
        if not line.strip().startswith("@"):
            return line.strip().startswith("//")
    return False


def wrong_access(source, room):
    if room.name in PUBLIC_ROOMS:
        return []
    return [
        source.problem(found.start(), f"public: only {', '.join(sorted(PUBLIC_ROOMS))} has an interface; use package")
        for found in PUBLIC.finditer(source.code)
    ]
