"""Shows progress on a terminal and in Jupyter, and nowhere else, because it would flood a log."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, Protocol


class Display(Protocol):
    """A display of progress, with its interval."""

    interval: float

    def show(self, progress: dict[str, int]) -> None:
        """Shows a reading. A reading with nothing in flight is the end of a transfer."""

    def close(self) -> None:
        """Ends the display."""


def display() -> Display | None:
    """The display for the program's output; None if the output is neither a terminal nor a notebook."""
    in_notebook = _is_notebook()
    if not in_notebook and not _is_terminal():
        return None
    bar = _tqdm()
    if bar is not None:
        return Bar(bar, stays=in_notebook)
    return Lines() if in_notebook else StatusLine()


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:
        # The stream is closed.
        return False


def _is_notebook() -> bool:
    """Whether this is a Jupyter kernel. Imports nothing."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _tqdm() -> Any:
    try:
        with warnings.catch_warnings():
            # In a notebook without ipywidgets, tqdm advises to install them and draws text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm  # noqa: PLC0415 (only if it is installed, and only when it is used)
    except ImportError:
        return None
    return tqdm


def text(progress: dict[str, int]) -> str:
    """`s3mirror: 12 files, 345.2 MB sent, 1.0 MB fetched`"""
    parts = [_files(progress)]
    parts += [
        f"{_size(progress[key])} {verb}"
        for key, verb in (("sentBytes", "sent"), ("fetchedBytes", "fetched"))
        if progress[key]
    ]
    if progress["inFlight"]:
        parts.append(f"{progress['inFlight']} in flight")
    return "s3mirror: " + ", ".join(parts)


def _files(progress: dict[str, int]) -> str:
    return f"{progress['files']} {'file' if progress['files'] == 1 else 'files'}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class StatusLine:
    """One line of a terminal that changes in place."""

    interval = 0.2

    def __init__(self) -> None:
        self._is_drawn = False

    def show(self, progress: dict[str, int]) -> None:
        self._draw(text(progress) if progress["inFlight"] else "")

    def close(self) -> None:
        if self._is_drawn:
            self._draw("")

    def _draw(self, line: str) -> None:
        self._is_drawn = line != ""
        # CSI K clears to the end of the line (ECMA-48, EL).
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)


class Lines:
    """A line every few seconds."""

    interval = 1.0
    SECONDS = 5.0

    def __init__(self) -> None:
        self._next = 0.0

    def show(self, progress: dict[str, int]) -> None:
        now = time.monotonic()
        if progress["inFlight"] and now < self._next:
            return
        self._next = now + self.SECONDS
        print(text(progress), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to do, because every line is complete."""


class Bar:
    """A tqdm bar without a total, because more files may change at any moment.

    On a terminal each burst of transfers has its own bar, which is removed at its end. In a notebook one bar stays while the
    mirror runs, because the notebook keeps the output of each bar.
    """

    interval = 0.2

    def __init__(self, bar: Any, *, stays: bool) -> None:
        self._make = bar
        self._stays = stays
        self._bar: Any = None
        self._shown = 0

    def show(self, progress: dict[str, int]) -> None:
        moved = progress["sentBytes"] + progress["fetchedBytes"]
        if self._bar is None:
            self._bar = self._make(
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                desc="s3mirror",
                leave=self._stays,
                # The interval of the readings is the interval of the drawings.
                mininterval=0,
                miniters=0,
                initial=self._shown,
                file=sys.stderr,
            )
        self._bar.set_postfix_str(_files(progress), refresh=False)
        self._bar.update(moved - self._shown)
        self._shown = moved
        if not progress["inFlight"] and not self._stays:
            self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
