"""The context manager, on a real server."""

import asyncio
import copy
import logging
import pathlib
import pickle
import threading

import pytest

import s3mirror
from s3mirror import (
    ConfigurationError,
    Download,
    EndedError,
    IncompleteError,
    InvalidError,
    LocalError,
    Mirror,
    MirrorError,
    Options,
    Sync,
    UnknownNameError,
    Upload,
)

# 1,024 bytes is the longest key that S3 takes.
TOO_DEEP = "/".join(["n" * 250] * 4)


def test_flush_is_a_fence(prefix):
    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        (m.out / "a").write_bytes(b"1")
        assert m.flush("out") is None
        assert prefix.contents("out/") == {"a": b"1"}
        status = m.status()
        assert status.phase == "running"
        assert status.uploads["out"].published_files == 1
        assert status.uploads["out"].recovery_point is None
        assert m.report.is_complete
        assert m.report.uploads["out"].published == 1
        assert m.report.uploads["out"].deleted == 0
        (m.out / "a").unlink()
        (m.out / "b").write_bytes(b"2")
    assert m.report.is_complete
    assert m.report.uploads["out"].published == 2
    assert m.report.uploads["out"].deleted == 1
    with pytest.raises(EndedError):
        m.flush()


def test_more_is_taken_while_it_runs(prefix):
    prefix.put("data/x", b"2")
    with Mirror() as m:
        data = m.download(prefix.url("data"), local="data")
        assert (data / "x").read_bytes() == b"2"
        out = m.upload(prefix.url("out"), local="out", interval=None, name="out")
        assert m.out == out
        (out / "y").write_bytes(b"3")
        both = m.sync(prefix.url("both"), local="both", interval=None)
        (both / "z").write_bytes(b"4")
        m.flush()
        assert m.ls(prefix.url()) == [prefix.url(each) + "/" for each in ("both", "data", "out")]
        assert m.ls(prefix.url("out"), recursive=True) == [prefix.url("out/y")]
        # The same once more is one.
        assert m.upload(prefix.url("out"), local="out", interval=None, name="out") == out
        with pytest.raises(InvalidError, match="different ways"):
            m.upload(prefix.url("out"), local="other", interval=None)
    assert set(prefix.contents()) == {"data/x", "out/y", "both/z"}


def test_a_body_that_raises_publishes_and_deletes_nothing(prefix):
    with (
        pytest.raises(ZeroDivisionError),
        Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m,
    ):
        (m.out / "a").write_bytes(b"1")
        m.flush()
        (m.out / "a").unlink()
        (m.out / "b").write_bytes(b"2")
        _ = 1 / 0
    assert prefix.contents("out/") == {"a": b"1", "b": b"2"}
    assert m.report.uploads["out"].deleted == 0


def test_a_body_that_returns_deletes(prefix):
    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        (m.out / "a").write_bytes(b"1")
        m.flush()
        (m.out / "a").unlink()
    assert prefix.contents("out/") == {}


def test_an_upload_can_be_left_when_the_body_raises(prefix):
    with (
        pytest.raises(KeyError),
        Mirror(out=Upload(prefix.url("out"), local="out", interval=None, on_error="skip")) as m,
    ):
        (m.out / "a").write_bytes(b"1")
        raise KeyError
    assert prefix.contents() == {}


def test_what_could_not_be_published_is_named(prefix):
    with (
        pytest.raises(IncompleteError) as caught,
        Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m,
    ):
        (m.out / TOO_DEEP).mkdir(parents=True)
        (m.out / TOO_DEEP / "file").write_bytes(b"1")
        (m.out / "good").write_bytes(b"2")
        with pytest.raises(IncompleteError) as flushed:
            m.flush("out")
        assert [each.path for each in flushed.value.failures] == [f"{TOO_DEEP}/file"]
        assert flushed.value.request == "flush"
        assert not m.report.is_complete
        assert m.report.uploads["out"].failed_files == 1
    assert [each.path for each in caught.value.failures] == [f"{TOO_DEEP}/file"]
    assert caught.value.failed_files == 1
    assert prefix.contents("out/") == {"good": b"2"}
    assert isinstance(caught.value, s3mirror.TransferError)


def test_the_bodys_exception_wins(prefix, caplog):
    with pytest.raises(KeyError), Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        (m.out / TOO_DEEP).mkdir(parents=True)
        (m.out / TOO_DEEP / "file").write_bytes(b"1")
        raise KeyError
    assert "could not be published" in caplog.text


