"""pos3's functions: a scope for the whole program, and functions that add one more path to it.

Where pos3 can lose files, these functions do not: `sync` never deletes local files and never overwrites newer ones; if the
body raises, the remaining changes are published; and the command's guard limits deletes.
"""

from __future__ import annotations

import functools
import os
import pathlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from s3mirror import _paths
from s3mirror._errors import InvalidError, NoMirrorError
from s3mirror._mirror import Mirror
from s3mirror._options import Options
from s3mirror._paths import StrPath
from s3mirror._specs import Download, Sync, Upload

_active: ContextVar[Mirror | None] = ContextVar("s3mirror_active", default=None)
_global: Mirror | None = None
_global_pid = 0
_lock = threading.Lock()

Result = TypeVar("Result")


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()


# A thread may hold the lock at the moment of a fork.
os.register_at_fork(after_in_child=_forget_lock)


@contextmanager
def mirror(
    cache_root: StrPath = "~/.cache/positronic/s3/",
    show_progress: bool = True,
    max_workers: int | str = 10,
    default_profile: str | None = None,
    max_upload_bytes_per_second: float | None = None,
    *,
    options: Options | None = None,
) -> Iterator[Mirror]:
    """Opens the scope of `download`, `upload`, `sync` and `ls`. There is one at a time in a process.

    options: replaces the other arguments.
    """
    global _global, _global_pid
    chosen = options or Options(
        cache_root=cache_root,
        show_progress=show_progress,
        max_workers=max_workers,
        profile=default_profile,
        max_upload_bytes_per_second=max_upload_bytes_per_second,
    )
    opened = Mirror(chosen)
    with _lock:
        # A forked worker has its parent's mirror, which does not belong to it.
        if _global is not None and _global_pid == os.getpid():
            raise NoMirrorError("a mirror is active already; use it, or open a Mirror of your own")
        before = (_global, _global_pid)
        _global, _global_pid = opened, os.getpid()
    token = _active.set(opened)
    try:
        with opened:
            yield opened
    finally:
        with _lock:
            if _global is opened and _global_pid == os.getpid():
                _global, _global_pid = before
        _active.reset(token)


def with_mirror(
    cache_root: StrPath = "~/.cache/positronic/s3/",
    show_progress: bool = True,
    max_workers: int | str = 10,
    default_profile: str | None = None,
    max_upload_bytes_per_second: float | None = None,
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """`mirror` as a decorator: each call of the function is a scope."""

    def decorate(function: Callable[..., Result]) -> Callable[..., Result]:
        @functools.wraps(function)
        def scoped(*arguments: Any, **named: Any) -> Result:
            with mirror(cache_root, show_progress, max_workers, default_profile, max_upload_bytes_per_second):
                return function(*arguments, **named)

        return scoped

    return decorate


def _current() -> Mirror:
    found = _active.get() or _global
    if found is None:
        raise NoMirrorError("no mirror is active; call this inside `with s3mirror.mirror():`")
    return found


def download(
    remote: StrPath,
    local: StrPath | None = None,
    delete: bool = True,
    exclude: Sequence[str] | None = None,
    profile: str | None = None,
) -> pathlib.Path:
    """Fetches a remote now, and makes the local copy match it. Returns the local path."""
    spec = Download(_remote(remote, profile), local, delete, exclude or ())
    return _current().add(spec, _name("download", spec.remote))


def upload(
    remote: StrPath,
    local: StrPath | None = None,
    interval: float | None = 300,
    delete: bool = True,
    sync_on_error: bool | None = None,
    exclude: Sequence[str] | None = None,
    profile: str | None = None,
) -> pathlib.Path:
    """Publishes a local path while the scope runs and when it ends. Returns the local path.

    sync_on_error: what to do if the body raises: True publishes and deletes nothing, False leaves S3 as it is. None, the
        default, takes the options, which publish. pos3's own default, False, loses the remaining changes.
    """
    spec = Upload(
        _remote(remote, profile), local, interval, delete, exclude or (), on_error=_on_error(sync_on_error)
    )
    return _current().add(spec, _name("upload", spec.remote))


def sync(
    remote: StrPath,
    local: StrPath | None = None,
    interval: float | None = 300,
    delete_local: bool | None = None,
    delete_remote: bool = True,
    sync_on_error: bool | None = None,
    exclude: Sequence[str] | None = None,
    profile: str | None = None,
) -> pathlib.Path:
    """Fetches files that are absent, or unchanged since they were fetched, then publishes the same path. Returns the path.

    delete_local: has no effect, and True warns: a file without an object may be a checkpoint that is not published yet.
    sync_on_error: as in `upload`.
    """
    if delete_local:
        warnings.warn(
            "delete_local=True has no effect: sync never deletes local files; download(delete=True) does",
            stacklevel=2,
        )
    spec = Sync(
        _remote(remote, profile),
        local,
        interval,
        delete_remote,
        exclude or (),
        on_error=_on_error(sync_on_error),
    )
    return _current().add(spec, _name("sync", spec.remote))


def ls(prefix: StrPath, recursive: bool = False, profile: str | None = None) -> list[str]:
    """The entries of a directory or remote, including directories, as full URLs or local paths without a slash at the end."""
    found = _current()
    if not _is_url(prefix):
        return _local_names(pathlib.Path(prefix).expanduser(), recursive)
    remote = str(_remote(prefix, profile))
    base = _without_profile(remote).rstrip("/")
    names: dict[str, None] = {}
    urls = found.ls(remote, recursive)
    # A listing of one level has its directories last, so the result is sorted by key.
    for url in urls if recursive else sorted(urls, key=str.encode):
        # Leaves out the object with the prefix's own name, and the directory's own marker.
        if url.rstrip("/") == base:
            if not url.endswith("/"):
                names[url] = None
            continue
        names[url.rstrip("/")] = None
        parts = url.rstrip("/")[len(base) + 1 :].split("/")
        for end in range(1, len(parts)):
            names["/".join([base, *parts[:end]])] = None
    return list(names)


def _local_names(directory: pathlib.Path, recursive: bool) -> list[str]:
    pattern = "**/*" if recursive else "*"
    return sorted(str(each) for each in directory.glob(pattern) if not each.is_symlink())


def _on_error(sync_on_error: bool | None) -> str | None:
    """The spec's word for pos3's flag."""
    return None if sync_on_error is None else "upload" if sync_on_error else "skip"


def _name(call: str, remote: StrPath) -> str:
    """The name of a call. A remote has one call; a local path, which is used unchanged, may have several."""
    return str(remote) if _is_url(remote) else f"{call} {remote}"


def _is_url(remote: StrPath) -> bool:
    return isinstance(remote, str) and "://" in remote


def _remote(remote: StrPath, profile: str | None) -> StrPath:
    """A URL with the profile in it. Any other text is a local path, as in pos3."""
    if not _is_url(remote):
        return _paths.local(remote)
    url = _paths.text(remote, "the remote")
    if profile is None or not url.startswith("s3://"):
        return url
    bucket, slash, key = url[len("s3://") :].partition("/")
    # A profile in the URL takes precedence, as in pos3.
    if "@" in bucket:
        return url
    if not isinstance(profile, str) or not profile:
        raise InvalidError(f"profile is {profile!r}; name a profile of AWS's configuration files")
    return f"s3://{profile}@{bucket}{slash}{key}"


def _without_profile(url: str) -> str:
    bucket, slash, key = url[len("s3://") :].partition("/")
    return f"s3://{bucket.rpartition('@')[2]}{slash}{key}"
