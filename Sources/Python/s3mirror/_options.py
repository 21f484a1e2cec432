"""The options of a whole mirror."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s3mirror import _paths
from s3mirror._paths import StrPath

MIB = 1 << 20
DAY = 86_400.0


@dataclass(frozen=True)
class Group:
    """The group of hosts that mirror their parts of the same checkpoints under one prefix.

    A commit marker is published after the data of all hosts, and no host deletes another host's objects. One process on each host
    makes the mirror. What is None comes from Slurm, torchrun or Kubernetes.

    name: the same on every host of the job, and another one for each job.
    member: the number of this host, from 0.
    members: the number of hosts.
    timeout: how long the end waits for silent hosts before it gives a commit marker up.
    takeover: how long a process waits that takes a host's part over from one that did not end; None is 16 minutes and 10 seconds.
    fencing: "conditional-writes", or "none" where the server does not know them and no host can have two processes.
    """

    name: str | None = None
    member: int | None = None
    members: int | None = None
    timeout: float = 600
    takeover: float | None = None
    fencing: str = "conditional-writes"

    def fields(self) -> dict[str, Any]:
        """The protocol's object."""
        return {
            "name": self.name,
            "member": self.member,
            "members": self.members,
            "timeout": self.timeout,
            "takeover": self.takeover,
            "fencing": self.fencing,
        }


