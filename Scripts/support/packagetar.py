"""Makes the tarball: the command with its libraries, for any distribution that has the named glibc. Used by Scripts/package.

It runs from wherever it is unpacked: the command finds its libraries beside it.
"""

import re
import shutil
import sys
import tarfile

import packagetree
from packagetree import OPERATIONS, ROOT, run

README = """\
S3 Mirror {version} for {machine} with glibc {glibc} or later.

    bin/s3mirror            the command; it runs from here, or by a symbolic link from anywhere
    lib/                    the libraries that come with it, found beside the command
    share/man               manual pages: man -M share/man s3mirror
    share/bash-completion, share/zsh, share/fish
                            completions
    share/s3mirror          a systemd unit, recipes for Slurm and Kubernetes, IAM policies
    share/licenses          the licences of the command and of the libraries
"""


def main():
    given = packagetree.arguments(__doc__)
    version = packagetree.version_of(given.s3mirror)
    work = packagetree.fresh(given.place / "tar")
    tree = work / f"s3mirror-{version}-linux-{packagetree.machine()}"
    binary = tree / "bin/s3mirror"
    packagetree.ship(given.s3mirror, binary)
    found = packagetree.libraries(binary)
    (tree / "lib").mkdir()
    for name, path in sorted(found.items()):
        library = tree / "lib" / name
        shutil.copyfile(path, library)
        run("patchelf", "--set-rpath", "$ORIGIN", library)
        library.chmod(0o644)
    run("patchelf", "--set-rpath", "$ORIGIN/../lib", binary)
    packagetree.licences(found.values(), tree / "share/licenses/libraries")
    shutil.copyfile(ROOT / "LICENSE", tree / "share/licenses/s3mirror.txt")
    share = tree / "share"
    packagetree.manual(given.s3mirror, share / "man/man1")
    packagetree.completions(
        given.s3mirror,
        {
            "bash": share / "bash-completion/completions",
            "zsh": share / "zsh/site-functions",
            "fish": share / "fish/vendor_completions.d",
        },
    )
    shutil.copytree(OPERATIONS, share / "s3mirror", ignore=shutil.ignore_patterns("debian"))
    glibc = newest_glibc([binary, *(tree / "lib").iterdir()])
    text = README.format(version=version, machine=packagetree.machine(), glibc=glibc)
    (tree / "README").write_text(text, encoding="utf-8")
    target = given.place / "dist" / f"{tree.name}-glibc{glibc}.tar.gz"
    for older in (given.place / "dist").glob("*.tar.gz"):
        older.unlink()
    pack(tree, target)
    print(target)


def newest_glibc(paths):
    """The newest version of glibc's symbols that any of the files asks for."""
    found = set()
    for path in paths:
        found |= set(re.findall(r"\bGLIBC_(\d+\.\d+)", run("readelf", "--version-info", "--wide", path)))
    return max(found, key=lambda each: tuple(int(number) for number in each.split(".")))


def pack(tree, target):
    """One order, one owner and one time for all, so that equal trees are equal archives."""
    moment = packagetree.release_time()

    def plain(entry):
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = moment
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with tarfile.open(target, "w:gz", compresslevel=9, format=tarfile.GNU_FORMAT) as archive:
        for path in [tree, *sorted(tree.rglob("*"))]:
            archive.add(path, path.relative_to(tree.parent), recursive=False, filter=plain)


if __name__ == "__main__":
    sys.exit(main())
