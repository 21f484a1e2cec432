"""One version for the package and the command."""

import re

import s3mirror
from s3mirror import _session

from conftest import ROOT


def test_the_package_has_the_commands_version():
    swift = (ROOT / "Sources/S3Mirror/API/Version.swift").read_text()
    assert re.search(r'"(.+)"', swift).group(1) == s3mirror.__version__


def test_the_package_speaks_the_commands_protocol():
    swift = (ROOT / "Sources/S3MirrorCLI/Session/SessionAnswer.swift").read_text()
    assert int(re.search(r"protocolVersion = (\d+)", swift).group(1)) == _session.PROTOCOL
