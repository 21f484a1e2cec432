"""The sessions that Python programs have started, for trials and for the tests of the package."""

import pathlib


def sessions_of(parent):
    """The numbers of the sessions that watch a process."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # It has ended.
            if b"session" in arguments and str(parent).encode() in arguments:
                found.append(int(entry.name))
    return found
