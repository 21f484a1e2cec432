"""Finds the command `s3mirror`."""

from __future__ import annotations

import os
import pathlib
import shutil

from s3mirror._errors import CommandError

VARIABLE = "S3MIRROR_BIN"


def find() -> str:
    """The command in `S3MIRROR_BIN`, otherwise the package's own, otherwise the one on PATH."""
    named = os.environ.get(VARIABLE)
    if named:
        if not _is_executable(named):
            raise CommandError(
                f"{VARIABLE} is {named}, which is no program that can be executed; correct or unset it"
            )
        return named
    own = pathlib.Path(__file__).with_name("_bin") / "s3mirror"
    if _is_executable(str(own)):
        return str(own)
    found = _on_path()
    if found is None:
        raise CommandError(
            f"the command s3mirror is not in this package ({own}) nor on PATH; install the wheel of this platform, "
            f"or build the command and set {VARIABLE} to its path"
        )
    return found


WHEEL_SCRIPT = b"# The script of a wheel of s3mirror."
"""The line by which it is known: it starts the command in the package, and is none itself."""


def _on_path() -> str | None:
    for directory in os.get_exec_path():
        found = shutil.which("s3mirror", path=directory or os.curdir)
        if found is not None and not _is_wheel_script(found):
            return found
    return None


def _is_wheel_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return WHEEL_SCRIPT in file.read(1024)
    except OSError:
        # The file may be executable and not readable.
        return False


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
