"""Makes the wheel: the Python package of Sources/Python with the command at s3mirror/_bin/s3mirror. Used by Scripts/package.

auditwheel grafts the libraries that a plain system may lack, and gives the wheel the manylinux tag that its glibc deserves.
"""

import base64
import hashlib
import os
import pathlib
import re
import shutil
import stat
import sys
import time
import zipfile

import packagetree
from packagetree import ROOT, run

# PEP 600 counts these libraries among those of every system, but a container without its distribution's Python lacks them.
NOT_EVERYWHERE = ("libexpat.so.1",)

# Becomes the command. It locates the package without an import, which would take as long as the command itself.
SCRIPT = """\
#!python
# The script of a wheel of s3mirror.
import importlib.util
import os
import sys

place = importlib.util.find_spec("s3mirror").submodule_search_locations[0]
command = os.path.join(place, "_bin", "s3mirror")
try:
    os.execv(command, [command, *sys.argv[1:]])
except OSError as error:
    sys.exit(f"s3mirror: {command} cannot be started: {error.strerror}; install the wheel of this platform again")
"""


def main():
    given = packagetree.arguments(__doc__)
    version = packagetree.version_of(given.s3mirror)
    source = pathlib.Path(os.environ.get("S3MIRROR_PYTHON_SOURCE", ROOT / "Sources/Python"))
    if not (source / "pyproject.toml").exists():
        sys.exit(f"{source} has no pyproject.toml; S3MIRROR_PYTHON_SOURCE names another place of the Python package")
    work = packagetree.fresh(given.place / "wheel")
    tree = unpacked(source, work)
    check(tree)
    binary = tree / "s3mirror/_bin/s3mirror"
    packagetree.ship(given.s3mirror, binary)
    information = rename(tree, version)
    script(tree, version)
    extra = work / "libraries"
    extra.mkdir()
    found = packagetree.libraries(binary)
    packagetree.licences(found.values(), information / "licenses/libraries")
    for name in NOT_EVERYWHERE:
        hide(binary, name, found[name], extra)
    # Any tag for this machine. auditwheel finds the correct one.
    plain = pack(tree, information, work, f"py3-none-linux_{packagetree.machine()}")
    repaired = work / "repaired"
    paths = f"{extra}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    run("auditwheel", "repair", "--wheel-dir", repaired, plain, env={**os.environ, "LD_LIBRARY_PATH": paths})
    [wheel] = repaired.glob("*.whl")
    if "manylinux" not in wheel.name:
        sys.exit(f"auditwheel gave {wheel.name} no manylinux tag")
    for older in (given.place / "dist").glob("*.whl"):
        older.unlink()
    target = given.place / "dist" / wheel.name
    shutil.copyfile(wheel, target)
    print(run("twine", "check", "--strict", target), end="", file=sys.stderr)
    print(run("auditwheel", "show", target), end="", file=sys.stderr)
    print(target)


def unpacked(source, work):
    """The wheel that the Python package makes of itself, as a directory. The source is copied: backends leave files in it."""
    copy = work / "source"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__", ".*_cache", ".venv"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", work, copy)
    [wheel] = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "tree")
    wheel.unlink()
    return work / "tree"


def script(tree, version):
    """The command on PATH (PEP 427: pip puts its own Python into the first line)."""
    target = tree / f"s3mirror-{version}.data/scripts/s3mirror"
    target.parent.mkdir(parents=True)
    target.write_text(SCRIPT, encoding="utf-8")
    target.chmod(0o755)


def check(tree):
    for entries in tree.glob("*.dist-info/entry_points.txt"):
        if re.search(r"^\s*s3mirror\s*=", entries.read_text(encoding="utf-8"), re.MULTILINE):
            sys.exit("the Python package has a console script s3mirror of its own; the wheel brings the command")
    if not (tree / "s3mirror/py.typed").exists():
        sys.exit("the Python package has no py.typed, so its types would not be seen")


def rename(tree, version):
    """Gives the wheel the version of the command, whatever the package says, and returns its dist-info directory."""
    [information] = tree.glob("*.dist-info")
    metadata = information / "METADATA"
    text = metadata.read_text(encoding="utf-8")
    metadata.write_text(re.sub(r"^Version: .*$", f"Version: {version}", text, count=1, flags=re.MULTILINE), encoding="utf-8")
    own = tree / "s3mirror/_version.py"
    if own.exists():
        text = own.read_text(encoding="utf-8")
        own.write_text(re.sub(r"^__version__ = .*$", f'__version__ = "{version}"', text, flags=re.MULTILINE), encoding="utf-8")
    target = information.with_name(f"s3mirror-{version}.dist-info")
    return information.rename(target)


def hide(binary, name, path, extra):
    """Gives a library a name that auditwheel does not pass over."""
    renamed = name.replace(".so", "-s3mirror.so", 1)
    shutil.copyfile(path, extra / renamed)
    run("patchelf", "--set-soname", renamed, extra / renamed)
    run("patchelf", "--replace-needed", name, renamed, binary)


def pack(tree, information, work, tag):
    """Writes the wheel, with a RECORD of what is in it (PEP 427)."""
    wheel = information / "WHEEL"
    lines = [each for each in wheel.read_text(encoding="utf-8").splitlines() if not each.startswith(("Tag:", "Root-Is"))]
    lines = [each for each in lines if each] + ["Root-Is-Purelib: false", f"Tag: {tag}"]
    wheel.write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = information / "RECORD"
    record.unlink(missing_ok=True)
    name = information.name.removesuffix(".dist-info")
    moment = time.gmtime(max(packagetree.release_time(), 315_532_800))[:6]  # a zip file knows no time before 1980
    target = work / f"{name}-{tag}.whl"
    rows = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in [each for each in sorted(tree.rglob("*")) if each.is_file()]:
            content = path.read_bytes()
            inside = path.relative_to(tree).as_posix()
            add(archive, inside, content, moment, 0o755 if os.access(path, os.X_OK) else 0o644)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f"{inside},sha256={digest},{len(content)}\n")
        inside = record.relative_to(tree).as_posix()
        add(archive, inside, ("".join(rows) + f"{inside},,\n").encode(), moment, 0o644)
    return target


def add(archive, inside, content, moment, mode):
    entry = zipfile.ZipInfo(inside, moment)
    entry.external_attr = (stat.S_IFREG | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    sys.exit(main())
