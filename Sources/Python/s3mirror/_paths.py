"""Paths and URLs for the command, independent of the command's working directory."""

from __future__ import annotations

import os
from typing import Union

from s3mirror._errors import InvalidError

StrPath = Union[str, "os.PathLike[str]"]


def text(path: StrPath, what: str) -> str:
    """The path as text for JSON."""
    given = os.fspath(path)
    if not isinstance(given, str):
        raise InvalidError(f"{what} is {path!r}; it must be a text or a path of text")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise InvalidError(
            f"{what} {path!r} is not UTF-8, which keys on S3 are; choose another name"
        ) from None
    return given


def local(path: StrPath) -> str:
    """The path made absolute by this process's working directory."""
    given = text(path, "the local path")
    if not given:
        raise InvalidError("a local path is empty; name a path, or leave it out")
    absolute = os.path.abspath(os.path.expanduser(given))
    # The slash distinguishes a directory from a file if neither exists yet.
    return absolute + "/" if given.endswith("/") and absolute != "/" else absolute


def remote(url: StrPath) -> str:
    """An `s3://` URL unchanged; a local path made absolute. The command rejects any other text."""
    given = text(url, "the remote")
    if isinstance(url, str) and not given.startswith(("./", "../", "~")) and given not in (".", ".."):
        return given
    return local(given)
