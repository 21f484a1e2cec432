"""The context manager."""

from __future__ import annotations

import asyncio
import logging
import os
import pathlib
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from s3mirror import _errors, _paths, _report, _specs
from s3mirror._errors import EndedError, IncompleteError, InvalidError, MirrorError, UnknownNameError
from s3mirror._options import Options
from s3mirror._paths import StrPath
from s3mirror._progress import Display, display
from s3mirror._report import Report, Status
from s3mirror._session import OVER, Session
from s3mirror._specs import Download, Spec, Sync, Upload

logger = logging.getLogger("s3mirror")

EVENTS = ("notice", "failed", "dropped")


class Mirror:
    """Fetches at entry, publishes while the body runs, and publishes the remaining changes at the end.

        with Mirror(data=Download("s3://bucket/data"), out=Upload("s3://bucket/out")) as m:
            train(m.data, m.out)

    Inside the scope `m.<name>` is the `pathlib.Path` of each spec; `m["a name"]` is the same for names that are no
    identifiers. If the body raises, the remaining changes are published, nothing is deleted, and the scope raises the body's
    exception. If the body succeeds and some files could not be published, `IncompleteError` lists them.

    `async with` does the same without blocking the event loop. All methods may be called from any thread. A forked worker can
    read paths; all other methods are only for the process that entered the mirror.
    """

    def __init__(self, options: Options | None = None, **paths: Spec) -> None:
        if options is not None and not isinstance(options, Options):
            raise InvalidError(f"options is {options!r}; give Options(...)")
        for name in paths:
            if name in _RESERVED or name.startswith("_"):
                raise InvalidError(f'the name "{name}" is the mirror\'s own; choose another')
        self._options = options or Options()
        self._specs = [_specs.fields(spec, name) for name, spec in paths.items()]
        self._paths: dict[str, pathlib.Path] = {}
        self._names = list(paths)
        self._session: Session | None = None
        self._report: Report | None = None
        self._state = threading.Lock()
        self._is_entered = False

    # Entry and exit

    def __enter__(self) -> Mirror:
        with self._state:
            if self._is_entered:
                raise InvalidError("this mirror has been entered already; make another")
            self._is_entered = True
            self._report = None
        shown = display() if self._options.show_progress else None
        session = self._session = Session(lambda event: _tell(event, shown))
        try:
            session.start()
            entry: dict[str, Any] = {
                "specs": self._specs,
                "options": self._options.fields(),
                "events": EVENTS,
            }
            if shown is not None:
                entry["progress"] = shown.interval
            result = session.ask("enter", entry)
            self._paths = {name: pathlib.Path(path) for name, path in result["paths"].items()}
            return self
        except MirrorError as error:
            self._leave()
            # A session whose entry was refused has nothing to publish, and a session of another version got no request.
            session.finish() if error.request == "enter" else session.kill()
            raise
        except BaseException:
            self._leave()
            session.cut()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        session = self._session
        # A forked worker that leaves the body ends nothing, because the mirror belongs to its parent.
        if session is None or os.getpid() != session.pid:
            return
        try:
            self._report = _report.report(session.end("returned" if kind is None else "threw")["report"])
        except MirrorError as failed:
            if kind is None:
                raise
            logger.error("the mirror could not end as it should: %s", failed)
            return
        finally:
            self._leave()
        incomplete = _incomplete(self._report)
        if incomplete is None:
            return
        if kind is None:
            raise incomplete
        logger.error("%s", incomplete)

    def __del__(self) -> None:
        # An interrupt can come before the first line of __exit__. Then the session must still end.
        session = self.__dict__.get("_session")
        if session is not None and os.getpid() == session.pid:
            session.release()

    def _leave(self) -> None:
        with self._state:
            self._session = None
            self._is_entered = False

    async def __aenter__(self) -> Mirror:
        loop = asyncio.get_running_loop()
        entry = loop.run_in_executor(None, self.__enter__)
        try:
            return await asyncio.shield(entry)
        except asyncio.CancelledError:
            # The thread that waits for the entry cannot be cancelled, but the entry can.
            session = self._session
            if session is not None:
                await loop.run_in_executor(None, session.cut)
            await asyncio.wait([entry])
            if entry.exception() is None:
                await loop.run_in_executor(None, self.__exit__, asyncio.CancelledError, None, None)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        end = loop.run_in_executor(None, self.__exit__, kind, error, traceback)
        try:
            await asyncio.shield(end)
        except asyncio.CancelledError:
            # The remaining changes are published all the same.
            await asyncio.wait([end])
            raise

    # Paths

    def __getattr__(self, name: str) -> pathlib.Path:
        # Called only for missing attributes, and so also during a copy, before the copy has paths.
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> pathlib.Path:
        path = self._paths.get(name)
        if path is not None:
            return path
        if name in self._names:
            raise UnknownNameError(f'"{name}" has no path before the mirror is entered')
        known = ", ".join(sorted(self._paths)) or "nothing"
        raise UnknownNameError(f'this mirror has no "{name}"; it has {known}')

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._paths]

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a Mirror belongs to the process that entered it; give the worker its paths")

    # While it runs

    def flush(self, name: str | None = None) -> None:
        """Publishes everything that was closed before the call, for one upload or for all, and then returns.

        Raises `IncompleteError` with the paths that could not be published.
        """
        self._running("flush").ask("flush", {} if name is None else {"upload": _paths.text(name, "the name")})

    async def aflush(self, name: str | None = None) -> None:
        """`flush` without blocking the event loop."""
        await asyncio.get_running_loop().run_in_executor(None, self.flush, name)

    def status(self) -> Status:
        """For each upload: how much waits, is in flight, is published and has failed."""
        return _report.status(self._running("status").ask("status")["status"])

    @property
    def report(self) -> Report:
        """The result of the mirror; while it runs, its result so far.

        Until the mirror has ended, `is_complete` means only that no path's latest attempt failed; `status()` shows what waits.
        """
        session = self._session
        if session is not None:
            return _report.report(session.ask("report")["report"])
        if self._report is None:
            raise EndedError(
                "report: the mirror has not been entered, or has ended without one", request="report"
            )
        return self._report

    def download(
        self,
        remote: StrPath,
        local: StrPath | None = None,
        delete: bool = False,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        name: str | None = None,
    ) -> pathlib.Path:
        """Fetches one more remote now. Returns its path."""
        return self.add(Download(remote, local, delete, exclude, include), name)

    def upload(
        self,
        remote: StrPath,
        local: StrPath | None = None,
        interval: float | None = 300,
        delete: bool = True,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        name: str | None = None,
    ) -> pathlib.Path:
        """Publishes one more tree from now on. Returns its path."""
        return self.add(Upload(remote, local, interval, delete, exclude, include), name)

    def sync(
        self,
        remote: StrPath,
        local: StrPath | None = None,
        interval: float | None = 300,
        delete: bool = True,
        exclude: Sequence[str] = (),
        include: Sequence[str] = (),
        name: str | None = None,
    ) -> pathlib.Path:
        """Downloads one more tree and publishes it from now on. Returns its path."""
        return self.add(Sync(remote, local, interval, delete, exclude, include), name)

    def add(self, spec: Spec, name: str | None = None) -> pathlib.Path:
        """Adds one more spec; an equal spec is added only once. Returns its path."""
        session = self._running("add")
        if name in _RESERVED:
            raise InvalidError(f'the name "{name}" is the mirror\'s own; choose another')
        fields = _specs.fields(spec, str(getattr(spec, "remote", "")) if name is None else name)
        path = pathlib.Path(session.ask("add", {"spec": fields})["path"])
        self._paths = {**self._paths, fields["name"]: path}
        return path

    def ls(self, remote: str, recursive: bool = False) -> list[str]:
        """The full URLs of the objects under a remote, in the server's order; a directory of one level ends in a slash."""
        members: Mapping[str, Any] = {"remote": _paths.text(remote, "the remote"), "recursive": recursive}
        return [line["url"] for line in self._running("ls").list(members)]

    def _running(self, request: str) -> Session:
        session = self._session
        if session is None:
            raise EndedError(f"{request}: the mirror has not been entered, or has ended", request=request)
        return session


