"""Requests, as lines of the protocol and as objects that wait for their answers."""

from __future__ import annotations

import json
import threading
from typing import Any

from s3mirror._errors import InvalidError, MirrorError

LONGEST_LINE = 1 << 20
"""Of a request, in bytes."""


class Pending:
    """A request that waits for its answer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.parts: list[dict[str, Any]] = []
        self.result: dict[str, Any] = {}
        self.error: MirrorError | None = None
        self.done = threading.Event()

    def fail(self, error: MirrorError) -> None:
        self.error = error
        self.done.set()

    def wait(self) -> dict[str, Any]:
        self.done.wait()
        if self.error is not None:
            raise self.error
        return self.result


def line(request: dict[str, Any]) -> bytes:
    """One line of the protocol. A value that JSON cannot hold is an error here, in the caller's thread."""
    try:
        text = json.dumps(request, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidError(f"{error.object!r} is not UTF-8") from None
    except (TypeError, ValueError) as error:
        raise InvalidError(
            f"{request['request']}: {error}; numbers and texts are what can be given"
        ) from error
    if len(text) > LONGEST_LINE:
        raise InvalidError(
            f"{request['request']}: {len(text)} bytes; at most {LONGEST_LINE} can be asked at once"
        )
    return text + b"\n"