def test_errors_have_fields(server):
    with (
        pytest.raises(ConfigurationError) as caught,
        Mirror(out=Upload("s3://no-such-bucket-here/x", local="x")),
    ):
        pass
    error = caught.value
    assert (error.kind, error.request) == ("configuration", "enter")
    assert (error.operation, error.bucket, error.code) == (
        "ListObjectsV2",
        "no-such-bucket-here",
        "NoSuchBucket",
    )
    assert error.status == 404
    assert error.request_id
    assert error.remedy
    assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Mirror(x="s3://b/x"), InvalidError, "give Download"),
        (lambda: Mirror(flush=Upload("s3://b/x")), InvalidError, "mirror's own"),
        (lambda: Mirror(x=Upload("gs://b/x")), InvalidError, "gs"),
        (lambda: Mirror(x=Upload("bucket/x")), InvalidError, "bucket/x"),
        (lambda: Mirror(x=Upload("s3://b/x", exclude="*.tmp")), InvalidError, "list of patterns"),
        (lambda: Mirror(x=Upload(b"s3://b/x")), InvalidError, "text"),
        (lambda: Mirror(x=Upload("s3://b/x", local="\udcff")), InvalidError, "UTF-8"),
        (lambda: Mirror(x=Download("./nowhere")), LocalError, "does not exist"),
        (lambda: Mirror(Options(max_workers=0)), InvalidError, "maxWorkers"),
        (lambda: Mirror(Options(compare="moon")), MirrorError, "compare"),
        (lambda: Mirror(Options(profile="\udcff")), InvalidError, "UTF-8"),
        (lambda: Mirror(Options(settle=float("nan"))), InvalidError, "Out of range float"),
        (lambda: Mirror(Options(name=object())), InvalidError, "object"),
        (lambda: Mirror(x=Upload("s3://b/x", exclude=["x" * 100] * 20_000)), InvalidError, "at most 1048576"),
    ],
)
def test_what_makes_no_sense_is_one_clear_exception(server, make, kind, words):
    with pytest.raises(kind, match=words), make():
        pass


def test_names(prefix, home):
    with Mirror(data=Download(str(home)), **{"a name": Upload(str(home / "other"))}) as m:
        assert m["a name"] == home / "other"
        assert "data" in dir(m)
        with pytest.raises(UnknownNameError, match="it has a name, data"):
            _ = m.dta
        assert not hasattr(m, "dta")
        with pytest.raises(TypeError, match="paths"):
            pickle.dumps(m)
        with pytest.raises(TypeError, match="paths"):
            copy.copy(m)


def test_a_mirror_is_entered_once_at_a_time_and_again_later(home):
    mirror = Mirror(out=Upload(str(home / "out")))
    with mirror as m:
        assert m is mirror
        with pytest.raises(InvalidError, match="entered already"), mirror:
            pass
    with mirror as m:
        assert m.out.is_dir()


def test_a_path_follows_the_directory_of_the_moment(prefix, home, monkeypatch):
    with Mirror() as m:
        (home / "elsewhere").mkdir()
        monkeypatch.chdir(home / "elsewhere")
        assert m.upload(prefix.url("out"), local="out", interval=None) == home / "elsewhere" / "out"


def test_two_mirrors_on_one_prefix(prefix):
    with Mirror(out=Upload(prefix.url("out"), local="one", interval=None)) as m:
        with (
            pytest.raises(ConfigurationError, match="another mirror on this host"),
            Mirror(out=Upload(prefix.url("out"), local="two", interval=None)),
        ):
            pass
        (m.out / "a").write_bytes(b"1")
        m.flush()
    assert prefix.contents("out/") == {"a": b"1"}


def test_many_threads_ask_one_mirror(prefix):
    failures = []

    def work(number):
        try:
            for step in range(5):
                (m.out / f"{number}-{step}").write_bytes(b"1")
                m.flush("out")
                assert f"{number}-{step}" in names()
                m.status()
        except BaseException as error:
            failures.append(error)

    def names():
        return {each["Key"].rpartition("/")[2] for each in listing().get("Contents", [])}

    def listing():
        return prefix.client.list_objects_v2(Bucket=prefix.bucket, Prefix=f"{prefix.name}/out/")

    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert failures == []
    assert len(prefix.contents("out/")) == 40


def test_async(prefix):
    async def main():
        async with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
            (m.out / "a").write_bytes(b"1")
            await m.aflush("out")
            assert prefix.contents("out/") == {"a": b"1"}
            (m.out / "b").write_bytes(b"2")

    asyncio.run(main())
    assert set(prefix.contents("out/")) == {"a", "b"}


def test_an_async_body_that_is_cancelled_publishes_and_deletes_nothing(prefix):
    entered = []

    async def body():
        async with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
            (m.out / "a").write_bytes(b"1")
            entered.append(m)
            await asyncio.sleep(600)

    async def main():
        task = asyncio.create_task(body())
        while not entered:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert prefix.contents("out/") == {"a": b"1"}


def test_an_async_entry_that_is_cancelled_leaves_nothing(prefix):
    for number in range(30):
        prefix.put(f"data/{number}", b"x" * 100_000)

    async def main():
        async def enter():
            # At this rate it would take a minute.
            options = Options(max_download_bytes_per_second=50_000)
            async with Mirror(options, data=Download(prefix.url("data"), local="data")):
                pytest.fail("the entry is cut short")

        task = asyncio.create_task(enter())
        while not pathlib.Path("data").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_sync_resumes_a_run(prefix):
    prefix.put("run/step-1", b"old")
    with pytest.raises(KeyError), Mirror(run=Sync(prefix.url("run"), local="run", interval=None)) as m:
        assert (m.run / "step-1").read_bytes() == b"old"
        (m.run / "step-2").write_bytes(b"new")
        raise KeyError
    with Mirror(run=Sync(prefix.url("run"), local="run", interval=None)) as m:
        assert (m.run / "step-2").read_bytes() == b"new"
    assert prefix.contents("run/") == {"step-1": b"old", "step-2": b"new"}


def test_failures_are_logged(prefix, caplog):
    caplog.set_level(logging.WARNING, logger="s3mirror")
    with (
        pytest.raises(IncompleteError),
        Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m,
    ):
        (m.out / TOO_DEEP).mkdir(parents=True)
        (m.out / TOO_DEEP / "file").write_bytes(b"1")
        m.flush()
    assert "upload of" in caplog.text
