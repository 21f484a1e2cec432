"""A mirror's status and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from s3mirror._errors import Failure, failure


@dataclass(frozen=True)
class UploadStatus:
    """One upload at one moment."""

    name: str
    remote: str
    local: str
    waiting_files: int
    waiting_bytes: int
    in_flight_files: int
    in_flight_bytes: int
    published_files: int
    published_bytes: int
    copied_bytes: int
    """Of published_bytes: what was not sent, because S3 copied it, from what changed files replaced or from another name."""
    failed_files: int
    failures: tuple[Failure, ...]
    """The first of the paths whose last attempt failed."""
    open_files: int
    """Files that wait because a program has them open for writing."""
    withheld_deletes: int
    recovery_point: float | None
    """The age of the oldest change that is not published, in seconds: what a crash now would cost. None when all is."""
    drift: int


@dataclass(frozen=True)
class Status:
    """A mirror at one moment."""

    phase: str
    """`entering`, `running` or `ending`."""
    uploads: Mapping[str, UploadStatus]


@dataclass(frozen=True)
class UploadReport:
    """One upload from entry to exit, or to this moment."""

    name: str
    published: int
    published_bytes: int
    deleted: int
    withheld_deletes: int
    withheld: tuple[Failure, ...]
    """The first thousand of the deletes that were withheld, and why. No error."""
    failures: tuple[Failure, ...]
    failed_files: int
    skipped: int
    drift: int
    ticks: int
    requests: Mapping[str, int]
    """Requests by S3 operation."""


@dataclass(frozen=True)
class Report:
    """A mirror's result, or its result so far, for each upload."""

    is_complete: bool
    uploads: Mapping[str, UploadReport]


def status(fields: dict[str, Any]) -> Status:
    """Of the protocol's object."""
    return Status(fields["phase"], {each["name"]: _upload_status(each) for each in fields["uploads"]})


def _upload_status(fields: dict[str, Any]) -> UploadStatus:
    return UploadStatus(
        name=fields["name"],
        remote=fields["remote"],
        local=fields["local"],
        waiting_files=fields["waitingFiles"],
        waiting_bytes=fields["waitingBytes"],
        in_flight_files=fields["inFlightFiles"],
        in_flight_bytes=fields["inFlightBytes"],
        published_files=fields["publishedFiles"],
        published_bytes=fields["publishedBytes"],
        copied_bytes=fields["copiedBytes"],
        failed_files=fields["failedFiles"],
        failures=tuple(failure(each) for each in fields["failures"]),
        open_files=fields["openFiles"],
        withheld_deletes=fields["withheldDeletes"],
        recovery_point=fields.get("recoveryPoint"),
        drift=fields["drift"],
    )


def report(fields: dict[str, Any]) -> Report:
    """Of the protocol's object."""
    return Report(fields["isComplete"], {each["name"]: _upload_report(each) for each in fields["uploads"]})


def _upload_report(fields: dict[str, Any]) -> UploadReport:
    return UploadReport(
        name=fields["name"],
        published=fields["published"],
        published_bytes=fields["publishedBytes"],
        deleted=fields["deleted"],
        withheld_deletes=fields["withheldDeletes"],
        withheld=tuple(failure(each) for each in fields["withheld"]),
        failures=tuple(failure(each) for each in fields["failures"]),
        failed_files=fields["failedFiles"],
        skipped=fields["skipped"],
        drift=fields["drift"],
        ticks=fields["ticks"],
        requests=dict(fields["requests"]),
    )
