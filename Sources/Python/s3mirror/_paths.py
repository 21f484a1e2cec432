"""Paths and URLs as the command takes them, wherever its own working directory is."""

from __future__ import annotations

import os
from typing import Union

from s3mirror._errors import InvalidError

StrPath = Union[str, "os.PathLike[str]"]


def text(path: StrPath, what: str) -> str:
    """The path as text that JSON can hold."""
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
    """Absolute, as seen from this process now."""
    given = text(path, "the local path")
    if not given:
        raise InvalidError("a local path is empty; name a path, or leave it out")
    absolute = os.path.abspath(os.path.expanduser(given))
    # It tells a directory from a file that is not there yet.
    return absolute + "/" if given.endswith("/") and absolute != "/" else absolute


def remote(url: StrPath) -> str:
    """An `s3://` URL as it is; a local path absolute. What is neither is the command's to refuse."""
    given = text(url, "the remote")
    if isinstance(url, str) and not given.startswith(("./", "../", "~")) and given not in (".", ".."):
        return given
    return local(given)
