"""The specs of a mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from s3mirror import _paths
from s3mirror._errors import InvalidError
from s3mirror._paths import StrPath


@dataclass(frozen=True)
class Download:
    """Fetches `remote` at entry.

    remote: `s3://[profile@]bucket/key`: that object if it exists, otherwise the prefix `key/`. A local path (absolute, or
        beginning with `./`, `../` or `~`) is used unchanged and must exist.
    local: the local path; by default below `Options.cache_root`.
    delete: remove local files that are not on S3.
    exclude, include: gitignore-style patterns, relative to the root.
    """

    remote: StrPath
    local: StrPath | None = None
    delete: bool = False
    exclude: Sequence[str] = ()
    include: Sequence[str] = ()
    requester_pays: bool | None = None
    expected_bucket_owner: str | None = None

    def fields(self, name: str) -> dict[str, Any]:
        """The protocol's object."""
        return {"kind": "download", **_common(self, name)}


@dataclass(frozen=True)
class Upload:
    """Publishes a local tree, or one file, while the mirror runs and when it ends.

    remote: `s3://[profile@]bucket/key`. A local path is used unchanged: its directory is created, nothing is uploaded.
    local: the tree or file; by default below `Options.cache_root`. An absent tree is created.
    interval: seconds between two ticks; None publishes at the end only, 0 once a change is closed and quiet.
    delete: remove objects whose file is gone.
    on_error: `"upload"` or `"skip"` if the body raises; None takes `Options.on_error`.
    """

    remote: StrPath
    local: StrPath | None = None
    interval: float | None = 300
    delete: bool = True
    exclude: Sequence[str] = ()
    include: Sequence[str] = ()
    on_error: str | None = None
    storage_class: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    acl: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "by-extension"
    requester_pays: bool | None = None
    expected_bucket_owner: str | None = None

    def fields(self, name: str) -> dict[str, Any]:
        """The protocol's object."""
        return {"kind": "upload", **_common(self, name), **_published(self)}


@dataclass(frozen=True)
class Sync(Upload):
    """Downloads first, then publishes from the same path, to resume a run. It never deletes local files, and never overwrites
    a local file that is newer than its object. The fields are those of `Upload`."""

    def fields(self, name: str) -> dict[str, Any]:
        """The protocol's object."""
        return {**super().fields(name), "kind": "sync"}


Spec = Union[Download, Upload]


def fields(spec: Spec, name: str) -> dict[str, Any]:
    """The protocol's object of the caller's spec for a name."""
    if not isinstance(spec, (Download, Upload)):
        raise InvalidError(f"{name} is {spec!r}; give Download(...), Upload(...) or Sync(...)")
    return spec.fields(name)


def _common(spec: Spec, name: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": _paths.text(name, "the name"),
        "remote": _paths.remote(spec.remote),
        "delete": spec.delete,
        "exclude": _patterns(spec.exclude, "exclude"),
        "include": _patterns(spec.include, "include"),
    }
    if spec.local is not None:
        given["local"] = _paths.local(spec.local)
    if spec.requester_pays is not None:
        given["requesterPays"] = spec.requester_pays
    if spec.expected_bucket_owner is not None:
        given["expectedBucketOwner"] = spec.expected_bucket_owner
    return given


def _patterns(patterns: Sequence[str], what: str) -> list[str]:
    # A string is a sequence of letters, so it must be excluded.
    if isinstance(patterns, str):
        raise InvalidError(f"{what} is {patterns!r}; give a list of patterns")
    return [_paths.text(each, f"a pattern of {what}") for each in patterns]


def _published(spec: Upload) -> dict[str, Any]:
    given: dict[str, Any] = {
        "interval": "none" if spec.interval is None else spec.interval,
        "tags": dict(spec.tags),
        "metadata": dict(spec.metadata),
        "contentType": spec.content_type,
    }
    optional = {
        "onError": spec.on_error,
        "storageClass": spec.storage_class,
        "sse": spec.sse,
        "sseKMSKeyID": spec.sse_kms_key_id,
        "acl": spec.acl,
    }
    return {**given, **{key: value for key, value in optional.items() if value is not None}}