@dataclass(frozen=True)
class Options:
    """Cache location, progress, parallel workers, and all other options of the library. Times are in seconds.

    cache_root: the directory for paths without `local`.
    show_progress: draw progress on a terminal and in Jupyter, and nowhere else.
    max_workers: the largest number of concurrent requests with a payload, over all downloads and uploads; "auto" finds it by
        measuring.
    profile, endpoint_url, region: None takes the environment and AWS's configuration files.
    anonymous: send requests without a signature.
    allow_insecure: allow plain http to other hosts.
    payload_signing: whether signatures cover the uploaded content: "auto", "always" or "never".
    on_error: what happens to uploads if the body raises: "upload" (publish, delete nothing) or "skip".
    exit_timeout: how long the end may take; None sets no limit.
    settle: with interval 0, how long a file must be unchanged before it is published.
    open_file_grace: how long an open file of `append_names` waits for its close; None is one interval.
    append_names: patterns of names that are only appended to; None is the command's list.
    in_progress_names: patterns of marks such as `X-unfinished`, published before any change of X and removed after all of them.
    temporary_names: patterns of names that are never published, only after a rename; None is the command's list.
    add_append_names, add_commit_last, add_in_progress_names, add_temporary_names: patterns besides those of each list.
    audit_interval: the time between two audits, comparisons that should find no difference; None turns them off.
    compare: how a file and an object of equal size are compared: "size", "default" or "checksum".
    suspect_within: how much later than a file's last change its object must be dated, so that the contents need no comparison.
    max_delete: the largest number of deletes in one batch: a number, "none" for no limit, None for the standard limit.
    receipts: publish a receipt for each complete checkpoint, which names its objects; a restore trusts it.
    keep_last: how many of the newest complete checkpoints of each series of names stay on S3, two at least; None removes none.
    keep_every: with keep_last: checkpoints whose step is a multiple of this stay too.
    renames: what happens to the object under a renamed file's old name: "move" or "copy".
    delete_if_match: delete an object only if no other program has written it.
    commit_last: patterns of commit markers, published after everything else in their directory; None is the command's list.
    symlinks: "pointer" (a link to a file inside of the root becomes a copy of that file's object), "link", "follow" or "skip".
    empty_directories: "skip" or "marker".
    multipart_threshold, part_bytes: the largest file sent in one request, and the smallest part size, in bytes.
    delta: how a large file that changed is sent: "auto" (only what changed; S3 copies the rest) or "off" (whole).
    max_upload_bytes_per_second, max_download_bytes_per_second: limits for all transfers together; None sets no limit.
    low_priority: run with low priority for processor and disk.
    stale_upload_age: multipart uploads under a remote without a new part for this long are aborted; None aborts none.
    max_attempts: how often a request is sent before the operation fails; twice as often if the server asks for
      fewer requests.
    log_directory, log_keep_days: the folder of the transfer logs, and how long they are kept.
    name: the mirror's name in the transfer log and in `s3mirror status`.
    group: the group of hosts that this mirror belongs to; "auto" takes the one that the launcher has set.
    control_socket: let `s3mirror status` and `s3mirror flush` of the same user find this mirror.
    """

    cache_root: StrPath = "~/.cache/positronic/s3/"
    show_progress: bool = True
    max_workers: int | str = 10
    profile: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    anonymous: bool = False
    allow_insecure: bool = False
    payload_signing: str = "auto"
    requester_pays: bool = False
    expected_bucket_owner: str | None = None
    on_error: str = "upload"
    exit_timeout: float | None = None
    settle: float = 1
    open_file_grace: float | None = None
    append_names: Sequence[str] | None = None
    in_progress_names: Sequence[str] | None = None
    temporary_names: Sequence[str] | None = None
    add_append_names: Sequence[str] = ()
    add_commit_last: Sequence[str] = ()
    add_in_progress_names: Sequence[str] = ()
    add_temporary_names: Sequence[str] = ()
    audit_interval: float | None = DAY
    compare: str = "default"
    suspect_within: float = 900
    max_delete: int | str | None = None
    receipts: bool = False
    keep_last: int | None = None
    keep_every: int | None = None
    renames: str = "move"
    delete_if_match: bool = False
    commit_last: Sequence[str] | None = None
    symlinks: str = "pointer"
    empty_directories: str = "skip"
    multipart_threshold: int = 16 * MIB
    part_bytes: int = 16 * MIB
    delta: str = "auto"
    max_upload_bytes_per_second: float | None = None
    max_download_bytes_per_second: float | None = None
    low_priority: bool = False
    stale_upload_age: float | None = 7 * DAY
    max_attempts: int = 5
    log_directory: StrPath | None = None
    log_keep_days: int = 30
    name: str = "mirror"
    control_socket: bool = True
    group: Group | str | None = None

    def fields(self) -> dict[str, Any]:
        """The protocol's object."""
        given: dict[str, Any] = {
            "cacheRoot": _paths.local(self.cache_root),
            "maxWorkers": self.max_workers,
            "profile": self.profile,
            "endpointURL": self.endpoint_url,
            "region": self.region,
            "anonymous": self.anonymous,
            "allowInsecure": self.allow_insecure,
            "payloadSigning": self.payload_signing,
            "requesterPays": self.requester_pays,
            "expectedBucketOwner": self.expected_bucket_owner,
            "onError": self.on_error,
            "exitTimeout": self.exit_timeout,
            "settle": self.settle,
            "openFileGrace": self.open_file_grace,
            "auditInterval": self.audit_interval,
            "compare": self.compare,
            "suspectWithin": self.suspect_within,
            "maxDelete": self.max_delete,
            "receipts": self.receipts,
            "keepLast": self.keep_last,
            "keepEvery": self.keep_every,
            "renames": self.renames,
            "deleteIfMatch": self.delete_if_match,
            "symlinks": self.symlinks,
            "emptyDirectories": self.empty_directories,
            "multipartThreshold": self.multipart_threshold,
            "partBytes": self.part_bytes,
            "delta": self.delta,
            "maxUploadBytesPerSecond": _rate(self.max_upload_bytes_per_second),
            "maxDownloadBytesPerSecond": _rate(self.max_download_bytes_per_second),
            "lowPriority": self.low_priority,
            "staleUploadAge": self.stale_upload_age,
            "maxAttempts": self.max_attempts,
            "logDirectory": None if self.log_directory is None else _paths.local(self.log_directory),
            "logKeepDays": self.log_keep_days,
            "name": self.name,
            "controlSocket": self.control_socket,
            "group": self.group.fields() if isinstance(self.group, Group) else self.group,
        }
        lists = {
            "appendNames": self.append_names,
            "commitLast": self.commit_last,
            "inProgressNames": self.in_progress_names,
            "temporaryNames": self.temporary_names,
            "addAppendNames": self.add_append_names or None,
            "addCommitLast": self.add_commit_last or None,
            "addInProgressNames": self.add_in_progress_names or None,
            "addTemporaryNames": self.add_temporary_names or None,
        }
        return {**given, **{key: list(names) for key, names in lists.items() if names is not None}}


def _rate(bytes_per_second: float | None) -> int | None:
    # pos3 accepts a fraction; the command accepts no limit below one byte a second.
    return None if bytes_per_second is None else int(bytes_per_second)
