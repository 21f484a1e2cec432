"""Tries a package where nothing else is installed. Used by Scripts/package test, which starts a server for it.

    python3 Scripts/support/packagetest.py deb|tar|wheel --place DIR

The clean place is a Debian of the smallest kind, made by debootstrap and thrown away as it was after each trial: what a trial writes
lies in memory. Where there is no debootstrap, or no right to use it, the package is unpacked here, and the command is started with an
empty environment; that is said.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from packagetree import BASE, ROOT, run

RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
SERVER = (
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_EC2_METADATA_DISABLED", "S3MIRROR_TEST_BUCKET",
)
# Uses the command as a new user would: uploads, downloads and compares.
ROUND = """
set -eu
work=$(mktemp -d)
cd "$work"
mkdir out
head -c 20000000 /dev/urandom >out/large
echo one >"out/näme with spaces"
remote=s3://$S3MIRROR_TEST_BUCKET/package-$KIND
"$COMMAND" --version
"$COMMAND" upload out "$remote"
"$COMMAND" verify out "$remote"
test "$("$COMMAND" ls -r "$remote" | wc -l)" = 2
"$COMMAND" download "$remote/" back
cmp out/large back/large
"$COMMAND" run --upload out="$remote-run",local=out,interval=0 -- sh -c 'echo two >"$S3MIRROR_OUT/two"'
"$COMMAND" ls "$remote-run/two"
echo "moved there and back"
"""
# README.md's example with a training loop: checkpoints are written under other names and renamed.
LOOP = """
import os, pickle

def train(dataset, checkpoints):
    assert (dataset / "x").read_text() == "sample\\n"
    for step in range(3):
        with open(checkpoints / ".tmp", "wb") as file:
            pickle.dump({"step": step, "weights": os.urandom(1 << 20)}, file)
        os.replace(checkpoints / ".tmp", checkpoints / f"checkpoint-{step}.pt")

