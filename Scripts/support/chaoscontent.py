"""Content that describes itself: from an object's bytes alone it is known which version of which file they are, and whole.

Three kinds. A *block file* is a row of blocks, each with the file's name, version, index, length and a checksum. A *log* is
a row of lines, each with the name, the generation, its index and a checksum; any prefix of it is a true state of the log.
A *marker* is a JSON object that names the versions of other files, and seals itself. Bytes of two versions together, the
first half of one version, or bytes of another file are recognised as such.
"""

import dataclasses
import hashlib
import json
import random
import struct
import zlib

BLOCK = 16 * 1024  # bytes, with its head
HEAD = struct.Struct(">4s8sIIQI")  # magic, name, version, index, length of the file, CRC-32 of head and payload
MAGIC = b"CHB1"
LINE = 120  # bytes of a log's line without its newline
POOL = random.Random(0).randbytes(1 << 20)  # what payloads are cut from
MARKER = "chaos-marker"


@dataclasses.dataclass(frozen=True)
class Reading:
    """What some bytes are: `version` of `name`, unless `problem` says why they are no version of anything."""

    kind: str  # block, log, marker, or empty
    name: str | None = None  # its tag, for a block file
    version: int = -1  # of a log: how many bytes of it there are
    generation: int = 0  # of a log
    problem: str = ""
    files: dict = dataclasses.field(default_factory=dict, compare=False)  # of a marker: name -> facts


def tag(name):
    """Eight bytes that stand for a name."""
    return hashlib.sha256(name.encode()).digest()[:8]


def block_count(size):
    return max(1, -(-size // BLOCK))


def block(name, version, index, size):
    """One block of a file of `size` bytes. The last one may be short, but not so short that its head is cut."""
    length = min(BLOCK, size - index * BLOCK)
    payload = length - HEAD.size
    if payload < 0:
        raise ValueError(f"a file of {size} bytes has a last block without room for its head")
    start = (version * 7919 + index * 4099) % (len(POOL) - BLOCK)
    body = POOL[start : start + payload]
    head = HEAD.pack(MAGIC, tag(name), version, index, size, 0)
    return head[:-4] + struct.pack(">I", zlib.crc32(body, zlib.crc32(head[:-4]))) + body


def blocks(name, version, size):
    return (block(name, version, index, size) for index in range(block_count(size)))


def whole(name, version, size):
    return b"".join(blocks(name, version, size))


def fitting(size):
    """The next size at or above `size` whose last block has room for a head."""
    rest = size % BLOCK
    return size + HEAD.size - rest if 0 < rest < HEAD.size else max(size, HEAD.size)


def digest(content):
    return hashlib.sha256(content).hexdigest()


def line(name, generation, index):
    """A log's line with its newline; always LINE + 1 bytes."""
    text = f"{name} {generation} {index} ".ljust(LINE - 8, ".")
    return f"{text}{zlib.crc32(text.encode()):08x}\n".encode()


def lines(name, generation, count, first=0):
    return b"".join(line(name, generation, index) for index in range(first, first + count))


def marker(name, version, files):
    """`files`: name -> {"version", "bytes", "sha256"}."""
    body = {"kind": MARKER, "name": name, "version": version, "files": files}
    return json.dumps({**body, "seal": seal(body)}, indent=1).encode() + b"\n"


def seal(body):
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def read(content):
    """What these bytes are."""
    if not content:
        return Reading("empty", problem="it is empty, and no version of any file is")
    if content.startswith(MAGIC) or MAGIC.startswith(content):
        return read_blocks(content)
    if content.lstrip().startswith(b"{"):
        return read_marker(content)
    return read_log(content)


def read_blocks(content):
    _, name, version, _, size, _ = HEAD.unpack_from(content) if len(content) >= HEAD.size else (0, b"", -1, 0, 0, 0)
    first = Reading("block", name.hex(), version)
    seen = set()
    broken = None
    for index in range(block_count(len(content))):
        piece = content[index * BLOCK : (index + 1) * BLOCK]
        if len(piece) < HEAD.size:
            broken = broken or f"block {index} is cut after {len(piece)} bytes"
            continue
        magic, its_name, its_version, its_index, its_size, crc = HEAD.unpack_from(piece)
        if magic != MAGIC or zlib.crc32(piece[HEAD.size :], zlib.crc32(piece[: HEAD.size - 4])) != crc:
            broken = broken or f"block {index} is damaged or cut"
            continue
        seen.add((its_name, its_version, its_size))
        if its_index != index:
            broken = broken or f"block {index} is the file's block {its_index}"
    if len(seen) > 1:
        versions = sorted({each[1] for each in seen})
        return dataclasses.replace(first, problem=f"mixed: blocks of {len(seen)} files, versions {versions}")
    if broken:
        return dataclasses.replace(first, problem=f"torn: {broken}")
    if size != len(content):
        return dataclasses.replace(first, problem=f"half: {len(content)} of the {size} bytes of version {version}")
    return first


def read_marker(content):
    try:
        body = json.loads(content)
        sealed = body.pop("seal")
        if body["kind"] != MARKER or sealed != seal(body):
            return Reading("marker", body.get("name"), problem="torn: the marker's seal does not fit")
        return Reading("marker", body["name"], body["version"], files=body["files"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Reading("marker", problem=f"torn: no whole marker ({type(error).__name__}: {error})")


def read_log(content):
    """A prefix of a log, at any byte."""
    beginning = content[:LINE].split(b" ")
    try:
        name, generation = beginning[0].decode(), int(beginning[1])
    except (ValueError, IndexError):
        if len(content) < LINE:  # cut within the first line, which is a prefix all the same
            return Reading("log", None, len(content))
        return Reading("log", problem=f"unknown: it begins with {content[:40]!r}")
    whole_lines, rest = divmod(len(content), LINE + 1)
    expected = lines(name, generation, whole_lines) + line(name, generation, whole_lines)[:rest]
    if expected != content:
        at = next((i for i, (a, b) in enumerate(zip(expected, content)) if a != b), min(len(expected), len(content)))
        return Reading("log", name, len(content), generation, problem=f"torn: the log is another from byte {at} on")
    return Reading("log", name, len(content), generation)
