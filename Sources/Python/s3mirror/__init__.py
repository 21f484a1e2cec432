"""Publishes a directory's changes on S3 while a program runs, and fetches the program's input.

    from s3mirror import Mirror, Download, Upload

    with Mirror(dataset=Download("s3://bucket/data"), checkpoints=Upload("s3://bucket/outputs")) as m:
        train(m.dataset, m.checkpoints)

The module's functions `mirror`, `download`, `upload`, `sync` and `ls` are those of pos3: inside `with mirror():` each call
adds one more path.
"""

from s3mirror._errors import (
    CommandError,
    ConfigurationError,
    EndedError,
    Failure,
    IncompleteError,
    InvalidError,
    LocalError,
    MirrorError,
    NoMirrorError,
    SessionError,
    TransferError,
    UnknownNameError,
    VersionError,
)
from s3mirror._mirror import Mirror
from s3mirror._options import Group, Options
from s3mirror._report import Report, Status, UploadReport, UploadStatus
from s3mirror._restore import restore
from s3mirror._scope import download, ls, mirror, sync, upload, with_mirror
from s3mirror._specs import Download, Sync, Upload
from s3mirror._version import __version__

__all__ = [
    "CommandError",
    "ConfigurationError",
    "Download",
    "EndedError",
    "Failure",
    "Group",
    "IncompleteError",
    "InvalidError",
    "LocalError",
    "Mirror",
    "MirrorError",
    "NoMirrorError",
    "Options",
    "Report",
    "SessionError",
    "Status",
    "Sync",
    "TransferError",
    "UnknownNameError",
    "Upload",
    "UploadReport",
    "UploadStatus",
    "VersionError",
    "__version__",
    "download",
    "ls",
    "mirror",
    "restore",
    "sync",
    "upload",
    "with_mirror",
]
