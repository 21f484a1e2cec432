"""Commands that are missing, or of another version."""

import stat
import subprocess
import sys

import packagewheel
import pytest

from s3mirror import CommandError, Mirror, SessionError, VersionError, _command, _session

from conftest import ROOT


def fake(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_command_that_is_missing(home, monkeypatch):
    monkeypatch.setenv("S3MIRROR_BIN", str(home / "nothing"))
    with pytest.raises(CommandError, match="S3MIRROR_BIN"), Mirror():
        pass
    monkeypatch.delenv("S3MIRROR_BIN")
    monkeypatch.setenv("PATH", str(home))
    with pytest.raises(CommandError, match="nor on PATH"), Mirror():
        pass
    fake(home / "s3mirror", "no program")
    with pytest.raises(CommandError, match="cannot be started"), Mirror():
        pass


def test_a_wheel_whose_command_is_missing(home, monkeypatch):
    """The wheel's script on PATH is not taken for the command that it starts; one that comes later on PATH is."""
    monkeypatch.delenv("S3MIRROR_BIN")
    for each in ("wheel", "later"):
        (home / each).mkdir()
    fake(home / "wheel" / "s3mirror", packagewheel.SCRIPT.replace("#!python", f"#!{sys.executable}"))
    monkeypatch.setenv("PATH", f"{home}/wheel:{home}/later")
    with pytest.raises(CommandError, match=r"not in this package .* nor on PATH"), Mirror():
        pass
    later = fake(home / "later" / "s3mirror", "#!/bin/sh\n")
    assert _command.find() == later
    environment = {"PYTHONPATH": str(ROOT / "Sources" / "Python"), "PATH": "/usr/bin:/bin"}
    started = subprocess.run(
        [home / "wheel" / "s3mirror", "--version"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 1
    assert "install the wheel of this platform again" in started.stderr
    assert len(started.stderr.splitlines()) == 1


def test_the_packages_own_command_comes_before_the_one_on_path(home, monkeypatch):
    monkeypatch.delenv("S3MIRROR_BIN")
    monkeypatch.setenv("PATH", str(home))
    on_path = fake(home / "s3mirror", "#!/bin/sh\n")
    assert _command.find() == on_path
    (home / "package" / "_bin").mkdir(parents=True)
    own = fake(home / "package" / "_bin" / "s3mirror", "#!/bin/sh\n")
    monkeypatch.setattr(_command, "__file__", str(home / "package" / "_command.py"))
    assert _command.find() == own


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("#!/bin/sh\nexit 2\n", VersionError, "ended with status 2 before it said hello"),
        (
            '#!/bin/bash\necho \'{"hello":{"protocol":1,"version":"9.9.9","pid":1}}\' >&"$5"\nexec sleep 600\n',
            VersionError,
            "is s3mirror 9.9.9",
        ),
        (
            '#!/bin/bash\necho \'{"hello":{"protocol":2,"version":"0.1.0","pid":1}}\' >&"$5"\nexec sleep 600\n',
            VersionError,
            "protocol 2",
        ),
        ('#!/bin/bash\necho nonsense >&"$5"\nexec sleep 600\n', SessionError, "pipes cannot be used"),
        ("#!/bin/sh\nexec sleep 600\n", SessionError, "said nothing"),
    ],
)
def test_a_command_that_is_another(home, monkeypatch, text, kind, words):
    monkeypatch.setattr(_session, "HELLO_SECONDS", 1.0 if "nothing" in words else 30.0)
    monkeypatch.setenv("S3MIRROR_BIN", fake(home / "other", text))
    with pytest.raises(kind, match=words), Mirror():
        pass