"""
README = """
set -eu
cd "$(mktemp -d)"
mkdir data
echo sample >data/x
place=s3://$S3MIRROR_TEST_BUCKET/readme-$KIND
"$COMMAND" upload data "$place/data"
"$PYTHON" -c "$PROGRAM"
"$COMMAND" verify outputs "$place/outputs"
test "$("$COMMAND" ls -r "$place/outputs" | wc -l)" = 3
echo "the README's example streamed a loop's checkpoints"
"""
# Without its command the wheel reports this once, from the package and from the script.
GONE = """
set -u
rm "$BINARY"
"$PYTHON" -c 'import s3mirror; s3mirror.Mirror().__enter__()' 2>said && exit 1
tail -n 1 said | grep -q "s3mirror._errors.CommandError: the command s3mirror is not in this package" || { cat said; exit 1; }
"$COMMAND" --version 2>said && exit 1
test "$(wc -l <said)" = 1 && grep "install the wheel of this platform again" said
"""
# ldd names missing libraries. A library outside of the package must belong to the base system.
LIBRARIES = r"""
set -eu
for each in "$@"; do LD_LIBRARY_PATH= ldd "$each"; done | sort -u
"""


class Clean:
    """A small Debian: commands run in it as root, in a mount namespace of their own, on a layer that vanishes with them."""

    def __init__(self, place):
        self.root = place / f"root-{RELEASE}"

    def make(self):
        if os.geteuid() != 0 or not shutil.which("debootstrap"):
            return False
        if not (self.root / "s3mirror-ready").exists():
            print(f"making a Debian {RELEASE} of the smallest kind", file=sys.stderr)
            shutil.rmtree(self.root, ignore_errors=True)
            run("debootstrap", "--variant=minbase", RELEASE, self.root, MIRROR)
            (self.root / "s3mirror-ready").touch()
        return True

    def do(self, script, binds, environment):
        """Runs a shell's script; `binds` are directories of this machine by their place in the other."""
        with tempfile.TemporaryDirectory() as scratch:
            lines = [
                "set -eu", "mount -t tmpfs none $SCRATCH", "mkdir $SCRATCH/upper $SCRATCH/work $SCRATCH/root",
                "mount -t overlay overlay -o lowerdir=$ROOT,upperdir=$SCRATCH/upper,workdir=$SCRATCH/work $SCRATCH/root",
                "mount -t proc proc $SCRATCH/root/proc", "mount --rbind /dev $SCRATCH/root/dev",
                "cat /etc/resolv.conf >$SCRATCH/root/etc/resolv.conf",
                "cp /etc/hosts $SCRATCH/root/etc/hosts",
                # This machine's own settings of package sources: mirrors, certificates.
                "cp -r /etc/apt/apt.conf.d/. $SCRATCH/root/etc/apt/apt.conf.d/",
            ]
            for inside, outside in binds.items():
                lines += [f"mkdir -p $SCRATCH/root{inside}", f"mount --bind {outside} $SCRATCH/root{inside}"]
            variables = " ".join(f'{name}="${name}"' for name in environment)
            lines.append(
                f"exec chroot $SCRATCH/root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root {variables} sh -c \"$SCRIPT\""
            )
            given = {**os.environ, **environment, "SCRATCH": scratch, "ROOT": str(self.root), "SCRIPT": script}
            return run("unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), env=given)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("deb", "tar", "wheel"))
    parser.add_argument("--place", type=pathlib.Path, required=True)
    given = parser.parse_args()
    pattern = {"deb": "*.deb", "tar": "*.tar.gz", "wheel": "*.whl"}[given.kind]
    [package] = (given.place / "dist").glob(pattern)
    environment = {name: os.environ[name] for name in SERVER if name in os.environ}
    environment |= {"KIND": given.kind, "PACKAGE": package.name}
    clean = Clean(given.place)
    {"deb": deb, "tar": tarball, "wheel": wheel}[given.kind](package, clean if clean.make() else None, environment)
    print(f"{package.name}: works in a clean place", file=sys.stderr)


def deb(package, clean, environment):
    if clean is None:
        with tempfile.TemporaryDirectory() as place:
            run("dpkg-deb", "-x", package, place)
            print("no debootstrap here: the package was unpacked, not installed", file=sys.stderr)
            alone(pathlib.Path(place) / "usr/bin/s3mirror", environment)
        return
    script = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive COMMAND=s3mirror
apt-get -qq update
apt-get -qq install -y --no-install-recommends /package/$PACKAGE man-db bash-completion zsh fish systemd >/dev/null
dpkg --verify s3mirror
{ROUND}
# dpkg of a minimal image leaves manual pages out only where it is told to.
for each in "" -run -watch -upload -download -restore -ls -verify -status -flush -log; do
  man --warnings s3mirror$each 2>&1 >/dev/null | grep . && exit 1
  man s3mirror$each | grep -q .
done
bash -c '. /usr/share/bash-completion/bash_completion; _comp_load s3mirror 2>/dev/null || _completion_loader s3mirror || true
  complete -p s3mirror'
zsh -c 'autoload -U compinit && compinit -u && [[ $_comps[s3mirror] == _s3mirror ]]'
fish -c 'complete --do-complete "s3mirror wat" | grep -q watch'
systemd-analyze verify /lib/systemd/system/s3mirror@.service
mkdir -p /etc/s3mirror && cp /usr/share/doc/s3mirror/examples/systemd/example.json /etc/s3mirror/test.json
exposure=$(systemd-analyze security --offline=yes --threshold=25 /lib/systemd/system/s3mirror@.service)
printf '%s\\n' "$exposure" | tail -n 1
apt-get -qq purge -y s3mirror >/dev/null
test ! -e /usr/bin/s3mirror
echo "installed, used and removed"
"""
    print(clean.do(script, {"/package": package.parent}, environment), end="", file=sys.stderr)


def tarball(package, clean, environment):
    unpack = 'mkdir /opt/s3mirror && tar -xzf "/package/$PACKAGE" -C /opt/s3mirror --strip-components=1'
    if clean is None:
        with tempfile.TemporaryDirectory() as place:
            run("tar", "-xzf", package, "-C", place, "--strip-components=1")
            alone(pathlib.Path(place) / "bin/s3mirror", environment)
        return
    script = f"""
set -eu
{unpack}
ln -s /opt/s3mirror/bin/s3mirror /usr/local/bin/s3mirror
export COMMAND=/usr/local/bin/s3mirror
{ROUND}
set -- /opt/s3mirror/bin/s3mirror /opt/s3mirror/lib/*
{LIBRARIES}
"""
    told = clean.do(script, {"/package": package.parent}, environment)
    print(told.partition("\n\t")[0], file=sys.stderr)
    own_libraries(told, "/opt/s3mirror/lib")


def wheel(package, clean, environment):
    """In a new venv of this machine's Python with nothing but it on PATH; then in the small Debian, whose Python is its own."""
    with tempfile.TemporaryDirectory() as place:
        venv = pathlib.Path(place) / "venv"
        run(sys.executable, "-m", "venv", venv)
        run(venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", package)
        [binary] = venv.glob("lib/python*/site-packages/s3mirror/_bin/s3mirror")
        path = {"PATH": f"{venv}/bin:/usr/bin:/bin", "HOME": place, "COMMAND": str(venv / "bin/s3mirror")}
        if shutil.which("swift", path=path["PATH"]):
            sys.exit("there is a swift on the clean PATH")
        imported = "import s3mirror, pathlib; print(pathlib.Path(s3mirror.__file__).parent)"
        run(venv / "bin/python", "-c", imported, env=path, cwd=place)
        path |= {"PYTHON": str(venv / "bin/python"), "PROGRAM": program("here"), "BINARY": str(binary)}
        print(run("sh", "-c", ROUND, env={**environment, **path}), end="", file=sys.stderr)
        print(run("sh", "-c", README, env={**environment, **path, "KIND": "here"}), end="", file=sys.stderr)
        own_libraries(run("ldd", binary, *binary.parents[2].glob("s3mirror.libs/*")), str(binary.parents[2]))
        print(run("sh", "-c", GONE, env={**environment, **path}, cwd=place), end="", file=sys.stderr)
    if clean is None:
        return
    script = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends python3-venv >/dev/null
python3 -m venv /opt/venv
/opt/venv/bin/pip install --quiet --no-index --no-deps "/package/$PACKAGE"
export COMMAND=/opt/venv/bin/s3mirror PYTHON=/opt/venv/bin/python
{ROUND}
{README}
"""
    environment |= {"PROGRAM": program(environment["KIND"])}
    print(clean.do(script, {"/package": package.parent}, environment), end="", file=sys.stderr)


def program(place):
    """The Python of README.md as it stands, but for the bucket's name."""
    [shown] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return LOOP + shown.replace("s3://bucket/", f"s3://{os.environ['S3MIRROR_TEST_BUCKET']}/readme-{place}/")


def alone(binary, environment):
    """With nothing in the environment but the server."""
    given = {**environment, "COMMAND": str(binary), "PATH": "/usr/bin:/bin", "HOME": tempfile.gettempdir()}
    print(run("env", "-i", *(f"{name}={value}" for name, value in given.items()), "sh", "-c", ROUND), end="", file=sys.stderr)


def own_libraries(told, place):
    """Fails unless every library is of the package or of the base system."""
    for name in re.findall(r"^\s*(\S+) => not found", told, re.MULTILINE):
        sys.exit(f"{name} is missing on a plain system")
    for name, path in re.findall(r"^\s*(\S+) => (\S+) \(0x", told, re.MULTILINE):
        if not BASE.match(name) and not os.path.realpath(path).startswith((place, os.path.realpath(place))):
            sys.exit(f"{name} comes from {path}, which a plain system lacks")


if __name__ == "__main__":
    sys.exit(main())
