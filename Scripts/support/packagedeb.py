"""Makes the Debian package. Used by Scripts/package.

The dependencies are those that dpkg-shlibdeps finds in the command, on the release of Debian that it is built on.
"""

import gzip
import os
import shutil
import sys
import time

import packagetree
from packagetree import OPERATIONS, ROOT, run

MAINTAINER = "The authors of S3 Mirror <s3mirror@s3mirror.invalid>"
DESCRIPTION = """\
Description: stream changed files of a training job to S3
 S3 Mirror publishes the files of a directory to S3 as they change. The kernel
 reports which files changed, so nothing is walked and no bucket is listed
 between entry and exit. Files are published whole or not at all, markers after
 the data that they name, and interrupted uploads are continued.
 .
 The command wraps any program (s3mirror run), watches directories on its own
 (s3mirror watch), and has one-shot uploads, downloads and comparisons.
"""


def main():
    given = packagetree.arguments(__doc__)
    version = packagetree.version_of(given.s3mirror)
    revision = f"{version}-1"
    tree = packagetree.fresh(given.place / "deb")
    binary = tree / "usr/bin/s3mirror"
    packagetree.ship(given.s3mirror, binary)
    packagetree.manual(given.s3mirror, tree / "usr/share/man/man1")
    for page in sorted((tree / "usr/share/man/man1").iterdir()):
        compress(page)
    packagetree.completions(
        given.s3mirror,
        {
            "bash": tree / "usr/share/bash-completion/completions",
            "zsh": tree / "usr/share/zsh/vendor-completions",
            "fish": tree / "usr/share/fish/vendor_completions.d",
        },
    )
    unit = tree / "lib/systemd/system/s3mirror@.service"
    unit.parent.mkdir(parents=True)
    shutil.copyfile(OPERATIONS / "systemd/s3mirror@.service", unit)
    documents(tree / "usr/share/doc/s3mirror", revision)
    overrides = tree / "usr/share/lintian/overrides/s3mirror"
    overrides.parent.mkdir(parents=True)
    shutil.copyfile(OPERATIONS / "debian/lintian-overrides", overrides)
    (tree / "DEBIAN").mkdir()
    architecture = run("dpkg", "--print-architecture").strip()
    control = (
        f"Package: s3mirror\nVersion: {revision}\nSection: net\nPriority: optional\nArchitecture: {architecture}\n"
        f"Maintainer: {MAINTAINER}\nInstalled-Size: {kibibytes(tree)}\nDepends: {dependencies(given.place, binary)}\n"
        f"Recommends: ca-certificates\n{DESCRIPTION}"
    )
    (tree / "DEBIAN/control").write_text(control, encoding="utf-8")
    sums = [f"{run('md5sum', each).split()[0]}  {each.relative_to(tree)}" for each in files(tree)]
    (tree / "DEBIAN/md5sums").write_text("\n".join(sums) + "\n", encoding="utf-8")
    modes(tree)
    target = given.place / "dist" / f"s3mirror_{revision}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, target, env=environment())
    print(target)
    return lint(target)


def documents(place, revision):
    place.mkdir(parents=True)
    year = time.strftime("%Y", time.gmtime(packagetree.release_time()))
    notice = (OPERATIONS / "debian/copyright").read_text(encoding="utf-8").replace("@YEAR@", year)
    (place / "copyright").write_text(notice, encoding="utf-8")
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(packagetree.release_time()))
    entry = f"s3mirror ({revision}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {MAINTAINER}  {date}\n"
    (place / "changelog.Debian").write_text(entry, encoding="utf-8")
    shutil.copyfile(ROOT / "CHANGELOG.md", place / "changelog")
    compress(place / "changelog.Debian")
    compress(place / "changelog")
    examples = place / "examples"
    for source in sorted(OPERATIONS.rglob("*")):
        if source.is_file() and source.suffix in (".json", ".yaml", ".sh", ".sbatch"):
            target = examples / source.relative_to(OPERATIONS)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def compress(path):
    """As Debian wants it: the best that gzip can, and no time or name inside."""
    with gzip.GzipFile(filename="", mode="wb", fileobj=open(f"{path}.gz", "wb"), compresslevel=9, mtime=0) as target:
        target.write(path.read_bytes())
    path.unlink()


def dependencies(place, binary):
    """dpkg-shlibdeps wants a source package around it."""
    source = packagetree.fresh(place / "shlibdeps")
    (source / "debian").mkdir()
    (source / "debian/control").write_text("Source: s3mirror\n\nPackage: s3mirror\nArchitecture: any\n", encoding="utf-8")
    found = run("dpkg-shlibdeps", "-O", f"-e{binary.resolve()}", cwd=source)
    return found.split("shlibs:Depends=", 1)[1].strip()


def files(tree):
    return [each for each in sorted(tree.rglob("*")) if each.is_file() and "DEBIAN" not in each.relative_to(tree).parts]


def kibibytes(tree):
    """deb-substvars(5), Installed-Size: each file rounded up, and one for everything else."""
    return sum(-(-each.stat().st_size // 1024) for each in files(tree)) + sum(1 for each in tree.rglob("*") if each.is_dir())


def modes(tree):
    for each in tree.rglob("*"):
        is_program = each.is_dir() or each.parent.name == "bin"
        each.chmod(0o755 if is_program else 0o644)


def environment():
    return {**os.environ, "SOURCE_DATE_EPOCH": str(packagetree.release_time())}


def lint(target):
    if not shutil.which("lintian"):
        print("lintian is not installed, so the package was not checked", file=sys.stderr)
        return 0
    found = run("lintian", "--fail-on", "none", "--display-info", target)
    problems = [line for line in found.splitlines() if line[:2] in ("E:", "W:")]
    print(found, end="", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
