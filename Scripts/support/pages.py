"""Reads what writer.c wrote: from its bytes alone, whether a file or an object is one that really was."""

import dataclasses
import hashlib
import struct
import time
import zlib

PAGE = 4096
MAGIC = 0x3145474150334D53
HEAD = struct.Struct("<5Q")  # magic, file, generation, page, pages of that generation
WORDS_END, SUM_AT = 4088, 4092
BLOCK = 1 << 20
# The modes of writer.c, by their first letter.
KINDS = ("closing", "appending", "single-write", "mapped")


@dataclasses.dataclass
class Sight:
    """What one reading of an object, from end to end, came to."""

    sha256: str
    size: int
    generation: int
    torn: str = ""  # why it is no state that the file ever had
    is_between: bool = False  # a moment in the middle of a mapped generation
    time: float = dataclasses.field(default_factory=time.time)


def look(blocks, kind, file):
    """Judges bytes that come in blocks of any length."""
    digest, runs, size, rest = hashlib.sha256(), [], 0, b""
    trouble = ""
    for block in blocks:
        digest.update(block)
        rest += block
        whole = len(rest) - len(rest) % PAGE
        for at in range(0, whole, PAGE):
            trouble = trouble or note(rest[at : at + PAGE], (size + at) // PAGE, file, runs)
        size += whole
        rest = rest[whole:]
    tail, pages = rest, size // PAGE
    size += len(tail)
    newest = max((run[0] for run in runs), default=0)
    sight = Sight(digest.hexdigest(), size, newest, torn=trouble)
    if not trouble:
        judge(sight, runs, tail, pages, kind, file)
    return sight


def note(page, number, file, runs):
    """Adds a page to the runs of [generation, its length in pages, how many]. Returns what is wrong with it."""
    magic, of_file, generation, own_number, total = HEAD.unpack_from(page)
    if magic != MAGIC or zlib.crc32(page[:SUM_AT]) != int.from_bytes(page[SUM_AT:], "little"):
        return f"page {number} is mixed in itself"
    if (of_file, own_number) != (file, number):
        return f"page {number} is page {own_number} of file {of_file}"
    if runs and runs[-1][:2] == [generation, total]:
        runs[-1][2] += 1
    else:
        runs.append([generation, total, 1])
    return ""


def judge(sight, runs, tail, pages, kind, file):
    told = ", then ".join(f"{count} pages of generation {generation}" for generation, _, count in runs[:6])
    if kind == "appending":
        # Appended bytes never change, so every prefix of the stream was the file's content at some moment.
        if [run[:2] for run in runs] not in ([], [[0, 0]]) or tail != page_of_stream(pages, file)[: len(tail)]:
            sight.torn = f"no prefix of what was appended: {told}, {len(tail)} bytes"
        return
    if tail or not runs:
        sight.torn = f"{pages} pages and {len(tail)} bytes"
    elif len(runs) == 1:
        if runs[0][1] != pages:
            sight.torn = f"{pages} of {runs[0][1]} pages of generation {runs[0][0]}"
    elif kind == "mapped" and [run[0] for run in runs] == [sight.generation, sight.generation - 1]:
        # Pages are stored in order: new ones up to here and old ones from here is a content that the file had at one moment.
        sight.is_between = True
        if any(run[1] != pages for run in runs):
            sight.torn = f"{told}, of another length"
    else:
        sight.torn = told


def page_of_stream(number, file):
    word = (number * 0xBF58476D1CE4E5B9 & (1 << 64) - 1) ^ file
    page = HEAD.pack(MAGIC, file, 0, number, 0)
    page += struct.pack("<Q", word) * ((WORDS_END - len(page)) // 8)
    page += bytes(SUM_AT - WORDS_END)
    return page + zlib.crc32(page).to_bytes(4, "little")


def look_at_file(path, kind, file):
    with open(path, "rb") as opened:
        return look(iter(lambda: opened.read(BLOCK), b""), kind, file)
