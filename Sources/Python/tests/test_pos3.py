"""pos3's calls: the same program, run by pos3 0.4.0 and by this package on the same bucket, with what arrived compared.

Where this package is safer on purpose, the test says so and shows both.
"""

import importlib.metadata
import os
import pathlib
import subprocess
import sys
import textwrap
import warnings

import pytest

import s3mirror

from conftest import ROOT, Prefix

VERSION = "0.4.0"
IMPORTS = {"pos3": "import pos3", "s3mirror": "import s3mirror as pos3"}


def missing():
    try:
        found = importlib.metadata.version("pos3")
    except importlib.metadata.PackageNotFoundError:
        return f"pos3 {VERSION} is not installed: pip install -r Scripts/support/requirements-pos3.txt"
    return None if found == VERSION else f"pos3 is {found}, and {VERSION} is what is compared with"


pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Run:
    """What a program did that got `pos3`, a URL and a directory."""

    def __init__(self, package, server, home, seed, files, program):
        self.prefix = Prefix(server)
        for key, body in seed.items():
            self.prefix.put(key, body)
        self.directory = home / f"{package}-{self.prefix.name}"
        self.directory.mkdir()
        for name, body in files.items():
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            (self.directory / name).write_bytes(body)
        text = f"{IMPORTS[package]}\nimport pathlib, sys, threading\nurl = sys.argv[1]\n{textwrap.dedent(program)}"
        self.ending = subprocess.run(
            [sys.executable, "-c", text, self.prefix.url()],
            cwd=self.directory,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "Sources" / "Python"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "HOME": str(self.directory / ".home"),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # The prefix's own name differs from run to run. pos3's cache has a folder more, named by the profile.
        output = self.ending.stdout.replace(str(self.directory), "DIRECTORY")
        self.output = output.replace(self.prefix.name, "PREFIX").replace("/s3/_/", "/s3/")

    @property
    def objects(self):
        """pos3 makes an object for each directory, this package only on request: files are what is compared."""
        return {key: body for key, body in self.prefix.contents().items() if not key.endswith("/")}

    @property
    def files(self):
        found = {}
        for each in sorted(self.directory.rglob("*")):
            name = (
                str(each.relative_to(self.directory))
                .replace(self.prefix.name, "PREFIX")
                .replace("/s3/_/", "/s3/")
            )
            if each.is_file() and not name.startswith((".home/.local", ".home/.cache/s3mirror")):
                found[name] = each.read_bytes()
        return found


@pytest.fixture
def both(server, home):
    def run(program, seed=None, files=None):
        return [Run(package, server, home, seed or {}, files or {}, program) for package in IMPORTS]

    return run


def same(theirs, ours):
    assert theirs.ending.returncode == 0, theirs.ending.stderr
    assert ours.ending.returncode == 0, ours.ending.stderr
    assert ours.output == theirs.output
    assert ours.objects == theirs.objects
    assert ours.files == theirs.files


DATA = {"data/a": b"1", "data/sub/b": b"22", "data/sub/deep/c": b"", "database": b"no part of it"}


def test_download_to_the_cache(both):
    same(*both("with pos3.mirror(show_progress=False):\n    print(pos3.download(url + '/data'))", DATA))


def test_download_to_a_place(both):
    same(
        *both(
            "with pos3.mirror(show_progress=False):\n    print(pos3.download(url + '/data', local='here'))",
            DATA,
        )
    )


def test_download_of_one_object(both):
    same(
        *both("with pos3.mirror(show_progress=False):\n    pos3.download(url + '/data/a', local='one')", DATA)
    )


def test_download_makes_the_copy_match(both):
    program = "with pos3.mirror(show_progress=False):\n    pos3.download(url + '/data', local='here')"
    same(*both(program, DATA, {"here/a": b"other size", "here/old": b"goes"}))


def test_download_without_delete(both):
    program = (
        "with pos3.mirror(show_progress=False):\n    pos3.download(url + '/data', local='here', delete=False)"
    )
    same(*both(program, DATA, {"here/old": b"stays"}))


def test_download_with_exclude(both):
    program = (
        "with pos3.mirror(show_progress=False):\n    pos3.download(url + '/data', local='h', exclude=['b'])"
    )
    same(*both(program, DATA))


def test_upload(both):
    program = """
        with pos3.mirror(show_progress=False):
            out = pos3.upload(url + '/out', local='out')
            (out / 'new').write_bytes(b'3')
        """
    same(*both(program, {"out/old": b"goes", "output": b"stays"}, {"out/a": b"1", "out/sub/b": b"2"}))


def test_upload_to_the_cache(both):
    program = """
        with pos3.mirror(show_progress=False):
            out = pos3.upload(url + '/out', interval=None)
            print(out)
            out.mkdir(parents=True, exist_ok=True)
            (out / 'new').write_bytes(b'3')
        """
    same(*both(program))


def test_upload_without_delete_and_with_exclude(both):
    program = """
        with pos3.mirror(show_progress=False):
            pos3.upload(url + '/out', local='out', delete=False, exclude=['*.tmp'], interval=None)
        """
    same(*both(program, {"out/old": b"stays"}, {"out/a": b"1", "out/b.tmp": b"2"}))


def test_upload_of_one_file(both):
    program = """
        with pos3.mirror(show_progress=False):
            pos3.upload(url + '/one', local='one', interval=None)
        """
    same(*both(program, {}, {"one": b"1"}))


def test_upload_in_the_background(both):
    program = """
        import time
        with pos3.mirror(show_progress=False) as m:
            out = pos3.upload(url + '/out', local='out', interval=1)
            (out / 'new').write_bytes(b'3')
            for _ in range(600):
                if url + '/out/new' in pos3.ls(url + '/out'):
                    break
                time.sleep(0.05)
            print(pos3.ls(url + '/out'))
        """
    same(*both(program, {}, {"out/a": b"1"}))


def test_sync(both):
    program = """
        with pos3.mirror(show_progress=False):
            run = pos3.sync(url + '/run', local='run', interval=None)
            print(run, sorted(each.name for each in run.iterdir()))
            (run / 'step-2').write_bytes(b'22')
            (run / 'step-1').unlink()
        """
    same(*both(program, {"run/step-0": b"0", "run/step-1": b"1"}))


@pytest.mark.parametrize("recursive", [False, True])
@pytest.mark.parametrize("key", ["", "/data", "/data/", "/data/a", "/nothing/"])
def test_ls(both, key, recursive):
    same(
        *both(
            f"with pos3.mirror():\n    print(*pos3.ls(url + {key!r}, recursive={recursive}), sep='\\n')", DATA
        )
    )


@pytest.mark.parametrize("recursive", [False, True])
def test_ls_of_a_local_directory(both, recursive):
    program = f"with pos3.mirror():\n    print(*sorted(pos3.ls('here', recursive={recursive})), sep='\\n')"
    same(*both(program, {}, {"here/a": b"1", "here/sub/b": b"2"}))


def test_local_paths_pass_through(both):
    program = """
        with pos3.mirror():
            print(pos3.download('here'), pos3.upload('there/out'), pathlib.Path('there/out').is_dir())
            print(pos3.sync('here'))
        """
    same(*both(program, {}, {"here/a": b"1"}))


def test_the_same_call_twice_is_one(both):
    program = """
        with pos3.mirror(show_progress=False):
            assert pos3.download(url + '/data', local='d') == pos3.download(url + '/data', local='d')
            assert pos3.upload(url + '/out', local='o') == pos3.upload(url + '/out', local='o')
        """
    same(*both(program, DATA, {"o/a": b"1"}))


@pytest.mark.parametrize(
    "second",
    [
        "pos3.upload(url + '/data/x')",
        "pos3.download(url + '/data', local='other')",
        "pos3.upload(url + '/data')",
    ],
)
def test_what_overlaps_is_a_value_error(both, second):
    program = f"""
        with pos3.mirror(show_progress=False):
            pos3.download(url + '/data')
            try:
                {second}
            except ValueError:
                print('ValueError')
        """
    same(*both(program, DATA))


def test_outside_of_a_mirror_is_a_runtime_error(both):
    program = """
        for call in (lambda: pos3.download(url), lambda: pos3.upload(url), lambda: pos3.sync(url), lambda: pos3.ls(url)):
            try:
                call()
            except RuntimeError:
                print('RuntimeError')
        with pos3.mirror():
            try:
                with pos3.mirror():
                    pass
            except RuntimeError:
                print('RuntimeError')
        """
    same(*both(program))


def test_threads_find_the_mirror(both):
    program = """
        with pos3.mirror(show_progress=False):
            thread = threading.Thread(target=lambda: pos3.download(url + '/data', local='here'))
            thread.start()
            thread.join()
        """
    same(*both(program, DATA))


def test_with_mirror(both):
    program = """
        @pos3.with_mirror(show_progress=False)
        def work(name):
            return pos3.download(url + '/data', local=name)
        print(work('one'), work(name='two'))
        """
    same(*both(program, DATA))


def test_a_failing_body_with_sync_on_error(both):
    program = """
        try:
            with pos3.mirror(show_progress=False):
                pos3.upload(url + '/out', local='out', interval=None, delete=False, sync_on_error=True)
                raise KeyError('mine')
        except KeyError as error:
            print(error)
        """
    same(*both(program, {}, {"out/a": b"1"}))


# Safer on purpose


def test_an_excluded_directory_is_excluded(both):
    """pos3 fetches the first file of an excluded directory: it learns of the directory after that file."""
    program = (
        "with pos3.mirror(show_progress=False):\n    pos3.download(url + '/data', local='h', exclude=['sub'])"
    )
    theirs, ours = both(program, DATA)
    assert set(theirs.files) == {"h/a", "h/sub/b"}
    assert set(ours.files) == {"h/a"}


def test_a_failing_body_publishes_unless_it_is_told_not_to(both):
    """pos3 loses what the body left: its default for sync_on_error is False."""
    program = """
        try:
            with pos3.mirror(show_progress=False):
                out = pos3.upload(url + '/out', local='out', interval=None{0})
                out.mkdir(exist_ok=True)
                (out / 'a').write_bytes(b'1')
                raise KeyError
        except KeyError:
            pass
        """
    theirs, ours = both(program.format(""), {"out/old": b"0"})
    assert theirs.objects == {"out/old": b"0"}
    assert ours.objects == {"out/old": b"0", "out/a": b"1"}
    same(*both(program.format(", sync_on_error=False"), {"out/old": b"0"}))


def test_sync_neither_deletes_here_nor_writes_over_what_is_later_here(both):
    """pos3 deletes checkpoints that a killed run had not published, and takes an older object for the newer file."""
    program = (
        "with pos3.mirror(show_progress=False):\n    pos3.sync(url + '/run', local='run', interval=None)"
    )
    files = {"run/step-2": b"not published", "run/log": b"longer and later"}
    theirs, ours = both(program, {"run/step-1": b"1", "run/log": b"old"}, files)
    assert theirs.objects == {"run/step-1": b"1", "run/log": b"old"}
    assert ours.objects == {
        "run/step-1": b"1",
        "run/step-2": b"not published",
        "run/log": b"longer and later",
    }


def test_a_rewrite_of_equal_size_is_uploaded(both):
    """pos3 compares sizes only."""
    program = """
        with pos3.mirror(show_progress=False):
            pos3.upload(url + '/out', local='out', interval=None)
        """
    theirs, ours = both(program, {"out/a": b"old"}, {"out/a": b"new"})
    assert theirs.objects == {"out/a": b"old"}
    assert ours.objects == {"out/a": b"new"}


def test_an_empty_directory_does_not_empty_the_prefix(both):
    """pos3 erases what an unmounted or wrong directory does not hold."""
    program = """
        pathlib.Path('out').mkdir()
        with pos3.mirror(show_progress=False):
            pos3.upload(url + '/out', local='out', interval=None)
        """
    theirs, ours = both(program, {"out/a": b"1", "out/b": b"2"})
    assert theirs.objects == {}
    assert ours.objects == {"out/a": b"1", "out/b": b"2"}


def test_a_mistyped_download_does_not_empty_the_directory(both):
    """pos3 takes a prefix with nothing below it for an empty one."""
    program = """
        with pos3.mirror(show_progress=False):
            pos3.download(url + '/dataa', local='here')
        """
    theirs, ours = both(program, DATA, {"here/mine": b"1"})
    assert theirs.files == {}
    assert ours.files == {"here/mine": b"1"}
    assert "LocalError" in ours.ending.stderr


def test_delete_local_of_sync_warns(home):
    with s3mirror.mirror(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert s3mirror.sync(str(home), delete_local=True) == pathlib.Path(home)
    assert ["never deletes local files" in str(each.message) for each in caught] == [True]
