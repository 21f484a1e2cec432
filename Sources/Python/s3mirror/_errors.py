"""The package's exceptions: one base class, and one class for each kind of error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Failure:
    """One path that was not transferred, or one withheld delete, with the reason."""

    path: str
    """Relative to the root of its upload or download."""
    reason: str
    operation: str | None = None
    """The S3 operation that failed, such as `PutObject`; None if S3 was not the cause, as for the fields below."""
    bucket: str | None = None
    key: str | None = None
    code: str | None = None
    """S3's error code, such as `AccessDenied`; for errors of the network a word such as `Connect`."""
    status: int | None = None
    """The HTTP status; None when no response came."""
    request_id: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class MirrorError(Exception):
    """An error of a mirror. The fields are for programs; the message has the cause and the remedy."""

    kind = "incomplete"

    def __init__(
        self,
        message: str,
        *,
        request: str | None = None,
        operation: str | None = None,
        bucket: str | None = None,
        key: str | None = None,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        remedy: str | None = None,
        failures: tuple[Failure, ...] = (),
        failed_files: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        """What was asked for: `enter`, `flush`, `add`, `ls` or `end`."""
        self.operation = operation
        """The S3 operation that failed, such as `PutObject`; None if S3 was not the cause, as for the fields below."""
        self.bucket = bucket
        self.key = key
        self.code = code
        self.status = status
        self.request_id = request_id
        self.remedy = remedy
        self.failures = failures
        """The paths that failed, the first 10,000 of them."""
        self.failed_files = len(failures) if failed_files is None else failed_files

    NAMED_FAILURES = 20

    def __str__(self) -> str:
        lines = [self.message, *(f"  {failure}" for failure in self.failures[: self.NAMED_FAILURES])]
        more = self.failed_files - self.NAMED_FAILURES
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are passed from worker to parent by pickle, which supports positional arguments only.
        return (_rebuilt, (type(self), self.message, self.__dict__))


def _rebuilt(kind: type[MirrorError], message: str, fields: dict[str, Any]) -> MirrorError:
    error = kind(message)
    error.__dict__.update(fields)
    return error


class InvalidError(MirrorError, ValueError):
    """A spec, a name or an option is wrong. Nothing was transferred."""

    kind = "invalid"


class UnknownNameError(InvalidError, AttributeError):
    """The mirror has no path of that name."""


class ConfigurationError(MirrorError):
    """Credentials, profile, endpoint, bucket or access are wrong. Nothing was transferred."""

    kind = "configuration"


class LocalError(MirrorError):
    """A local path does not exist or cannot be used; or a remote is empty."""

    kind = "local"


class IncompleteError(MirrorError):
    """Some files were not transferred; `failures` lists them."""

    kind = "incomplete"


TransferError = IncompleteError
"""pos3's name."""


class EndedError(MirrorError):
    """The mirror has ended, perhaps before the work was complete."""

    kind = "interrupted"


class NoMirrorError(MirrorError, RuntimeError):
    """A function of the module was called outside of `with mirror():`, or a second such scope was opened."""

    kind = "invalid"


class SessionError(MirrorError):
    """The mirror's process ended unexpectedly, or sent an invalid message."""

    kind = "session"


class CommandError(SessionError):
    """The command `s3mirror` is missing or cannot be started."""

    kind = "command"


class VersionError(SessionError):
    """The command and the package have different versions."""

    kind = "version"


_KINDS: dict[str, type[MirrorError]] = {
    each.kind: each for each in (InvalidError, ConfigurationError, LocalError, IncompleteError, EndedError)
}


def failure(fields: dict[str, Any]) -> Failure:
    """Makes a failure of the protocol's object."""
    return Failure(path=fields["path"], reason=fields["reason"], **_fault(fields))


def error(fields: dict[str, Any]) -> MirrorError:
    """Makes an exception of the protocol's error object."""
    return _KINDS.get(fields["kind"], SessionError)(
        fields["message"],
        request=fields.get("request"),
        failures=tuple(failure(each) for each in fields.get("failures", ())),
        failed_files=fields.get("failedFiles"),
        **_fault(fields),
    )


def _fault(fields: dict[str, Any]) -> dict[str, Any]:
    fault = fields.get("fault") or {}
    return {
        "operation": fault.get("operation"),
        "bucket": fault.get("bucket"),
        "key": fault.get("key"),
        "code": fault.get("code"),
        "status": fault.get("status"),
        "request_id": fault.get("requestID"),
        "remedy": fault.get("remedy"),
    }