_RESERVED = {name for name in dir(Mirror) if not name.startswith("_")} | {"options"}


def _tell(event: dict[str, Any], shown: Display | None) -> None:
    if event["event"] == "progress" and shown is not None:
        shown.show(event["progress"])
    elif event["event"] == OVER and shown is not None:
        shown.close()
    elif event["event"] == "notice":
        logger.warning("%s", event["text"])
    elif event["event"] == "failed":
        logger.warning(
            "%s: %s of %s failed: %s", event["mirror"], event["operation"], event["path"], event["reason"]
        )
    elif event["event"] == "dropped":
        logger.warning("%d messages of the mirror were left out: too many came at once", event["number"])


def _incomplete(report: Report) -> IncompleteError | None:
    """The exception after a successful body if some files are not on S3."""
    if report.is_complete:
        return None
    uploads = list(report.uploads.values())
    failures = tuple(
        failure
        if len(uploads) == 1
        else _errors.Failure(**{**failure.__dict__, "path": f"{upload.name}/{failure.path}"})
        for upload in uploads
        for failure in upload.failures
    )
    count = sum(upload.failed_files for upload in uploads)
    return IncompleteError(
        f"{count} {'path' if count == 1 else 'paths'} could not be published",
        request="end",
        failures=failures,
        failed_files=count,
    )
