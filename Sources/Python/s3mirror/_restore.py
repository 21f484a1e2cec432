"""Restores checkpoints from S3."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from s3mirror import _paths
from s3mirror._mirror import Mirror
from s3mirror._options import Options
from s3mirror._paths import StrPath


def restore(
    remote: StrPath,
    local: StrPath | None = None,
    unit: str | None = None,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
    options: Options | None = None,
    member_only: bool = False,
) -> pathlib.Path:
    """Fetches the newest complete checkpoint under a remote. Returns its local path.

        path = s3mirror.restore("s3://bucket/outputs", "outputs")

    The local directory of a checkpoint appears only when the checkpoint is complete. Files that exist here are not fetched again.

    remote: the directory that holds the checkpoints.
    local: the local directory that corresponds to the remote; by default below the cache root.
    unit: another checkpoint, by its path below the remote or the end of that path.
    member_only: fetch only what this member of `options.group` wrote, and the files that name the checkpoint.
    exclude, include: gitignore-style patterns of objects to ignore, and of the only objects to consider.

    Raises `IncompleteError` if no checkpoint is complete: its `failures` have a reason for each of the newest.
    """
    asked: dict[str, Any] = {
        "remote": _paths.remote(remote),
        "exclude": list(exclude),
        "include": list(include),
    }
    if local is not None:
        asked["local"] = _paths.local(local)
    if unit is not None:
        asked["unit"] = _paths.text(unit, "the unit")
    if member_only:
        asked["memberOnly"] = True
    with Mirror(options) as mirror:
        return pathlib.Path(mirror._running("restore").ask("restore", asked)["restored"]["local"])
