"""What all packages share: the command made ready to ship, its manual pages, its completions, its files.

    python3 Scripts/support/packagetree.py --s3mirror PATH --manual DIR    writes manual pages and completions to DIR
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import manpages

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OPERATIONS = ROOT / "Sources" / "Operations"
# The file name that each shell searches.
COMPLETIONS = {"bash": "s3mirror", "zsh": "_s3mirror", "fish": "s3mirror.fish"}
# Libraries that every distribution with the named glibc has: glibc itself, and the C++ runtime and zlib, which Debian's dpkg, apt
# and similar tools need. All other libraries are shipped with the command.
BASE = re.compile(r"^(ld-linux[\w.-]*|lib(c|m|dl|rt|pthread|resolv|util|gcc_s|stdc\+\+|z))\.so(\.\d+)*$")


def run(*command, **options):
    """What a command printed; ends the script with the command's own words if it fails."""
    done = subprocess.run([str(each) for each in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def version_of(binary):
    found = run(binary, "--version").strip()
    if not re.fullmatch(r"\d+\.\d+\.\d+", found):
        sys.exit(f"{binary} --version says “{found}”, which is no version of three numbers")
    return found


def release_time():
    """Seconds since 1970: that of the commit, so that one commit makes one package, byte by byte."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given) if given else int(run("git", "-C", ROOT, "log", "-1", "--format=%ct") or time.time())


def machine():
    return run("uname", "-m").strip()


def ship(binary, target):
    """The command without symbols, and without a path to libraries that only the build's machine has."""
    needs_swift = [each for each in needed(binary) if "swift" in each or "dispatch" in each or "Foundation" in each]
    if needs_swift:
        sys.exit(f"{binary} needs {', '.join(needs_swift)}; build it with --static-swift-stdlib, as Scripts/package does")
    target.parent.mkdir(parents=True, exist_ok=True)
    run("strip", "--strip-unneeded", "--remove-section=.comment", "--remove-section=.note", "-o", target, binary)
    run("patchelf", "--remove-rpath", target)
    target.chmod(0o755)


def needed(binary):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "--dynamic", "--wide", binary))


def libraries(binary):
    """Every library that a plain system may lack, by name: where it is, those of libraries included."""
    found = {}
    for name, path in re.findall(r"^\s*(\S+) => (\S+) \(0x", run("ldd", binary), re.MULTILINE):
        if not BASE.match(name):
            found[name] = pathlib.Path(path).resolve()
    missing = re.findall(r"^\s*(\S+) => not found", run("ldd", binary), re.MULTILINE)
    if missing:
        sys.exit(f"{binary} lacks {', '.join(missing)} on this machine")
    return found


def manual(binary, directory):
    """Writes the manual pages, as they are."""
    command = [str(binary)]
    dump = json.loads(run(*command, "--experimental-dump-help"))
    usages = {"": manpages.usage_of(run(*command, "--help"))}
    for each in dump["command"]["subcommands"]:
        usages[each["commandName"]] = manpages.usage_of(run(*command, "help", each["commandName"]))
    date = time.strftime("%Y-%m-%d", time.gmtime(release_time()))
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in manpages.pages(dump, usages, version_of(binary), date).items():
        (directory / name).write_text(page, encoding="utf-8")


def completions(binary, directories):
    """Writes the completions; `directories` has a directory for each shell."""
    for shell, name in COMPLETIONS.items():
        directories[shell].mkdir(parents=True, exist_ok=True)
        script = run(binary, "--generate-completion-script", shell)
        # The shell reads this file and does not run it, so a first line that names an interpreter is wrong.
        script = re.sub(r"\A#!.*\n", "", script)
        (directories[shell] / name).write_text(script, encoding="utf-8")


def licences(paths, directory):
    """Copies the copyright files of the Debian packages that libraries come from, and says which come from none."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in paths:
        owner = owning_package(path)
        source = pathlib.Path("/usr/share/doc") / owner / "copyright"
        if not owner or not source.exists():
            sys.exit(f"{path} belongs to no Debian package with a copyright file, so its licence cannot be shipped")
        shutil.copyfile(source, directory / f"{owner}.txt")


def owning_package(path):
    # dpkg knows a file by the name under which it was unpacked, with or without /usr.
    for name in (str(path), str(path).removeprefix("/usr")):
        found = subprocess.run(["dpkg", "--search", name], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return re.split(r"[:,]", found.stdout)[0]
    return ""


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--s3mirror", type=pathlib.Path, required=True)
    parser.add_argument("--place", type=pathlib.Path, required=True)
    given = parser.parse_args()
    (given.place / "dist").mkdir(parents=True, exist_ok=True)
    return given


def fresh(directory):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


if __name__ == "__main__":
    own = argparse.ArgumentParser()
    own.add_argument("--s3mirror", type=pathlib.Path, required=True)
    own.add_argument("--manual", type=pathlib.Path, required=True)
    asked = own.parse_args()
    manual(asked.s3mirror, asked.manual)
    completions(asked.s3mirror, dict.fromkeys(COMPLETIONS, asked.manual))
